"""What can be asked of a project, over the same queries with a daemon and without."""
