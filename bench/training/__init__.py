"""Train a network and say how good it is."""
