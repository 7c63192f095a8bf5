"""Worker processes, the only place with data libraries and users' code; `pool` is our end."""
