"""Runs: settings, data, training with checkpoints, evaluation, and the files of a run.

The command line is built on these modules; none of them imports it.
"""
