"""Training steps of fastmlp and of its peers, timed side by side: what `fastmlp bench` runs.

`workloads` says what is trained, `engines` how each library trains it, `worker` is the process of
one engine, `runner` lets the workers take turns, and `report` turns the times into numbers.
"""
