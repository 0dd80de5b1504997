"""Timing of training steps of fastmlp and of other libraries, for `fastmlp bench`.

`workloads` defines the networks and data, `engines` the training in each library. `worker` is the
process of one engine, `runner` calls the workers in turn, and `report` computes rates from times.
"""
