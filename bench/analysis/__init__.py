"""From records to numbers; no text, no tables."""
