"""One file for each command: its options, an experiment, a table."""
