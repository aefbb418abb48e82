"""Every file in cases/ runs, converges quadratically and gives its pinned numbers. Dropping a case in adds a test."""

import csv
from itertools import pairwise
from pathlib import Path

import gmsh
import pytest
from ruamel.yaml import YAML

from solver.cli import execute

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT / "cases").glob("*.yaml"))
PINNED = YAML(typ="safe").load((Path(__file__).parent / "pinned.yaml").read_text(encoding="utf-8"))


def rows(table: Path) -> list[dict[str, float]]:
    """A table of the run directory, row by row."""
    with table.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_case_gives_its_pinned_numbers(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert execute(["run", str(case), "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out, "the end of a run says where the results are"

    last = rows(out / "probes.csv")[-1] | rows(out / "reactions.csv")[-1]
    pinned = dict(PINNED[case.stem] or {})
    assert pinned, f"pin numbers of {case.name} in tests/cases/pinned.yaml, out of {last}"
    same_gmsh = gmsh.GMSH_API_VERSION.startswith(PINNED["gmsh"])
    within = pinned.pop("within", 1e-6 if same_gmsh else 1e-2)
    for name, value in pinned.items():
        assert last[name] == pytest.approx(value, rel=within), name

    _assert_quadratic(rows(out / "iterations.csv"))


def _assert_quadratic(iterations: list[dict[str, float]]) -> None:
    """The last iteration of an increment that starts above rounding leaves at most 100 times the squared residual.

    Below 1e-11 the tolerance of the cells shows in it.
    """
    for step in {row["step"] for row in iterations}:
        residuals = [row["residual"] for row in iterations if row["step"] == step]
        pairs = [(before, after) for before, after in pairwise(residuals) if 1e-9 < before < 1e-3]
        if pairs:
            before, after = pairs[-1]
            assert after <= max(100.0 * before**2, 1e-11), f"step {step:g}: {residuals}"


def test_the_surrogate_moves_the_membrane_like_the_cells() -> None:
    """Of the pinned numbers, which the runs above are held to."""
    cells, surrogate = PINNED["cook_fibre"], PINNED["cook_fibre_energy"]
    for name in ("tip_x", "tip_y"):
        assert surrogate[name] == pytest.approx(cells[name], rel=5e-4)


def test_the_surrogate_pulls_the_plate_like_the_cells() -> None:
    """Beyond yield, after unloading and reloading."""
    cells, surrogate = PINNED["plate_hole_j2"], PINNED["plate_hole_rnn"]
    for name in ("hole_edge_x", "top_y"):
        assert surrogate[name] == pytest.approx(cells[name], rel=2e-2)
