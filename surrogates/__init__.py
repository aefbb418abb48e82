"""Trained stand-ins for a cell; none yet. This package needs torch and numpy only, never a finite-element library."""
