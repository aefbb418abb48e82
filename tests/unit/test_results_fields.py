from xml.etree import ElementTree as ET

import h5py
import numpy as np
import pytest
import ufl
from dolfinx import fem, io, mesh
from mpi4py import MPI

from solver.results.elements import CORNERS
from solver.results.fields import cell_average
from solver.results.gathered_mesh import GatheredMesh
from solver.results.point_fields import von_mises
from solver.results.xdmf import XdmfSeries

CELLS = ["triangle", "quadrilateral", "tetrahedron", "hexahedron"]

# Which corners each further node lies between, from the documentation of vtkQuadraticTriangle, vtkBiQuadraticQuad,
# vtkQuadraticTetra and vtkTriQuadraticHexahedron (edges; faces −x +x −y +y −z +z; centre).
VTK_MIDDLES = {
    "triangle": ["01", "12", "20"],
    "quadrilateral": ["01", "12", "23", "30", "0123"],
    "tetrahedron": ["01", "12", "20", "03", "13", "23"],
    "hexahedron": [
        *("01", "12", "23", "30", "45", "56", "67", "74", "04", "15", "26", "37"),
        *("0473", "1265", "0154", "2376", "0123", "4567", "01234567"),
    ],
}


def space_on(cell: str, degree: int) -> fem.FunctionSpace:
    kind = mesh.CellType[cell]
    if cell in ("triangle", "quadrilateral"):
        domain = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [2, 1]], [3, 2], kind)
    else:
        domain = mesh.create_box(MPI.COMM_SELF, [[0, 0, 0], [2, 1, 1]], [3, 2, 2], kind)
    return fem.functionspace(domain, ("Lagrange", degree))


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_cells_list_their_nodes_as_vtk_does(cell, degree):
    gathered = GatheredMesh(space_on(cell, degree))
    x = gathered.points[gathered.cells]
    corners = len(CORNERS[cell])
    if degree == 2:
        for node, group in enumerate(VTK_MIDDLES[cell], start=corners):
            expected = x[:, [int(corner) for corner in group]].mean(axis=1)
            np.testing.assert_allclose(x[:, node], expected, atol=1e-14)
    else:
        assert x.shape[1] == corners
    if cell in ("quadrilateral", "hexahedron"):  # round the face, not across
        np.testing.assert_allclose(x[:, 0] + x[:, 2], x[:, 1] + x[:, 3], atol=1e-14)


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_nodal_values_stay_with_their_nodes(cell, degree):
    space = space_on(cell, degree)
    gathered = GatheredMesh(space)
    values = gathered.nodal(space.tabulate_dof_coordinates() @ np.array([1.0, 10.0, 100.0]))
    np.testing.assert_allclose(values, gathered.points @ np.array([1.0, 10.0, 100.0]), atol=1e-12)
    assert len(np.unique(gathered.cells)) == len(gathered.points)


def test_nodes_are_numbered_as_the_cells_meet_them():
    cells = GatheredMesh(space_on("triangle", 2)).cells.ravel()
    _, first = np.unique(cells, return_index=True)
    assert (np.diff(first) > 0).all()


@pytest.mark.parametrize("cell", CELLS)
def test_dolfinx_reads_the_mesh_back(tmp_path, cell):
    """An independent reader, with the order of nodes in XDMF built into it: the volume comes out right."""
    gathered = GatheredMesh(space_on(cell, 2))
    series = XdmfSeries(tmp_path / "f.xdmf", gathered.points, gathered.cells, gathered.element, gathered.degree)
    series.append(1, 0.5, {}, {})
    with io.XDMFFile(MPI.COMM_SELF, tmp_path / "f.xdmf", "r") as file:
        domain = file.read_mesh(name="step 1", xpath="/Xdmf/Domain/Grid")
    assert domain.geometry.cmap.degree == 2
    volume = fem.assemble_scalar(fem.form(fem.Constant(domain, 1.0) * ufl.dx))
    assert volume == pytest.approx(2.0, rel=1e-12)


@pytest.fixture
def series(tmp_path) -> XdmfSeries:
    gathered = GatheredMesh(space_on("quadrilateral", 1))
    series = XdmfSeries(tmp_path / "f.xdmf", gathered.points, gathered.cells, gathered.element, gathered.degree)
    for step in (1, 2, 3):
        nodal = {
            "displacement": step * np.ones((len(gathered.points), 2)),
            "temperature": np.zeros(len(gathered.points)),
        }
        series.append(step, 0.1 * step, nodal, {"stress": np.full((len(gathered.cells), 3, 3), float(step))})
    return series


def test_the_index_says_what_the_data_file_holds(series):
    grids = ET.parse(series.path).getroot().findall("./Domain/Grid/Grid")
    assert [float(grid.find("Time").get("Value")) for grid in grids] == [0.1, 0.2, pytest.approx(0.3)]
    with h5py.File(series.data) as file:
        for grid in grids:
            for item in grid.iter("DataItem"):
                name, _, dataset = item.text.partition(":")
                assert name == series.data.name
                assert tuple(map(int, item.get("Dimensions").split())) == file[dataset].shape
    kinds = {a.get("Name"): (a.get("AttributeType"), a.get("Center")) for a in grids[0].findall("Attribute")}
    expected = {"displacement": ("Vector", "Node"), "temperature": ("Scalar", "Node"), "stress": ("Tensor", "Cell")}
    assert kinds == expected


def test_a_restart_drops_later_steps(series):
    resumed = XdmfSeries.resume(series.path, keep_through=1)
    resumed.append(2, 0.15, {}, {})
    times = [float(time.get("Value")) for time in ET.parse(series.path).getroot().iter("Time")]
    assert times == [0.1, 0.15]


def test_cell_averages_weigh_by_volume():
    values = np.array([1.0, 3.0, 5.0, 5.0])
    np.testing.assert_allclose(cell_average(values, np.array([[3.0, 1.0], [1.0, 1.0]])), [1.5, 5.0])


def test_von_mises_of_uniaxial_tension_pressure_and_shear():
    stress = np.zeros((3, 3, 3))
    stress[0, 0, 0] = -7.0
    stress[1] = 4.0 * np.eye(3)
    stress[2, 0, 1] = stress[2, 1, 0] = 2.0
    np.testing.assert_allclose(von_mises(stress), [7.0, 0.0, 2.0 * np.sqrt(3.0)], atol=1e-14)
