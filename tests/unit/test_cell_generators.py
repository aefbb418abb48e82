"""Hexagonal and random arrays, voids, grains and voxels: volume fractions, distances, labels, what is refused."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI
from PIL import Image

from meshes.cells import (
    CellGeometry,
    Hexagonal,
    Inclusion,
    Polycrystal,
    RandomInclusions,
    Voids,
    Voxels,
    build_cell_mesh,
    periodic_map,
)
from meshes.cells.packing import random_packing
from meshes.cells.polygons import INCLUSION
from meshes.errors import MeshError
from meshes.structured import exterior_facets


def quality(mesh) -> np.ndarray:
    """Area of every triangle over that of the equilateral one with the same mean square edge."""
    x = mesh.vertices()
    square = np.mean([((x[:, i] - x[:, j]) ** 2).sum(axis=1) for i, j in ((0, 1), (0, 2), (1, 2))], axis=0)
    return mesh.volumes() / (math.sqrt(3) / 4 * square)


@pytest.mark.parametrize("fraction", [0.001, 0.3, 0.6, 0.88])
@pytest.mark.parametrize("resolution", [3, 12])
def test_hexagonal_cell_meets_the_volume_fraction(fraction: float, resolution: int) -> None:
    cell = build_cell_mesh(Hexagonal(fraction, resolution), 2, "triangle")
    assert cell.descriptors["volume_fraction_inclusion"] == pytest.approx(fraction, rel=1e-10)
    assert cell.size == pytest.approx([1.0, math.sqrt(3.0)], rel=1e-15)


def test_hexagonal_fibres_have_six_neighbours_at_distance_one() -> None:
    mesh = Hexagonal(0.3, 10).build(2, "triangle")
    middle, inside = mesh.vertices().mean(axis=1), mesh.cell_tags == INCLUSION
    size = np.array([1.0, math.sqrt(3.0)])
    offset = middle - 0.5 * size
    offset -= size * np.round(offset / size)
    own = inside & (np.linalg.norm(offset, axis=1) < 0.5)
    assert mesh.volumes()[own].sum() == pytest.approx(0.5 * mesh.volumes()[inside].sum(), rel=1e-10)
    lattice = [(math.cos(k * math.pi / 3), math.sin(k * math.pi / 3)) for k in range(6)]
    for point in 0.5 * size + np.array(lattice):  # the images of the other fibre, and of this one
        shifted = middle - point
        shifted -= size * np.round(shifted / size)
        assert inside[np.linalg.norm(shifted, axis=1).argmin()]


@pytest.mark.parametrize("layers", [None, 3])
def test_hexagonal_fibres_along_z_are_those_of_the_plane(layers: int | None) -> None:
    mesh, plane = Hexagonal(0.4, 5, layers).build(3, "tetrahedron"), Hexagonal(0.4, 5).build(2, "triangle")
    size = np.array([1.0, math.sqrt(3.0), (layers or 1) / 5])
    assert np.ptp(mesh.points, axis=0) == pytest.approx(size, rel=1e-14)
    volumes = mesh.volumes()
    assert volumes[mesh.cell_tags == INCLUSION].sum() == pytest.approx(0.4 * size.prod(), rel=1e-10)
    assert volumes.sum() == pytest.approx(size.prod(), rel=1e-12)
    middle, flat = mesh.vertices().mean(axis=1), plane.vertices()
    edges = np.roll(flat, -1, axis=1) - flat
    offset = middle[:, None, None, :2] - flat
    inside = np.all(edges[..., 0] * offset[..., 1] - edges[..., 1] * offset[..., 0] > 0.0, axis=2)
    assert np.array_equal(inside.sum(axis=1), np.ones(len(middle)))
    assert np.array_equal(mesh.cell_tags, plane.cell_tags[inside.argmax(axis=1)])

    faces = exterior_facets(mesh.cells, mesh.element)  # inside, neighbours split their common sides alike
    x = mesh.points[faces]
    on_a_face = np.array([np.all(np.abs(x[..., a] - end) < 1e-12, axis=1) for a in range(3) for end in (0.0, size[a])])
    assert np.all(on_a_face.any(axis=0))
    for low, high in ((0, 1), (2, 3), (4, 5)):  # and so do opposite faces
        centres = [np.delete(x[on_a_face[side]].mean(axis=1), low // 2, axis=1) for side in (low, high)]
        one, two = (np.unique(np.round(c, 9), axis=0) for c in centres)
        assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("cell", "fraction"),
    [
        (RandomInclusions(1, 0.3), 0.3),
        (RandomInclusions(20, 0.5, gap=0.02, resolution=30), 0.5),
        (RandomInclusions(15, 0.45, 0.4, seed=5, resolution=24), 0.45),
        (RandomInclusions(6, 0.2, 0.9, seed=2, resolution=4), 0.2),
        (RandomInclusions(12, 0.3, seed=3, resolution=10, size=(3.0, 0.8)), 0.3),
    ],
)
def test_random_circles_meet_the_volume_fraction(cell: RandomInclusions, fraction: float) -> None:
    mesh = build_cell_mesh(cell, 2, "triangle")
    assert mesh.descriptors["volume_fraction_inclusion"] == pytest.approx(fraction, rel=1e-10)
    assert mesh.size == pytest.approx(cell.size or (1.0, 1.0), rel=1e-15)


def test_random_circles_are_meshed_well_for_many_seeds() -> None:
    for seed in range(10):
        mesh = RandomInclusions(10, 0.4, 0.3, seed=seed, resolution=20).build(2, "triangle")
        assert mesh.volumes()[mesh.cell_tags == INCLUSION].sum() == pytest.approx(0.4, rel=1e-10)
        assert quality(mesh).min() > 0.15


@pytest.mark.parametrize(
    "cell",
    [
        RandomInclusions(3, 0.25, 0.3, seed=2, resolution=5),
        RandomInclusions(6, 0.3, resolution=4, size=(1.0, 1.0, 1.3)),
    ],
)
def test_random_spheres_meet_the_volume_fraction(cell: RandomInclusions) -> None:
    mesh = build_cell_mesh(cell, 3, "tetrahedron")
    assert mesh.descriptors["volume_fraction_inclusion"] == pytest.approx(cell.volume_fraction, rel=1e-10)
    assert mesh.volume == pytest.approx(math.prod(cell.size or (1.0,)), rel=1e-12)


@pytest.mark.parametrize("size", [(1.0, 1.0), (2.0, 0.7), (1.0, 1.0, 1.5)])
def test_packings_keep_their_distance_across_the_faces(size: tuple[float, ...]) -> None:
    lengths = np.array(size)
    radii = np.linspace(0.05, 0.15, 12)
    centres = random_packing(lengths, radii, 0.02, 1)
    assert np.all((centres >= 0.0) & (centres < lengths))
    least = math.inf
    for shift in itertools.product((-1, 0, 1), repeat=len(size)):
        distance = np.linalg.norm(centres[:, None] - centres - np.array(shift) * lengths, axis=2)
        free = distance - radii[:, None] - radii
        if not any(shift):
            np.fill_diagonal(free, math.inf)
        least = min(least, float(free.min()))
    assert 0.02 <= least < 0.2
    assert not np.array_equal(centres, random_packing(lengths, radii, 0.02, 2))
    assert np.array_equal(centres, random_packing(lengths, radii, 0.02, 1))


def test_a_pattern_that_gmsh_fails_on_is_moved() -> None:
    """With this one in its first place, facets of the faces that it makes overlap."""
    cell = RandomInclusions(15, 0.3, 0.4, seed=7, resolution=4)
    mesh = build_cell_mesh(cell, 3, "tetrahedron")
    assert mesh.descriptors["volume_fraction_inclusion"] == pytest.approx(0.3, rel=1e-10)
    size = np.ones(3)
    one, two = (random_packing(size, np.full(9, 0.1), 0.01, 0, shift) for shift in (0, 1))
    assert np.abs(one - two).max() > 0.01
    offset = (one - one[0]) - (two - two[0])  # the same pattern
    assert offset == pytest.approx(np.round(offset), abs=1e-12)


@pytest.mark.parametrize("angle", [0.0, 25.0, -70.0])
def test_an_ellipse_has_its_axes_and_its_direction(angle: float) -> None:
    """Second moments of area: π a³ b / 4 about the short axis, turned by the angle."""
    mesh = Inclusion(0.15, 20, "ellipse", 2.5, angle, (1.2, 1.0)).build(2, "triangle")
    inside = mesh.cell_tags == INCLUSION
    volumes, x = mesh.volumes()[inside], mesh.vertices()[inside] - [0.6, 0.5]
    assert volumes.sum() == pytest.approx(0.15 * 1.2, rel=1e-12)
    total = x.sum(axis=1)
    moments = np.einsum("c,cvi,cvj->ij", volumes, x, x) / 12 + np.einsum("c,ci,cj->ij", volumes, total, total) / 12
    a, b = math.sqrt(0.18 * 2.5 / math.pi), math.sqrt(0.18 / 2.5 / math.pi)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]])
    exact = turn @ np.diag([math.pi * a**3 * b / 4, math.pi * a * b**3 / 4]) @ turn.T
    assert moments == pytest.approx(exact, abs=0.02 * exact.max())


def test_voids_are_left_out_and_counted() -> None:
    cell = build_cell_mesh(Voids(5, 0.35, 0.2, seed=1, resolution=16, size=(1.5, 1.0)), 2, "triangle", ["metal"])
    assert cell.phases == {"metal": 1}
    assert cell.volume == pytest.approx(1.5, rel=1e-14)
    assert cell.descriptors["volume_fraction_metal"] == pytest.approx(0.65, rel=1e-10)
    space = fem.functionspace(cell.mesh, ("Lagrange", 2))
    x = space.tabulate_dof_coordinates()[:, :2]
    shift = (x - x[periodic_map(space, cell.size)]) / cell.size
    assert shift == pytest.approx(np.round(shift), abs=1e-15)
    assert np.array_equal(np.round(shift), np.abs(x - cell.size) < 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_grains_are_the_points_nearest_to_theirs(seed: int) -> None:
    """The areas of grains against counting points of a fine lattice."""
    crystal = Polycrystal(6, relaxation=1, seed=seed, resolution=8, size=(1.2, 1.0))
    cell = build_cell_mesh(crystal, 2, "triangle")
    size = np.array([1.2, 1.0])
    seeds = crystal._seeds(size)
    n = 300
    axes = [(np.arange(n) + 0.5) / n * length for length in size]
    offset = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)[..., None, :] - seeds
    offset -= size * np.round(offset / size)
    counted = np.bincount((offset**2).sum(axis=-1).argmin(axis=-1).ravel(), minlength=6) / n**2
    fractions = [cell.descriptors[f"volume_fraction_grain_{i + 1}"] for i in range(6)]
    assert fractions == pytest.approx(counted, abs=2e-3)
    assert sum(fractions) == pytest.approx(1.0, rel=1e-12)


def test_grains_in_space_are_the_points_nearest_to_theirs() -> None:
    """The volumes of grains against counting random points."""
    size = np.array([1.2, 1.0, 0.8])
    crystal = Polycrystal(5, relaxation=1, seed=2, resolution=16, size=tuple(size))
    places = np.random.default_rng(0).random((40_000, 1, 3)) * size
    offset = places - crystal._seeds(size)
    offset -= size * np.round(offset / size)
    counted = np.bincount((offset**2).sum(axis=-1).argmin(axis=-1), minlength=5) / len(places)
    fractions = {}
    for element in ("hexahedron", "tetrahedron"):
        descriptors = build_cell_mesh(crystal, 3, element).descriptors
        fractions[element] = [descriptors[f"volume_fraction_grain_{i + 1}"] for i in range(5)]
    assert fractions["hexahedron"] == pytest.approx(counted, abs=0.01)
    assert fractions["tetrahedron"] == pytest.approx(fractions["hexahedron"], rel=1e-12)


def test_a_lattice_in_the_plane_has_the_grains_of_the_triangles() -> None:
    for resolution, tolerance in ((20, 0.02), (80, 0.004)):
        boxes, triangles = (
            build_cell_mesh(Polycrystal(6, seed=1, resolution=resolution), 2, element).descriptors
            for element in ("quadrilateral", "triangle")
        )
        for i in range(6):
            name = f"volume_fraction_grain_{i + 1}"
            assert boxes[name] == pytest.approx(triangles[name], abs=tolerance)


def test_relaxation_makes_grains_in_space_alike() -> None:
    spread = {}
    for steps in (0, 20):
        mesh = Polycrystal(12, relaxation=steps, resolution=12).build(3, "hexahedron")
        spread[steps] = np.std(np.bincount(mesh.cell_tags)[1:])
    assert spread[20] < 0.5 * spread[0]


def test_grains_can_share_phases() -> None:
    own = build_cell_mesh(Polycrystal(6, seed=3, resolution=8), 2, "triangle")
    two = build_cell_mesh(Polycrystal(6, 2, seed=3, resolution=8), 2, "triangle", ["a", "b"])
    grain = [own.descriptors[f"volume_fraction_grain_{i + 1}"] for i in range(6)]
    assert two.descriptors["volume_fraction_a"] == pytest.approx(sum(grain[::2]), rel=1e-12)
    assert two.descriptors["volume_fraction_b"] == pytest.approx(sum(grain[1::2]), rel=1e-12)


def test_relaxation_makes_grains_alike() -> None:
    spread = {}
    for steps in (0, 20):
        cell = build_cell_mesh(Polycrystal(12, relaxation=steps, resolution=8), 2, "triangle")
        spread[steps] = np.std([v for name, v in cell.descriptors.items() if name.startswith("volume_fraction")])
    assert spread[20] < 0.5 * spread[0]


@pytest.mark.parametrize(("dimension", "element"), [(2, "quadrilateral"), (2, "triangle"), (3, "hexahedron")])
def test_voxels_have_the_phase_of_their_label(dimension: int, element: str, tmp_path: Path) -> None:
    labels = np.random.default_rng(0).choice([-3, 4, 9], (5, 4, 3)[:dimension])
    np.save(tmp_path / "labels.npy", labels)
    mesh = Voxels(str(tmp_path / "labels.npy")).build(dimension, element)
    shape = np.array(labels.shape)
    assert np.ptp(mesh.points, axis=0) == pytest.approx(shape / shape.min())
    voxel = np.floor(mesh.vertices().mean(axis=1) * shape.min()).astype(int)
    assert np.array_equal(np.array([-3, 4, 9])[mesh.cell_tags - 1], labels[tuple(voxel.T)])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_an_image_is_seen_upright(suffix: str, tmp_path: Path) -> None:
    grey = np.zeros((4, 8), dtype=np.uint8)
    grey[0, :2] = 200  # upper left
    Image.fromarray(grey).save(tmp_path / f"image.{suffix}")
    cell = build_cell_mesh(Voxels(str(tmp_path / f"image.{suffix}"), (4.0, 1.0)), 2, "quadrilateral", ["dark", "light"])
    mesh = Voxels(str(tmp_path / f"image.{suffix}"), (4.0, 1.0)).build(2, "quadrilateral")
    light = mesh.vertices()[mesh.cell_tags == 2].reshape(-1, 2)
    assert (light.min(axis=0).tolist(), light.max(axis=0).tolist()) == ([0.0, 0.75], [1.0, 1.0])
    assert cell.descriptors["volume_fraction_light"] == pytest.approx(2 / 32)


@pytest.mark.parametrize(
    ("geometry", "dimension", "element", "message"),
    [
        (
            Hexagonal(0.95),
            2,
            "triangle",
            r"volume fraction 0\.95 touch in a hexagonal array: at most 0\.8888 is possible",
        ),
        (Hexagonal(layers=2), 2, "triangle", "a hexagonal cell has layers in 3D only: remove layers"),
        (Hexagonal(), 3, "hexahedron", "a round fibre cannot be meshed with hexahedron elements: use tetrahedron"),
        (Hexagonal(), 2, "quadrilateral", "a round fibre cannot be meshed with quadrilateral elements: use triangle"),
        (Hexagonal(resolution=10**5), 2, "triangle", "resolution 100000 makes some 4e[+]10 elements, 1e[+]06 are"),
        (
            RandomInclusions(30, 0.7),
            2,
            "triangle",
            r"only \d+ of 30 inclusions find a place .*: lower the volume fraction",
        ),
        (RandomInclusions(1, 0.8), 2, "triangle", "meets its own image in a cell whose shortest edge is 1"),
        (RandomInclusions(size=(1.0, 2.0, 3.0)), 2, "triangle", "size has 3 edge lengths, a cell in 2D has 2"),
        (
            Inclusion(0.5, shape="ellipse", aspect_ratio=4.0),
            2,
            "triangle",
            r"is 1\.596 long along x, the cell 1: lower",
        ),
        (Inclusion(0.3, size=(2.0, 0.5)), 2, "triangle", r"is 0\.618 long along y, the cell 0\.5: lower"),
        (Inclusion(0.3, shape="ellipse"), 3, "tetrahedron", "an ellipse is no shape in 3D: use sphere"),
        (Inclusion(0.3, angle=30.0), 2, "triangle", "aspect_ratio and angle are those of an ellipse: set shape"),
        (Voids(2, 0.75), 2, "triangle", "meets its own image|find a place"),
        (Polycrystal(500, resolution=6), 3, "hexahedron", r"\d+ of 500 grains are too small .* resolution 6: raise"),
        (
            Voxels("nowhere.npy"),
            2,
            "quadrilateral",
            r"nowhere\.npy does not exist: give a \.npy array or a PNG or TIFF",
        ),
    ],
)
def test_cells_that_cannot_be_are_refused(geometry: CellGeometry, dimension: int, element: str, message: str) -> None:
    with pytest.raises(MeshError, match=message):
        build_cell_mesh(geometry, dimension, element, ["matrix"] if isinstance(geometry, Voids) else None)


def test_files_that_hold_no_labels_are_refused(tmp_path: Path) -> None:
    def refused(name: str, message: str, dimension: int = 2, phases: list[str] | None = None) -> None:
        with pytest.raises(MeshError, match=message):
            build_cell_mesh(Voxels(str(tmp_path / name)), dimension, "triangle", phases)

    np.save(tmp_path / "float.npy", np.zeros((2, 2)))
    refused("float.npy", r"holds float64, labels are integers: convert it with \.astype\(int\)")
    np.save(tmp_path / "line.npy", np.zeros(4, dtype=int))
    refused("line.npy", r"has the shape \(4,\)")
    np.save(tmp_path / "many.npy", np.arange(400).reshape(20, 20))
    refused("many.npy", "400 different labels, 256 are possible")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2), dtype=int))
    refused("cube.npy", "has 3 dimensions, the cell 2")
    np.save(tmp_path / "three.npy", np.array([[0, 1], [2, 1]]))
    refused("three.npy", "the cell has 3 phases, given are 2: a, b", phases=["a", "b"])
    refused("three.npy", "the cell has 3 phases, given are 4: a, b, c, d", phases=["a", "b", "c", "d"])
    (tmp_path / "text.npy").write_text("0 1 1 0")
    refused("text.npy", r"is no \.npy array of integers")
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    refused("pickle.npy", r"is no \.npy array of integers")
    (tmp_path / "text.png").write_text("no image")
    refused("text.png", "is no image that can be read")


def test_phase_names() -> None:
    assert Polycrystal(3).phase_names(None) == ("grain_1", "grain_2", "grain_3")
    assert Polycrystal(9, 2).phase_names(["b", "a"]) == ("b", "a")
    with pytest.raises(MeshError, match=r"the polycrystal has 10 phases, given are 2: set `phases` to 2"):
        Polycrystal().phase_names(["a", "b"])
    with pytest.raises(MeshError, match=r"a cell with voids has one phase, given are 2: a, b"):
        Voids().phase_names(["a", "b"])
    with pytest.raises(MeshError, match=r"a hexagonal cell are matrix and inclusion, given are matrix, fibre"):
        Hexagonal().phase_names(["matrix", "fibre"])
    with pytest.raises(MeshError, match=r"random inclusions are matrix and inclusion"):
        RandomInclusions().phase_names(["matrix"])


@pytest.mark.parametrize("geometry", [RandomInclusions(6, resolution=10), Polycrystal(5, resolution=8)])
def test_the_same_parameters_give_the_same_mesh(geometry: CellGeometry) -> None:
    one, two = (geometry.build(2, "triangle") for _ in range(2))
    assert np.array_equal(one.points, two.points)
    assert np.array_equal(one.cells, two.cells)
    assert np.array_equal(one.cell_tags, two.cell_tags)
    cell = build_cell_mesh(geometry, 2, "triangle", comm=MPI.COMM_WORLD)
    assert len(cell.cell_tags.values) == len(one.cells)
