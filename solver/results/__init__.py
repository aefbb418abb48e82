"""What a run leaves behind: the run directory, its tables, fields, restart point, log, and the live display."""
