"""Macroscale solver: case files, the driver of load increments, the macroscopic problem, results, command line."""
