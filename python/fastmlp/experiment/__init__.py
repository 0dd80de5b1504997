"""Runs: settings, data, a training that loses nothing, and what it leaves in a directory.

Everything that the command line does with a run is here, without the command line.
"""
