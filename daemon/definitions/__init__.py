"""Definitions in force, and what new ones mean for stored data."""
