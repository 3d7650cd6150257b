"""Which backends take part, agreement first, records kept, until it is enough."""
