"""Trained stand-ins for a cell: data, families, training, store. Never a finite-element library."""
