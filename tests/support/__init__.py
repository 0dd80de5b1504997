"""Helpers shared by tests: oracles, error bounds, cases, small data and files, child processes."""
