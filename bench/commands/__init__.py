"""One file a command: its options, an experiment, a table."""
