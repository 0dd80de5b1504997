"""What tests share: oracles, bounds, cases, small data and files, and processes of their own."""
