"""`fe2 report`: one self-contained page about a run."""

from solver.report.page import write_report

__all__ = ["write_report"]
