"""Artifacts: written under a name that nobody reads yet, published whole, verified."""
