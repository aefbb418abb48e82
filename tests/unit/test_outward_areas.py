"""Integrals over the faces of a cell against the divergence theorem, ∫ f N dS = ∫ ∇f dV."""

import numpy as np
import pytest
from dolfinx import fem

from meshes.cells import Laminate, build_cell_mesh, outward_areas

ELEMENTS = {"triangle": 2, "quadrilateral": 2, "tetrahedron": 3, "hexahedron": 3}


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("element", ELEMENTS)
def test_divergence_theorem(element: str, degree: int) -> None:
    d = ELEMENTS[element]
    mesh = build_cell_mesh(Laminate(fraction=0.4, size=(1.5, 1.0, 0.5)[:d]), d, element)
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree, (d,)))
    areas = outward_areas(space, mesh.size)
    x = space.tabulate_dof_coordinates()[:, :d]
    assert np.allclose(areas.sum(axis=0), 0.0, atol=1e-13)
    assert np.allclose(x.T @ areas, mesh.volume * np.eye(d), atol=1e-13)
    if degree == 2:
        # ∇(x y) averages to (y, x) at the centre
        expected = np.zeros(d)
        expected[:2] = 0.5 * mesh.volume * mesh.size[1::-1]
        assert np.allclose((x[:, 0] * x[:, 1]) @ areas, expected, atol=1e-13)


def test_only_the_facets_of_some_elements() -> None:
    mesh = build_cell_mesh(Laminate(fraction=0.4, normal="x"), 2, "quadrilateral")
    space = fem.functionspace(mesh.mesh, ("Lagrange", 1))
    layer = mesh.cell_tags.find(1)
    assert np.allclose(np.abs(outward_areas(space, mesh.size, layer)).sum(axis=0), [1.0, 2.0 * 0.4])
