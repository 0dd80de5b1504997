"""Steps and epochs of a network: the run of the core, the loop, and where a training goes on."""
