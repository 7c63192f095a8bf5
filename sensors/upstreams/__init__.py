"""Another daemon's versions as arrivals: it tells of them, and here they are read and kept."""
