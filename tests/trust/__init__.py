"""A proof that others can run: attacks on every promise of fastmlp, counted.

`python -m trust` (with this package's folder on the path) runs all sections; `make trust` does so.
experiment.py says what an experiment is, runner.py runs it, each section has a module of its own,
and __main__.py has the table of sections.
"""
