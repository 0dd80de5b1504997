"""Times training steps of fastmlp and of other libraries side by side, for `fastmlp bench`.

`workloads` defines what is trained, `engines` how each library trains it. `worker` is the process
of one engine, `runner` lets the workers take turns, and `report` computes rates from the times.
"""
