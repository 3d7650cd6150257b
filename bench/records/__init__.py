"""What is written beside the samples, and how it is read back."""
