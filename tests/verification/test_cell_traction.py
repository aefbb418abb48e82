"""Uniform traction on the boundary of a cell: tractions are uniform, the tangent is exact, and it is the softest."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from materials.law import Law
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import CellGeometry, Inclusion, Laminate, Voids, Voxels, outward_areas
from rve.material import RveMaterial
from tests.verification.cells import (
    PLASTIC,
    SOFT,
    STIFF,
    evaluate_one,
    fibre,
    law,
    layers,
    make_cell,
    random_path,
    relative_error,
    sphere,
)
from tests.verification.law_examples import EXAMPLES

VOID = law("void")
CELLS: dict[str, tuple[int, CellGeometry, str, int]] = {
    "triangle": (2, fibre(4), "triangle", 2),
    "quadrilateral": (2, layers("x"), "quadrilateral", 1),
    "tetrahedron": (3, sphere(2), "tetrahedron", 1),
    "hexahedron": (3, layers("y"), "hexahedron", 1),
}
LAWS = {name: EXAMPLES[name].law for name in ("j2_voce", "chaboche", "neo_hookean", "conductive")}


def traction_cell(name: str, matrix: Law) -> RveMaterial:
    """One of `CELLS` with a stiff second phase, bound to one point."""
    dimension, geometry, element, degree = CELLS[name]
    physics = matrix.physics
    assert physics is not None
    laws = (matrix, STIFF[physics])
    cell = make_cell(Measure(physics, dimension), geometry, laws, element, degree, boundary="traction")
    cell.bind(np.zeros(1, dtype=np.int64))
    return cell


def tangent_at_rest(
    physics: Physics, geometry: CellGeometry, laws: tuple[Law, Law], element: str, boundary: str, degree: int = 1
) -> FloatArray:
    """Homogenised tangent of the undeformed cell."""
    measure = Measure(physics, 3 if element in ("tetrahedron", "hexahedron") else 2)
    cell = make_cell(measure, geometry, laws, element, degree, boundary=boundary)
    cell.bind(np.zeros(1, dtype=np.int64))
    return evaluate_one(cell, measure.rest).tangent[0]


@pytest.mark.parametrize("matrix", LAWS)
@pytest.mark.parametrize("name", CELLS)
def test_nodal_forces_are_those_of_one_flux(name: str, matrix: str) -> None:
    """f_a = P̄ ∫ N_a N dS at every node of the boundary, along a path with unloading; nothing inside."""
    cell = traction_cell(name, LAWS[matrix])
    measure, mesh = cell.measure, cell.cell.mesh
    areas = outward_areas(cell.cell.space, mesh.size)
    for gradient in random_path(measure, EXAMPLES[matrix].size / 2.0, steps=6, seed=5):
        flux = measure.to_tensor(evaluate_one(cell, gradient).flux[0]).reshape(measure.block_size, -1)
        cell.commit()
        forces = cell.localize(0).nodal_forces
        assert np.abs(forces - areas @ flux.T).max() < 1e-9 * np.abs(forces).max()


@pytest.mark.parametrize("matrix", LAWS)
@pytest.mark.parametrize("name", CELLS)
def test_taylor(name: str, matrix: str) -> None:
    """The remainder of the linearisation falls with h²; it is round-off where the answer is linear."""
    cell = traction_cell(name, LAWS[matrix])
    rng = np.random.default_rng(2)
    load, direction = rng.uniform(-1.0, 1.0, (2, cell.measure.size))
    size = EXAMPLES[matrix].size
    for amplitude in (0.3 * size, 0.5 * size):
        evaluate_one(cell, cell.measure.rest + amplitude * load)
        cell.commit()
    base = cell.measure.rest + 0.6 * size * load
    response = evaluate_one(cell, base)
    steps = size * np.array([2e-3, 1e-3, 5e-4])
    remainders: list[float] = []
    for h in steps:
        linear = h * response.tangent[0] @ direction
        moved = evaluate_one(cell, base + h * direction).flux[0]
        remainder = np.linalg.norm(moved - response.flux[0] - linear)
        remainders.append(float(remainder / np.linalg.norm(linear)))
    if max(remainders) > 1e-9:
        # of first order relative to the linear term; points that begin to flow on the way disturb it a little
        assert np.polyfit(np.log(steps), np.log(remainders), 1)[0] > 0.75
    assert remainders[-1] < 0.02


@pytest.mark.parametrize("name", CELLS)
def test_elastic_unloading_returns_to_the_elastic_tangent(name: str) -> None:
    cell = traction_cell(name, PLASTIC)
    elastic = evaluate_one(cell, cell.measure.rest).tangent[0]
    load = 0.03 * np.random.default_rng(8).uniform(-1.0, 1.0, cell.measure.size)
    for gradient in np.linspace(0.2, 1.0, 5)[:, None] * load:
        loaded = evaluate_one(cell, gradient)
        cell.commit()
    assert relative_error(loaded.tangent[0], elastic) > 0.05
    unloaded = evaluate_one(cell, 0.99 * load)
    assert relative_error(unloaded.tangent[0], elastic) < 1e-9
    assert relative_error(unloaded.flux[0], loaded.flux[0] - 0.01 * elastic @ load) < 1e-9


@pytest.mark.parametrize("name", CELLS)
def test_rotated_deformation_gives_rotated_stress(name: str) -> None:
    """P(QF) = Q P(F): the springs that hold the factorised stiffness are not felt."""
    cell = traction_cell(name, SOFT[Physics.FINITE_STRAIN])
    measure, d = cell.measure, cell.measure.dimension
    deformation = np.eye(d) + 0.1 * np.random.default_rng(5).uniform(-1.0, 1.0, (d, d))
    plain = measure.to_tensor(evaluate_one(cell, measure.to_vector(deformation)).flux[0])
    for angle in np.linspace(0.2, 1.0, 5):
        turn = np.eye(d)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        turned = measure.to_tensor(evaluate_one(cell, measure.to_vector(turn @ deformation)).flux[0])
        assert relative_error(turned, turn @ plain) < 1e-9


@pytest.mark.parametrize(("element", "normal"), [("quadrilateral", "x"), ("triangle", "y"), ("hexahedron", "z")])
def test_layers_in_series_share_the_traction(element: str, normal: str) -> None:
    """A flux across layers is uniform in the exact solution, if ν = 0: compliances add up by volume."""
    fraction, axis = 0.4, "xyz".index(normal)
    geometry = layers(normal, fraction)
    laws = (law("conductive", k=1.0), law("conductive", k=7.0))
    resistance = np.linalg.inv(tangent_at_rest(Physics.HEAT, geometry, laws, element, "traction"))
    assert resistance[axis, axis] == pytest.approx(fraction / 1.0 + (1.0 - fraction) / 7.0, rel=1e-12)

    laws = (law("elastic", E=1.0, nu=0.0), law("elastic", E=7.0, nu=0.0))
    stiffness = tangent_at_rest(Physics.SMALL_STRAIN, geometry, laws, element, "traction")
    pairs = Measure(Physics.SMALL_STRAIN, 3 if element == "hexahedron" else 2).index_pairs
    compliance = np.linalg.inv(stiffness)
    across = [k for k, pair in enumerate(pairs) if axis in pair]
    # ν = 0: the Mandel compliance is 1/E in tension and 1/(2μ) = 1/E in shear
    exact = (fraction / 1.0 + (1.0 - fraction) / 7.0) * np.eye(len(across))
    assert np.allclose(compliance[np.ix_(across, across)], exact, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("physics", [Physics.SMALL_STRAIN, Physics.HEAT])
@pytest.mark.parametrize(
    ("labels", "tiles", "element"),
    [
        (np.pad(np.ones((2, 2), dtype=int), ((1, 2), (1, 1))), (1, 2, 4), "quadrilateral"),
        (np.pad(np.ones((1, 2, 1), dtype=int), ((1, 1), (0, 1), (1, 1))), (1, 2), "hexahedron"),
    ],
    ids=["2D", "3D"],
)
def test_between_traction_and_linear_displacement_the_gap_closes(
    labels: NDArray[np.int64], tiles: tuple[int, ...], element: str, physics: Physics, tmp_path: Path
) -> None:
    """Traction ≤ periodic ≤ linear in the sense of Loewner, and closer together the more periods the cell has."""
    tangents: dict[str, list[FloatArray]] = {"traction": [], "periodic": [], "linear": []}
    for n in tiles:
        np.save(tmp_path / "labels.npy", np.tile(labels, (n,) * labels.ndim))
        geometry = Voxels(str(tmp_path / "labels.npy"))
        for boundary, found in tangents.items():
            found.append(tangent_at_rest(physics, geometry, (SOFT[physics], STIFF[physics]), element, boundary))
    scale = np.abs(tangents["periodic"][0]).max()
    for other in tangents["periodic"][1:]:
        assert np.allclose(other, tangents["periodic"][0], atol=1e-11 * scale)

    ordered = [*tangents["traction"], tangents["periodic"][0], *reversed(tangents["linear"])]
    for softer, stiffer in itertools.pairwise(ordered):
        assert np.linalg.eigvalsh(stiffer - softer).min() > -1e-11 * scale
    for side in ("traction", "linear"):
        gaps = [np.linalg.norm(tangent - tangents["periodic"][0]) / scale for tangent in tangents[side]]
        assert gaps[0] > 0.01
        assert all(following < 0.7 * gap for gap, following in itertools.pairwise(gaps))


@pytest.mark.parametrize("physics", [Physics.SMALL_STRAIN, Physics.HEAT])
@pytest.mark.parametrize(("geometry", "element"), [(fibre(6), "triangle"), (sphere(2), "tetrahedron")])
def test_a_void_inside_is_the_limit_of_a_soft_phase(physics: Physics, geometry: Inclusion, element: str) -> None:
    soft = {Physics.SMALL_STRAIN: law("elastic", E=1e-6, nu=0.3), Physics.HEAT: law("conductive", k=1e-9)}[physics]
    empty, filled = (
        tangent_at_rest(physics, geometry, (SOFT[physics], inside), element, "traction") for inside in (VOID, soft)
    )
    assert relative_error(empty, filled) < 1e-7


def test_voids_that_cut_the_boundary_are_refused() -> None:
    solid = SOFT[Physics.HEAT]
    with pytest.raises(ValueError, match=r"second cuts it: 40\.0% of the faces normal to y .* use periodic"):
        tangent_at_rest(Physics.HEAT, Laminate(fraction=0.4), (solid, VOID), "quadrilateral", "traction")
    measure = Measure(Physics.HEAT, 2)
    with pytest.raises(ValueError, match="a hole cuts it"):
        make_cell(measure, Voids(4, 0.3, resolution=8), (solid,), "triangle", 1, boundary="traction")


def test_an_island_in_a_void_is_refused(tmp_path: Path) -> None:
    labels = np.zeros((5, 5), dtype=int)
    labels[1:4, 1:4] = 1
    labels[2, 2] = 0
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(ValueError, match="in pieces without label_1"):
        tangent_at_rest(
            Physics.HEAT, Voxels(str(tmp_path / "labels.npy")), (SOFT[Physics.HEAT], VOID), "quadrilateral", "traction"
        )


@pytest.mark.parametrize("name", ["triangle", "tetrahedron"])
def test_the_factor_is_definite_where_the_cell_is_stable(name: str) -> None:
    """Compression would turn a cell under dead tractions over; the stiffness alone is indefinite, with springs not."""
    cell = traction_cell(name, SOFT[Physics.FINITE_STRAIN])
    for compression in (0.02, 0.04, 0.05):
        evaluate_one(cell, (1.0 - compression) * cell.measure.rest)
        cell.commit()
    assert cell.statistics().get("indefinite_factorizations", 0) == 0
