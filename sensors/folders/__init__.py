"""Files in watched folders: notifications say where to look, scans are the truth."""
