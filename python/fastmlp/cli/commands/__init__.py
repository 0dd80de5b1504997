"""One module per command. No command imports another: what they share lies in `fastmlp.cli`."""
