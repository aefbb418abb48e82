"""Cells: volume fractions, interfaces, matching faces, periodic relabelling, connectivity of what is solid."""

import math

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI
from pydantic import TypeAdapter, ValidationError

from meshes.cells import (
    CELL_GENERATORS,
    SIMPLEX_CELLS,
    CellGeometry,
    CellMesh,
    Hexagonal,
    Inclusion,
    Laminate,
    Polycrystal,
    RandomInclusions,
    boundary_nodes,
    build_cell_mesh,
    periodic_map,
    solid_is_connected,
    solid_pieces,
)
from meshes.distribution import distribute
from meshes.dolfinx_compat import coordinate_degree, coordinate_dofs
from meshes.errors import MeshError

CELLS: list[tuple[CellGeometry, int, str]] = [
    (Inclusion(0.3, 8), 2, "triangle"),
    (Inclusion(0.3, 6), 3, "tetrahedron"),
    (Laminate(0.3, "x", 3), 2, "triangle"),
    (Laminate(0.3, "y", 4), 2, "quadrilateral"),
    (Laminate(0.3, "z", 3), 3, "tetrahedron"),
    (Laminate(0.3, "y", 2), 3, "hexahedron"),
    (Laminate(0.6, "x", 1), 2, "triangle"),
    (Laminate(0.6, "x", 1), 3, "hexahedron"),
    (Hexagonal(0.6, 6), 2, "triangle"),
    (RandomInclusions(8, 0.4, 0.3, resolution=16, size=(2.0, 1.0)), 2, "triangle"),
    (Polycrystal(7, seed=2, resolution=8), 2, "triangle"),
    (Inclusion(0.3, 8, "ellipse", 3.0, 30.0), 2, "triangle"),
    (Inclusion(0.1, 3, size=(1.0, 1.4, 0.9)), 3, "tetrahedron"),
    (Laminate(0.3, "y", 2, (2.0, 0.7)), 2, "quadrilateral"),
    (RandomInclusions(2, 0.2, resolution=4), 3, "tetrahedron"),
]


def phase_volumes(cell: CellMesh) -> dict[str, float]:
    """Volume of each phase, from the dolfinx mesh, whose elements are simplices or straight boxes."""
    x = cell.mesh.geometry.x[coordinate_dofs(cell.mesh)][:, :, : len(cell.size)]
    edges = x[:, 1:] - x[:, :1]
    if x.shape[1] == len(cell.size) + 1:
        volumes = np.abs(np.linalg.det(edges)) / math.factorial(len(cell.size))
    else:
        volumes = np.ptp(x, axis=1).prod(axis=1)
    return {name: float(volumes[cell.cell_tags.values == tag].sum()) for name, tag in cell.phases.items()}


@pytest.mark.parametrize("fraction", [0.001, 0.05, 0.3, 0.6, 0.75])
@pytest.mark.parametrize("resolution", [2, 5, 16])
def test_circle_meets_the_volume_fraction(fraction: float, resolution: int) -> None:
    cell = build_cell_mesh(Inclusion(fraction, resolution), 2, "triangle")
    assert phase_volumes(cell) == pytest.approx({"matrix": 1 - fraction, "inclusion": fraction}, rel=1e-12)
    assert cell.descriptors["volume_fraction_inclusion"] == pytest.approx(fraction, rel=1e-12)
    assert cell.volume == 1.0


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.45])
@pytest.mark.parametrize("resolution", [3, 8])
def test_sphere_meets_the_volume_fraction(fraction: float, resolution: int) -> None:
    cell = build_cell_mesh(Inclusion(fraction, resolution), 3, "tetrahedron")
    assert phase_volumes(cell) == pytest.approx({"matrix": 1 - fraction, "inclusion": fraction}, rel=1e-12)


@pytest.mark.parametrize(("dimension", "element"), [(2, "triangle"), (3, "tetrahedron")])
def test_the_interface_is_round_and_in_the_middle(dimension: int, element: str) -> None:
    mesh = Inclusion(0.3, 8).build(dimension, element)
    sides = [np.unique(mesh.cells[mesh.cell_tags == tag]) for tag in (1, 2)]
    offset = mesh.points[np.intersect1d(*sides)] - 0.5
    radius = (0.3 / (math.pi if dimension == 2 else 4 / 3 * math.pi)) ** (1 / dimension)
    distance = np.linalg.norm(offset, axis=1)
    assert np.ptp(distance) < 1e-9
    assert radius < distance.mean() < 1.03 * radius


@pytest.mark.parametrize("resolution", [4, 9, 16])
def test_resolution_counts_the_elements_along_an_edge(resolution: int) -> None:
    for dimension, element in ((2, "triangle"), (3, "tetrahedron")) if resolution < 10 else ((2, "triangle"),):
        points = Inclusion(0.2, resolution).build(dimension, element).points
        along = points[np.all(points[:, 1:] == 0.0, axis=1), 0]
        assert np.sort(along) == pytest.approx(np.linspace(0, 1, resolution + 1), abs=1e-8)


def test_elements_are_well_shaped() -> None:
    for dimension, element, least in ((2, "triangle", 0.5), (3, "tetrahedron", 0.1)):
        mesh = Inclusion(0.3, 8).build(dimension, element)
        x = mesh.vertices()
        pairs = [(i, j) for i in range(dimension + 1) for j in range(i)]
        edge = np.sqrt(np.mean([((x[:, i] - x[:, j]) ** 2).sum(axis=1) for i, j in pairs], axis=0))
        regular = {2: math.sqrt(3) / 4, 3: 1 / (6 * math.sqrt(2))}[dimension]
        assert (mesh.volumes() / (regular * edge**dimension)).min() > least


@pytest.mark.parametrize("normal", ["x", "y", "z"])
@pytest.mark.parametrize("resolution", [1, 2, 5])
@pytest.mark.parametrize("element", ["triangle", "quadrilateral", "tetrahedron", "hexahedron"])
def test_laminate_interfaces_lie_on_element_edges(element: str, resolution: int, normal: str) -> None:
    dimension = 2 if element in ("triangle", "quadrilateral") else 3
    axis = "xyz".index(normal)
    if axis >= dimension:
        with pytest.raises(MeshError, match="normal z needs dimension 3"):
            build_cell_mesh(Laminate(0.37, "z"), dimension, element)
        return
    cell = build_cell_mesh(Laminate(0.37, normal, resolution), dimension, element, phases=["stiff", "soft"])
    assert phase_volumes(cell) == pytest.approx({"stiff": 0.37, "soft": 0.63}, rel=1e-13)
    x = cell.mesh.geometry.x[coordinate_dofs(cell.mesh)][:, :, axis]
    first = cell.cell_tags.values == cell.phases["stiff"]
    assert x[first].max() == 0.37 == x[~first].min()
    assert len(np.unique(x)) == max(resolution, 2) + 1


def test_a_thin_layer_keeps_an_element() -> None:
    for fraction in (0.001, 0.999):
        cell = build_cell_mesh(Laminate(fraction, "x", 4), 2, "quadrilateral")
        assert phase_volumes(cell) == pytest.approx({"first": fraction, "second": 1 - fraction}, rel=1e-10)
        assert cell.descriptors["elements"] == 16


@pytest.mark.parametrize(("geometry", "dimension", "element"), CELLS)
def test_elements_are_positively_oriented_and_every_node_is_used(
    geometry: CellGeometry, dimension: int, element: str
) -> None:
    mesh = geometry.build(dimension, element)
    assert mesh.element.corner_jacobians(mesh.vertices()).min() > 0.0
    assert np.array_equal(np.unique(mesh.cells), np.arange(len(mesh.points)))


@pytest.mark.parametrize(("geometry", "dimension", "element"), CELLS)
@pytest.mark.parametrize("degree", [1, 2])
def test_periodic_map_identifies_images(geometry: CellGeometry, dimension: int, element: str, degree: int) -> None:
    cell = build_cell_mesh(geometry, dimension, element)
    space = fem.functionspace(cell.mesh, ("Lagrange", degree, (dimension,)))
    master = periodic_map(space, cell.size)
    x = space.tabulate_dof_coordinates()[:, :dimension]
    shift = (x - x[master]) / cell.size
    assert shift == pytest.approx(np.round(shift), abs=1e-15)
    assert np.array_equal(master[master], master)
    # A node is its own master exactly if it lies on no high face; so all images have one common master.
    high = np.any(x > cell.size - 1e-9, axis=1)
    assert np.array_equal(master != np.arange(len(master)), high)
    corners = np.all((x < 1e-9) | (x > cell.size - 1e-9), axis=1)
    assert corners.sum() == 2**dimension
    assert len(np.unique(master[corners])) == 1
    assert np.array_equal(boundary_nodes(space, cell.size), np.any((x < 1e-9) | (x > cell.size - 1e-9), axis=1))


@pytest.mark.parametrize(("geometry", "dimension", "element"), CELLS)
@pytest.mark.parametrize("degree", [1, 2])
def test_a_periodic_function_is_continuous_across_the_faces(
    geometry: CellGeometry, dimension: int, element: str, degree: int
) -> None:
    """∫ ∇w over the cell vanishes for every periodic w, and does not for most others."""
    cell = build_cell_mesh(geometry, dimension, element)
    space = fem.functionspace(cell.mesh, ("Lagrange", degree))
    w = fem.Function(space)
    random = np.random.default_rng(0).standard_normal(len(w.x.array))

    def mean_gradient(values: np.ndarray) -> float:
        w.x.array[:] = values
        return max(abs(fem.assemble_scalar(fem.form(ufl.grad(w)[i] * ufl.dx))) for i in range(dimension))

    assert mean_gradient(random[periodic_map(space, cell.size)]) < 1e-13
    assert mean_gradient(random) > 1e-3


def test_periodic_map_of_a_rectangular_cell() -> None:
    arrays = Laminate(0.5, "x", 3).build(2, "triangle")
    size = np.array([2.0, 0.5])
    mesh = distribute(MPI.COMM_SELF, arrays._replace(points=arrays.points * size))[0]
    space = fem.functionspace(mesh, ("Lagrange", 2))
    master = periodic_map(space, size)
    assert len(np.unique(master)) == 36
    shift = (space.tabulate_dof_coordinates()[:, :2] - space.tabulate_dof_coordinates()[master][:, :2]) / size
    assert shift == pytest.approx(np.round(shift), abs=1e-12)


def test_faces_that_do_not_match_are_refused_with_the_worst_mismatch() -> None:
    arrays = Laminate(0.5, "x", 4).build(2, "triangle")
    points = arrays.points.copy()
    on_top = (points[:, 1] == 1.0) & (points[:, 0] == 0.25)
    points[on_top, 0] += 0.0125
    mesh = distribute(MPI.COMM_SELF, arrays._replace(points=points))[0]
    space = fem.functionspace(mesh, ("Lagrange", 1))
    with pytest.raises(MeshError, match=r"must match: on y = 0 there are 5 nodes, on y = 1 5, .* mismatch is 0\.0125"):
        periodic_map(space, np.ones(2))
    with pytest.raises(MeshError, match=r"no nodes on its x = 2 face"):
        periodic_map(space, np.array([2.0, 1.0]))


@pytest.mark.parametrize(
    ("geometry", "dimension", "element", "voids", "percolation", "connected", "conducts"),
    [
        (Inclusion(0.3, 6), 2, "triangle", ["inclusion"], [2], True, True),
        (Inclusion(0.3, 6), 2, "triangle", ["matrix"], [0], False, True),
        (Inclusion(0.3, 6), 2, "triangle", [], [2], True, True),
        (Inclusion(0.2, 5), 3, "tetrahedron", ["inclusion"], [3], True, True),
        (Inclusion(0.2, 5), 3, "tetrahedron", ["matrix"], [0], False, True),
        (Laminate(0.3, "x", 3), 2, "quadrilateral", ["first"], [1], True, True),
        (Laminate(0.3, "x", 1), 3, "tetrahedron", ["first"], [2], True, True),
        (Laminate(0.3, "y", 2), 3, "hexahedron", ["second"], [2], True, True),
        (Laminate(0.3, "y", 2), 2, "triangle", ["first", "second"], [], False, False),
    ],
)
def test_what_stays_solid_around_voids(
    geometry: CellGeometry,
    dimension: int,
    element: str,
    voids: list[str],
    percolation: list[int],
    connected: bool,
    conducts: bool,
) -> None:
    cell = build_cell_mesh(geometry, dimension, element)
    pieces = solid_pieces(cell, voids)
    assert [piece.percolation for piece in pieces] == percolation
    solid = ~np.isin(cell.cell_tags.values, [cell.phases[name] for name in voids])
    assert sum(len(piece.cells) for piece in pieces) == solid.sum()
    assert solid_is_connected(cell, voids) is connected
    assert solid_is_connected(cell, voids, mechanical=False) is conducts


def test_two_islands_and_a_fibre_are_told_apart() -> None:
    """Columns of solid on a 4 × 4 × 4 lattice: a fibre along z turns about its axis; two fibres are two pieces."""
    arrays = Laminate(0.5, "x", 4).build(3, "hexahedron")
    middle = arrays.vertices().mean(axis=1)

    def cell(solid: np.ndarray) -> CellMesh:
        mesh, tags, *_ = distribute(MPI.COMM_SELF, arrays._replace(cell_tags=np.where(solid, 1, 2)))
        return CellMesh(mesh, tags, {"solid": 1, "void": 2}, np.ones(3), 1.0, {})

    fibre = np.all(middle[:, :2] < 0.25, axis=1)
    opposite = np.all(middle[:, :2] > 0.75, axis=1)  # touches the fibre's images along an edge only
    beside = (middle[:, 0] > 0.75) & (middle[:, 1] < 0.25)  # touches them through the periodic faces
    assert [p.percolation for p in solid_pieces(cell(fibre), ["void"])] == [1]
    assert not solid_is_connected(cell(fibre), ["void"])
    assert [p.percolation for p in solid_pieces(cell(fibre | opposite), ["void"])] == [1, 1]
    assert [len(p.cells) for p in solid_pieces(cell(fibre | beside), ["void"])] == [8]


@pytest.mark.parametrize(
    ("geometry", "dimension", "element", "message"),
    [
        (Inclusion(0.3), 2, "quadrilateral", "curved inclusion cannot be meshed with quadrilateral elements: use tri"),
        (
            Inclusion(0.3),
            3,
            "hexahedron",
            "curved inclusion cannot be meshed with hexahedron elements: use tetra",
        ),
        (Inclusion(0.3), 2, "tetrahedron", "no element 'tetrahedron' in 2D: use triangle or quadrilateral"),
        (Inclusion(0.3), 2, "brick", "no element 'brick' in 2D"),
        (Inclusion(0.3, shape="sphere"), 2, "triangle", "a sphere is no shape in 2D: use circle or ellipse"),
        (Inclusion(0.3, shape="circle"), 3, "tetrahedron", "a circle is no shape in 3D: use sphere"),
        (Inclusion(0.3, 10_000), 2, "triangle", "resolution 10000 is too fine for a 2D cell: use 500 at most"),
        (Laminate(0.3, "x", 10**6), 2, "triangle", "make 2e[+]12 triangle elements: 1e[+]07 are possible"),
        (Inclusion(0.8), 2, "triangle", r"circle of volume fraction 0\.8 does not fit .* at most 0\.7542 is possible"),
        (Inclusion(0.5), 3, "tetrahedron", r"sphere of volume fraction 0\.5 does not fit .* at most 0\.4928 is poss"),
    ],
)
def test_cells_that_cannot_be_are_refused(geometry: CellGeometry, dimension: int, element: str, message: str) -> None:
    with pytest.raises(MeshError, match=message):
        build_cell_mesh(geometry, dimension, element)


def test_the_largest_inclusions_named_by_the_errors_can_be_built() -> None:
    for dimension, element, fraction in ((2, "triangle", 0.7542), (3, "tetrahedron", 0.4928)):
        cell = build_cell_mesh(Inclusion(fraction, 6), dimension, element)
        assert cell.descriptors["volume_fraction_inclusion"] == pytest.approx(fraction, rel=1e-12)


def test_phase_names() -> None:
    assert build_cell_mesh(Inclusion(), 2, "triangle", ["inclusion", "matrix"]).phases == {"matrix": 1, "inclusion": 2}
    assert build_cell_mesh(Laminate(), 2, "triangle", ["b", "a"]).phases == {"b": 1, "a": 2}
    with pytest.raises(MeshError, match=r"matrix and inclusion, given are matrix, fibre"):
        build_cell_mesh(Inclusion(), 2, "triangle", ["matrix", "fibre"])
    with pytest.raises(MeshError, match=r"a laminate has two phases, given are 3: a, b, c"):
        build_cell_mesh(Laminate(), 2, "triangle", ["a", "b", "c"])


def test_the_same_parameters_give_the_same_mesh() -> None:
    for dimension, element in ((2, "triangle"), (3, "tetrahedron")):
        one, two = (Inclusion(0.25, 5).build(dimension, element) for _ in range(2))
        assert np.array_equal(one.points, two.points)
        assert np.array_equal(one.cells, two.cells)


def test_a_cell_is_the_same_on_all_ranks() -> None:
    comm = MPI.COMM_WORLD
    cell = build_cell_mesh(Inclusion(0.3, 6), 2, "triangle", comm=comm)
    x = cell.mesh.geometry.x[coordinate_dofs(cell.mesh)]
    assert np.array_equal(x, comm.bcast(x))
    assert coordinate_degree(cell.mesh) == 1
    assert cell.mesh.comm.size == 1


@pytest.mark.parametrize(
    ("name", "parameters", "key"),
    [
        ("inclusion", {"volume_fraction": 0.0}, ("volume_fraction",)),
        ("inclusion", {"volume_fraction": "much"}, ("volume_fraction",)),
        ("inclusion", {"resolution": 1}, ("resolution",)),
        ("inclusion", {"shape": "cube"}, ("shape",)),
        ("laminate", {"fraction": 1.0}, ("fraction",)),
        ("laminate", {"fraction": math.nan}, ("fraction",)),
        ("laminate", {"normal": "w"}, ("normal",)),
        ("laminate", {"resolution": 2.5}, ("resolution",)),
    ],
)
def test_case_parameters_are_checked(name: str, parameters: dict[str, object], key: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(CELL_GENERATORS[name]).validate_python(parameters)
    assert [error["loc"] for error in refused.value.errors()] == [key]


def test_generators_are_made_from_case_parameters() -> None:
    made = TypeAdapter(CELL_GENERATORS["inclusion"]).validate_python({"volume_fraction": 0.2, "resolution": 4})
    assert made == Inclusion(0.2, 4)
    names = {"inclusion", "laminate", "hexagonal", "random_inclusions", "voids", "polycrystal", "voxels"}
    assert set(CELL_GENERATORS) == names
    assert set(CELL_GENERATORS) > SIMPLEX_CELLS
