"""Small cases that learn as they go: how to run them, and to read what they left behind."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from mpi4py import MPI

from materials.measures import FloatArray
from solver.build import build
from solver.case.loading import parse_case
from solver.driver import Driver
from solver.records import Observer
from solver.results.results import Results

COMMON = """
regions: {all: composite}
solver: {macro: {residual_tolerance: 1.0e-12, correction_tolerance: 1.0e-10}, cell: {tolerance: 1.0e-13}}
"""
LEARNING = """
materials:
  composite:
    type: adaptive
    rve: cell
    surrogate: net
    trust: {{tolerance: 0.05, confidence: 0.8}}
    retrain: {{samples: {samples}, explore: {explore}, reach: {reach}}}
    audit: {{fraction: {audit}}}
"""
CELL = "geometry: {generator: laminate, fraction: 0.4, normal: x}"

FINITE_STRAIN = f"""
physics: finite_strain
dimension: 2
mesh: {{generator: cook_membrane, divisions: [3, 3], element: quadrilateral, degree: 1}}
boundary_conditions:
  - {{boundary: left, displacement: [0, 0]}}
  - {{boundary: right, traction: [0, 4.0]}}
load: {{end: 1.0, steps: 5}}
rves:
  cell:
    {CELL}
    element: quadrilateral
    phases:
      soft: {{law: neo_hookean, E: 100, nu: 0.3}}
      stiff: {{law: neo_hookean, E: 300, nu: 0.25}}
surrogates:
  net:
    rve: cell
    family: energy
    network: {{hidden: [8], symmetry: orthotropic}}
    sampling: {{paths: 60, steps: 5, range: 0.2}}
    training: {{epochs: 15}}
output:
  fields: [displacement, kind]
  probes: [{{name: tip, point: [48, 60]}}]
  reactions: [left]
  checkpoint_every: 1
"""
PLASTIC = f"""
physics: small_strain
dimension: 2
mesh: {{generator: rectangle, size: [2, 1], divisions: [3, 2], element: quadrilateral, degree: 1}}
boundary_conditions:
  - {{boundary: left, displacement: [0, 0]}}
  - {{boundary: right, displacement: [0.02, 0.01]}}
load: {{end: 3.0, steps: 9, factor: [[0, 0], [1, 1], [2, 0.2], [3, 1.1]]}}
rves:
  cell:
    {CELL}
    element: quadrilateral
    phases:
      soft: {{law: j2, E: 1000, nu: 0.3, yield_stress: 5, hardening: 50}}
      stiff: {{law: elastic, E: 3000, nu: 0.2}}
surrogates:
  net:
    rve: cell
    family: dissipative
    sampling: {{paths: 40, steps: 20, range: 0.03}}
    training: {{epochs: 20}}
output:
  fields: [displacement, kind]
  probes: [{{name: tip, point: [0.8, 0.5]}}]
  reactions: [left]
  checkpoint_every: 1
"""
HEAT = f"""
physics: heat
dimension: 2
mesh: {{generator: rectangle, size: [2, 1], divisions: [3, 2], element: quadrilateral, degree: 1}}
boundary_conditions:
  - {{boundary: left, temperature: 0}}
  - {{boundary: right, flux: 3.0}}
  - {{boundary: top, flux: 1.0}}
load: {{end: 1.0, steps: 4}}
rves:
  cell:
    {CELL}
    element: quadrilateral
    phases:
      good: {{law: conductive, k: 10}}
      bad: {{law: conductive, k: 1}}
surrogates:
  net:
    rve: cell
    family: energy
    network: {{hidden: [6], symmetry: orthotropic}}
    sampling: {{paths: 40, steps: 5, range: 5}}
    training: {{epochs: 10}}
output:
  fields: [temperature, kind]
  probes: [{{name: tip, point: [2, 1]}}]
  reactions: [left]
  checkpoint_every: 1
"""
ELASTIC = f"""
physics: small_strain
dimension: 2
mesh: {{generator: rectangle, size: [2, 1], divisions: [3, 2], element: quadrilateral, degree: 1}}
boundary_conditions:
  - {{boundary: left, displacement: [0, 0]}}
  - {{boundary: right, displacement: [0.02, 0.01]}}
load: {{end: 1.0, steps: 4}}
rves:
  cell:
    {CELL}
    element: quadrilateral
    phases:
      soft: {{law: elastic, E: 1000, nu: 0.3}}
      stiff: {{law: elastic, E: 3000, nu: 0.2}}
surrogates:
  net:
    rve: cell
    family: energy
    network: {{hidden: [6], symmetry: orthotropic}}
    sampling: {{paths: 40, steps: 5, range: 0.02}}
    training: {{epochs: 10}}
output:
  fields: [displacement, kind]
  probes: [{{name: tip, point: [0.8, 0.5]}}]
  reactions: [left]
  checkpoint_every: 1
"""
SOLID = f"""
physics: small_strain
dimension: 3
mesh: {{generator: box, size: [2, 1, 1], divisions: [3, 2, 1], element: hexahedron, degree: 1}}
boundary_conditions:
  - {{boundary: left, displacement: [0, 0, 0]}}
  - {{boundary: right, displacement: [0.02, 0.01, 0.01]}}
load: {{end: 1.0, steps: 4}}
rves:
  cell:
    {CELL}
    element: hexahedron
    phases:
      soft: {{law: elastic, E: 1000, nu: 0.3}}
      stiff: {{law: elastic, E: 3000, nu: 0.2}}
surrogates:
  net:
    rve: cell
    family: energy
    network: {{hidden: [6], symmetry: orthotropic}}
    sampling: {{paths: 60, steps: 5, range: 0.02}}
    training: {{epochs: 10}}
output:
  fields: [displacement, kind]
  probes: [{{name: tip, point: [0.8, 1, 1]}}]
  reactions: [left]
  checkpoint_every: 1
"""
CASES: Mapping[str, str] = {
    "finite_strain": FINITE_STRAIN + COMMON + LEARNING.format(samples=30, explore=500, reach=1.5, audit=0.2),
    "plastic": PLASTIC + COMMON + LEARNING.format(samples=24, explore=120, reach=1.3, audit=0.1),
    "heat": HEAT + COMMON + LEARNING.format(samples=30, explore=500, reach=2.5, audit=0.2),
    "elastic": ELASTIC + COMMON + LEARNING.format(samples=30, explore=500, reach=2.5, audit=0.2),
    "solid": SOLID + COMMON + LEARNING.format(samples=30, explore=500, reach=2.5, audit=0.2),
}

FULL = "materials.composite={type: rve, rve: cell}"
"""Change of a case to one without a surrogate."""


def prepare(name: str, out: Path, *changes: str, restart: bool = False) -> tuple[Results, Driver]:
    """The parts of a run of a case in a folder; `changes` are as for `--set`. Collective."""
    case = parse_case(CASES[name], out.parent / f"{name}.yaml", changes)
    comm = MPI.COMM_WORLD
    results = Results(case, comm, out, restart=restart, quiet=True)
    return results, build(case, comm, out)


def run(name: str, out: Path, *changes: str, restart: bool = False, observer: Observer | None = None) -> Driver:
    """Run a case in a folder, and tell an observer. Collective."""
    results, driver = prepare(name, out, *changes, restart=restart)
    if observer is not None:
        results._observers.append(observer)
    results.run(driver)
    return driver


def table(out: Path, name: str) -> dict[str, FloatArray]:
    """Columns of a table that a run wrote."""
    with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {column: np.array([float(row[column]) for row in rows]) for column in rows[0]}


def field(out: Path, name: str) -> FloatArray:
    """A field of all increments that a run wrote, (steps, …)."""
    with h5py.File(out / "fields.h5") as file:
        steps = sorted(file["steps"].values(), key=lambda step: int(step.name.rsplit("/", 1)[-1]))
        centre = "node" if name in steps[0]["node"] else "cell"
        return np.stack([step[centre][name][()] for step in steps])


def samples(out: Path) -> Path:
    """File of the states that a run learned from."""
    return out / "data" / "composite.h5"


def trainings(out: Path) -> list[int]:
    """Increments that a run trained after."""
    record = json.loads((out / "models" / "composite" / "versions.json").read_text(encoding="utf-8"))
    return [entry["step"] for entry in record["trainings"]]


def learning(out: Path) -> dict[str, Any]:
    """What a run says of its learning."""
    told: dict[str, Any] = json.loads((out / "run.json").read_text(encoding="utf-8"))["learning"]["composite"]
    return told


def assert_equal(found: Path, expected: Path, tolerance: float) -> None:
    """Nodal values of all increments, probes and reactions, relative to the largest one.

    Increments that only `found` has, after a cut-back, are left out.
    """
    primary = "temperature" if "heat" in expected.name else "displacement"
    common = np.isin(table(found, "probes")["time"], table(expected, "probes")["time"])
    one, other = field(found, primary)[common], field(expected, primary)
    assert np.abs(one - other).max() <= tolerance * np.abs(other).max()
    for name in ("probes", "reactions"):
        columns = table(expected, name)
        scale = max(np.abs(values).max() for column, values in columns.items() if column not in ("step", "time"))
        for column, values in table(found, name).items():
            if column != "step":
                assert np.abs(values[common] - columns[column]).max() <= tolerance * scale, f"{name}: {column}"


def assert_same_decisions(found: Path, expected: Path, *other: str) -> None:
    """How every increment was solved, where cells were, what was learned from it, and the models themselves.

    Columns of the history named in `other` may differ.
    """
    history = table(expected, "history")
    for column, values in table(found, "history").items():
        if not column.startswith("t_") and column not in ("wall_time", "audit_error", *other):
            np.testing.assert_array_equal(values, history[column], err_msg=column)
    np.testing.assert_array_equal(field(found, "kind"), field(expected, "kind"))
    models = sorted((expected / "models").glob("*/v*/weights.safetensors"))
    assert models
    for model in models:
        assert (found / model.relative_to(expected)).read_bytes() == model.read_bytes(), model
