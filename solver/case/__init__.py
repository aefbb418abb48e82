"""Case files: YAML with lines in, a validated frozen `Case` out, every mistake told in one line.

The models are one concept a file.
"""

from solver.case.errors import BadInput
from solver.case.loading import load_case, load_cell_case

__all__ = ["BadInput", "load_case", "load_cell_case"]
