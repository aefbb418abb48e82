"""A cell in plane strain against the same pattern extruded along z: stress, out-of-plane stress and tangent to 1e-8."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from materials.measures import Measure
from meshes.cells import CellGeometry, Hexagonal, Laminate, Voxels
from tests.verification.cells import STIFF, evaluate_one, make_cell, random_path, relative_error
from tests.verification.law_examples import EXAMPLES

LABELS = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 1], [0, 1, 0]])
PIXEL = (0.25, 0.5)
VOXEL_DEPTH = 0.3
EXTRUSIONS = [(name, 1, 1) for name in EXAMPLES] + [  # elements along z, degree
    (name, elements, degree)
    for name in ("elastic", "j2_linear", "neo_hookean", "conductive")
    for elements, degree in ((2, 1), (1, 2))
]


BOXES, SIMPLICES = ("quadrilateral", "hexahedron"), ("triangle", "tetrahedron")


def assert_extrusion_changes_nothing(
    name: str, flat: CellGeometry, deep: CellGeometry, degree: int, elements: tuple[str, str] = BOXES
) -> None:
    """Along a path in the plane that loads, turns and unloads."""
    law, size = EXAMPLES[name].law, EXAMPLES[name].size
    assert law.physics is not None
    plane, space = Measure(law.physics, 2), Measure(law.physics, 3)
    laws = (law, STIFF[law.physics])
    cells = (
        make_cell(plane, flat, laws, elements[0], degree),
        make_cell(space, deep, laws, elements[1], degree),
    )
    for cell in cells:
        cell.bind(np.zeros(1, dtype=np.int64))
    inside = plane.components_in_space
    for gradient in random_path(plane, size, steps=6, seed=5):
        in_space = space.rest.copy()
        in_space[inside] = gradient
        in_plane, extruded = evaluate_one(cells[0], gradient), evaluate_one(cells[1], in_space)
        assert relative_error(in_plane.flux, extruded.flux[:, inside]) < 1e-8
        assert relative_error(in_plane.tangent, extruded.tangent[:, inside][:, :, inside]) < 1e-8
        if plane.out_of_plane_name is not None:
            normal = space.index_pairs.index((2, 2))
            found = in_plane.outputs[plane.out_of_plane_name]
            assert found == pytest.approx(extruded.flux[:, normal], rel=1e-8)
            shear = np.setdiff1d(np.arange(space.size), [*inside, normal])
            assert np.abs(extruded.flux[:, shear]).max() < 1e-10 * np.abs(extruded.flux).max()
        for cell in cells:
            cell.commit()


@pytest.mark.parametrize(("name", "elements", "degree"), EXTRUSIONS)
def test_pixels_and_voxels(name: str, elements: int, degree: int, tmp_path: Path) -> None:
    pixels, voxels = tmp_path / "pixels.npy", tmp_path / "voxels.npy"
    np.save(pixels, LABELS)
    np.save(voxels, np.repeat(LABELS[:, :, None], elements, axis=2))
    size = tuple(length * count for length, count in zip(PIXEL, LABELS.shape, strict=True))
    deep = Voxels(str(voxels), (*size, VOXEL_DEPTH * elements))
    assert_extrusion_changes_nothing(name, Voxels(str(pixels), size), deep, degree)


@pytest.mark.parametrize("normal", ["x", "y"])
@pytest.mark.parametrize("name", ["elastic", "j2_linear", "neo_hookean"])
def test_layers(name: str, normal: Literal["x", "y"]) -> None:
    flat, deep = Laminate(0.3, normal, 2, (1.0, 2.0)), Laminate(0.3, normal, 2, (1.0, 2.0, 0.7))
    assert_extrusion_changes_nothing(name, flat, deep, 1)


@pytest.mark.parametrize("name", ["elastic", "j2_linear", "neo_hookean", "conductive"])
def test_hexagonal_fibres(name: str) -> None:
    """In one layer of linear tetrahedra every node is its own image along z, so that nothing can depend on z."""
    assert_extrusion_changes_nothing(name, Hexagonal(0.5, 4), Hexagonal(0.5, 4), 1, SIMPLICES)
