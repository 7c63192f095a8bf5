"""The sensors of a generation, each with its own restarts."""
