"""What a start does before anything else."""
