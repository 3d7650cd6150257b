"""What runs while the clock does; its hash is that of the measuring code."""
