"""The plan as it is printed."""

import pytest

from solver.plan import MaterialPlan, Plan
from solver.plan_table import print_plan

NAME = "unidirectional_carbon_fibre_reinforced_epoxy_of_the_upper_skin"
TITLE = "A title that tells in one long sentence what the structure is, what is done to it, and why [one] should care"
PLAN = Plan("hexahedron", 1, "bbar", 10, 99, 80, 3, 5000, 7, (MaterialPlan(NAME, "RVE cell", 80, 123456, 1234567, 89),))


def test_names_of_any_length_leave_the_numbers_readable(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(TITLE, PLAN, plain=True)
    told = capsys.readouterr().out
    assert told.splitlines()[0] == TITLE
    row = next(line for line in told.splitlines() if NAME in line)
    for number in ("80", "1,234,567", "89", "120.6 KiB"):
        assert number in row.split("RVE cell")[1]
    assert "\x1b" not in told


def test_ranks_under_mpirun_print_plainly(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    print_plan(TITLE, PLAN, plain=True)
    assert "\x1b" not in capsys.readouterr().out
