"""Which backends take part, their agreement first, what is measured, and when that ends."""
