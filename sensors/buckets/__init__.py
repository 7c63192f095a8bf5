"""Objects of a store: listings are the truth, notifications make it fast."""
