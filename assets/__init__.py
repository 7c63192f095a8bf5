"""What people declare, and all that follows from declarations alone: no clock, no I/O, no async."""
