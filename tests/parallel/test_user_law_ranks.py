"""A law from a user's file on several ranks, at both scales: compiled once, read by all, the same answer."""

import csv
import time
from pathlib import Path

import pytest

from solver.cli import execute
from tests.conftest import RunRanks

LAW = '''\
# {stamp}: no other run has compiled this file
from dataclasses import dataclass

import numpy as np

from materials.compilation import point_law
from materials.law import Law
from materials.measures import FloatArray, Physics
from materials.parameters import Positive
from materials.point_status import status_of


@point_law
def hooke(strain, state, parameters, dt, stress, tangent, new_state):
    """σ = λ tr ε 1 + 2 μ ε, and the largest strain so far in the state."""
    largest = 0.0
    for i in range(6):
        largest = max(largest, abs(strain[i]))
        for j in range(6):
            tangent[i, j] = parameters[0] if i < 3 and j < 3 else 0.0
        tangent[i, i] += 2.0 * parameters[1]
    stress[:] = tangent @ strain
    new_state[0] = max(state[0], largest)
    return status_of(stress)


@dataclass(frozen=True, kw_only=True)
class Hooke(Law):
    """Isotropic and linear."""

    name = "hooke"
    physics = Physics.SMALL_STRAIN
    state_layout = {{"largest_strain": ()}}
    point = staticmethod(hooke)

    lmbda: Positive
    mu: Positive

    def parameters(self) -> FloatArray:
        return np.array([self.lmbda, self.mu])
'''
CASE = """
physics: small_strain
dimension: 2
mesh: {{generator: rectangle, size: [3, 1], divisions: [3, 2], element: quadrilateral}}
regions: {{all: body}}
boundary_conditions:
  - {{boundary: left, displacement: [0, 0]}}
  - {{boundary: right, displacement: [0.02, 0.01]}}
load: {{steps: 2}}
materials:
  body: {material}
rves:
  cell:
    geometry: {{generator: laminate, fraction: 0.4}}
    element: quadrilateral
    phases:
      soft: {{law: j2, E: 500, nu: 0.3, yield_stress: 3, hardening: 20}}
      stiff: {phase}
output:
  probes: [{{name: end, point: [3, 0.5]}}]
  reactions: [left]
  localize: [{{point: [2.8, 0.5]}}]
"""
OWN = '{law: "laws/mine.py:Hooke", lmbda: 1200, mu: 800}'
BUILT_IN = "{law: elastic, E: 2080, nu: 0.3}"
"""λ = E ν / ((1 + ν)(1 − 2 ν)), μ = E / (2 (1 + ν))."""


def table_rows(run: Path) -> list[dict[str, str]]:
    """Probes, then reactions, increment by increment."""
    rows = []
    for table in ("probes", "reactions"):
        with (run / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            rows += list(csv.DictReader(file))
    return rows


@pytest.mark.parametrize(("scale", "ranks"), [("cell", 3), ("part", 2)])
def test_it_answers_as_the_built_in_law_does(scale: str, ranks: int, run_ranks: RunRanks, tmp_path: Path) -> None:
    (tmp_path / "laws").mkdir()
    (tmp_path / "laws" / "mine.py").write_text(LAW.format(stamp=time.time_ns()), encoding="utf-8")
    own, built_in = tmp_path / "own", tmp_path / "built_in"
    for out, law in ((own, OWN), (built_in, BUILT_IN)):
        material = "{type: rve, rve: cell}" if scale == "cell" else f"{{type: law, {law[1:]}"
        out.with_suffix(".yaml").write_text(CASE.format(material=material, phase=law), encoding="utf-8")
    run_ranks(ranks, "solver", "run", own.with_suffix(".yaml"), "--out", own, "--quiet", timeout=300.0)
    assert execute(["run", str(built_in.with_suffix(".yaml")), "--out", str(built_in), "--quiet"]) == 0
    assert len(table_rows(own)) == 4
    for found, expected in zip(table_rows(own), table_rows(built_in), strict=True):
        for column, value in expected.items():
            assert float(found[column]) == pytest.approx(float(value), rel=1e-9, abs=1e-10), column
