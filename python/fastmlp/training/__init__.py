"""Training of a network: runs of the core, the loop over epochs, and resuming."""
