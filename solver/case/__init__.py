"""Case files: YAML with lines in, a validated frozen `Case` out, every mistake told in one line.

`load_case` and `load_cell_case` are in `solver.case.loading`; the models are one concept a file. Nothing is imported
here, so that the command line starts without them.
"""
