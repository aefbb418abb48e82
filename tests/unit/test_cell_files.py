"""Cells from gmsh files: phases by name, any place, faces that must match, what is refused."""

from pathlib import Path

import gmsh
import numpy as np
import pytest
from dolfinx import fem

from meshes.cells import MeshFile, build_cell_mesh, periodic_map
from meshes.errors import MeshError
from meshes.gmsh_model import gmsh_session, translation


def write(file: Path, periodic: bool = True, corner: float = -1.0) -> Path:
    """The box [corner, corner + 2] × [corner, corner + 1], left of the middle `left`, right of it `right`."""
    with gmsh_session("test"):
        occ, mesh = gmsh.model.occ, gmsh.model.mesh
        occ.addRectangle(corner, corner, 0.0, 1.0, 1.0, 1)
        occ.addRectangle(corner + 1.0, corner, 0.0, 1.0, 1.0, 2)
        occ.fragment([(2, 1)], [(2, 2)])
        occ.synchronize()

        def curves(axis: int, at: float) -> list[int]:
            found = [tag for _, tag in gmsh.model.getEntities(1)]
            boxes = {tag: np.array(gmsh.model.getBoundingBox(1, tag)) for tag in found}
            on = [tag for tag in found if np.allclose(boxes[tag][[axis, axis + 3]], at, atol=1e-5)]
            return sorted(on, key=lambda tag: boxes[tag][1 - axis])

        for tag in curves(0, corner + 2.0):
            mesh.setTransfiniteCurve(tag, 6)
        if periodic:
            mesh.setPeriodic(1, curves(0, corner + 2.0), curves(0, corner), translation(0, 2.0))
            mesh.setPeriodic(1, curves(1, corner + 1.0), curves(1, corner), translation(1))
        else:
            mesh.setTransfiniteCurve(curves(0, corner)[0], 6, "Progression", 1.1)
        gmsh.option.setNumber("Mesh.MeshSizeMax", 0.25)
        gmsh.model.addPhysicalGroup(2, [2], name="right")
        gmsh.model.addPhysicalGroup(2, [1], name="left")
        mesh.generate(2)
        gmsh.write(str(file))
    return file


def test_phases_are_the_physical_groups(tmp_path: Path) -> None:
    geometry = MeshFile(write(tmp_path / "cell.msh"))
    for given in (None, ["left", "right"], ["right", "left"]):
        cell = build_cell_mesh(geometry, 2, "triangle", given)
        assert cell.phases == {"right": 1, "left": 2}
        assert cell.size == pytest.approx([2.0, 1.0], rel=1e-14)
        x = cell.mesh.geometry.x[cell.mesh.geometry.dofmap].mean(axis=1)
        assert np.array_equal(cell.cell_tags.values == cell.phases["left"], x[:, 0] < 1.0)
        space = fem.functionspace(cell.mesh, ("Lagrange", 2))
        nodes = space.tabulate_dof_coordinates()[:, :2]
        shift = (nodes - nodes[periodic_map(space, cell.size)]) / cell.size
        assert shift == pytest.approx(np.round(shift), abs=1e-15)


def test_faces_that_do_not_match_are_refused(tmp_path: Path) -> None:
    geometry = MeshFile(write(tmp_path / "cell.msh", periodic=False))
    with pytest.raises(
        MeshError, match=r"opposite faces .* on x = 0 there are 6 nodes, .* worst mismatch is 0\.0\d+; in"
    ):
        build_cell_mesh(geometry, 2, "triangle")


def test_other_phases_elements_and_files_are_refused(tmp_path: Path) -> None:
    geometry = MeshFile(write(tmp_path / "cell.msh"))
    with pytest.raises(MeshError, match=r"has the physical groups right, left, given are the phases left, middle"):
        build_cell_mesh(geometry, 2, "triangle", ["left", "middle"])
    with pytest.raises(MeshError, match=r"not quadrilateral: set element to triangle"):
        build_cell_mesh(geometry, 2, "quadrilateral")
    with pytest.raises(MeshError, match=r"nowhere\.msh is no file that exists"):
        build_cell_mesh(MeshFile(tmp_path / "nowhere.msh"), 2, "triangle")
