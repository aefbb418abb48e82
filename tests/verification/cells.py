"""Cells for verification tests: short to name, small enough to be solved many times."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from materials.interface import Response, Status
from materials.law import Law
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import CellGeometry, Inclusion, Laminate, build_cell_mesh
from rve.cell import build_cell
from rve.material import RveMaterial
from rve.newton_settings import NewtonSettings

ELEMENTS = {2: ("triangle", "quadrilateral"), 3: ("tetrahedron", "hexahedron")}

TIGHT = NewtonSettings(tolerance=1e-13)


def law(name: str, **parameters: Any) -> Law:
    """A law by its name in a case file."""
    return LAWS[name](**parameters)


SOFT: Mapping[Physics, Law] = {
    Physics.SMALL_STRAIN: law("elastic", E=1000.0, nu=0.3),
    Physics.FINITE_STRAIN: law("neo_hookean", E=100.0, nu=0.3),
    Physics.HEAT: law("conductive", k=1.0),
}
STIFF: Mapping[Physics, Law] = {
    Physics.SMALL_STRAIN: law("elastic", E=10_000.0, nu=0.2),
    Physics.FINITE_STRAIN: law("neo_hookean", E=1000.0, nu=0.25),
    Physics.HEAT: law("conductive", k=10.0),
}
PLASTIC = law("j2", E=1000.0, nu=0.3, yield_stress=5.0, hardening=20.0)


def make_cell(
    measure: Measure,
    geometry: CellGeometry,
    laws: tuple[Law, ...],
    element: str,
    degree: int,
    bbar: bool = False,
    boundary: str = "periodic",
    settings: NewtonSettings = TIGHT,
) -> RveMaterial:
    """A cell as a material; `laws` are those of its phases in the order of the generator."""
    mesh = build_cell_mesh(geometry, measure.dimension, element)
    cell = build_cell(mesh, dict(zip(mesh.phases, laws, strict=True)), measure, degree, boundary, bbar)
    return RveMaterial(cell, settings)


def fibre(resolution: int = 6, volume_fraction: float = 0.3) -> Inclusion:
    """A circle in the middle of the cell."""
    return Inclusion(volume_fraction=volume_fraction, resolution=resolution)


def sphere(resolution: int = 3, volume_fraction: float = 0.2) -> Inclusion:
    """A sphere in the middle of the cell."""
    return Inclusion(shape="sphere", volume_fraction=volume_fraction, resolution=resolution)


def layers(normal: str, fraction: float = 0.4) -> Laminate:
    """Two layers with one element each."""
    return Laminate(fraction=fraction, normal=normal)


def random_path(measure: Measure, amplitude: float, steps: int, seed: int) -> FloatArray:
    """A path (steps, g) with random directions that loads, turns and unloads."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-amplitude, amplitude, (3, measure.size))
    corners[2] = 0.2 * corners[0]
    knots = np.vstack([np.zeros(measure.size), corners])
    times = np.linspace(0.0, 3.0, steps + 1)[1:]
    path = np.stack([np.interp(times, np.arange(4), column) for column in knots.T], axis=1)
    return measure.rest + path


def evaluate_one(material: RveMaterial, gradient: FloatArray, dt: float = 1.0) -> Response:
    """Evaluate a single bound point and insist on an answer."""
    response = material.evaluate(np.atleast_2d(gradient), dt)
    assert response.status[0] == Status.OK, material.failure(0)
    return response


def relative_error(value: FloatArray, exact: FloatArray) -> float:
    """Largest difference over the largest exact component."""
    return float(np.abs(value - exact).max() / np.abs(exact).max())
