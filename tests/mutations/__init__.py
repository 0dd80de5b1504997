"""Bugs that are planted in copies of the sources, one at a time: the suite must turn red."""
