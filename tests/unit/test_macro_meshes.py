"""Meshes of parts: shape, names, validity, files, and independence of the number of ranks."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gmsh
import numpy as np
import pytest
from mpi4py import MPI
from pydantic import TypeAdapter, ValidationError

from meshes.dolfinx_compat import coordinate_dofs
from meshes.errors import MeshError
from meshes.gmsh_model import gmsh_session
from meshes.macro import GENERATORS, Box, CookMembrane, LShape, PlateWithHole, Rectangle, build_macro_mesh
from meshes.macro.macro_mesh import Generator, macro_mesh_arrays
from meshes.mesh_arrays import MeshArrays

PLANE = ("triangle", "quadrilateral")
SOLID = ("tetrahedron", "hexahedron")


def facet_measure(mesh: MeshArrays, name: str) -> float:
    """Length or area of a boundary, its facets cut into simplices."""
    x = mesh.points[mesh.facets[mesh.facet_tags == mesh.boundaries[name]]]
    if mesh.element.dimension == 2:
        return float(np.linalg.norm(x[:, 1] - x[:, 0], axis=1).sum())
    parts = [(0, 1, 2)] if x.shape[1] == 3 else [(0, 1, 2), (1, 3, 2)]
    return float(
        sum(0.5 * np.linalg.norm(np.cross(x[:, b] - x[:, a], x[:, c] - x[:, a]), axis=1).sum() for a, b, c in parts)
    )


def facet_points(mesh: MeshArrays, name: str) -> np.ndarray:
    return mesh.points[np.unique(mesh.facets[mesh.facet_tags == mesh.boundaries[name]])]


SHAPES: list[tuple[Generator, str, float, dict[str, float]]] = [
    *((Rectangle((4, 3), (2.0, 1.5)), e, 3.0, {"left": 1.5, "right": 1.5, "bottom": 2.0, "top": 2.0}) for e in PLANE),
    *(
        (
            CookMembrane((5, 3)),
            e,
            1440.0,
            {"left": 44.0, "right": 16.0, "bottom": np.hypot(48, 44), "top": np.hypot(48, 16)},
        )
        for e in PLANE
    ),
    *(
        (
            LShape((7, 5), (2.0, 3.0), (0.3, 0.6)),
            e,
            6.0 - 1.4 * 1.2,
            {"left": 3.0, "right": 1.8, "bottom": 2.0, "top": 0.6, "notch": 2.6},
        )
        for e in PLANE
    ),
    *(
        (
            Box((3, 4, 5), (1.0, 2.0, 3.0)),
            e,
            6.0,
            {"left": 6.0, "right": 6.0, "bottom": 3.0, "top": 3.0, "back": 2.0, "front": 2.0},
        )
        for e in SOLID
    ),
]


@pytest.mark.parametrize(("generator", "element", "measure", "sides"), SHAPES)
def test_measure_and_named_sides(generator: Generator, element: str, measure: float, sides: dict[str, float]) -> None:
    mesh = macro_mesh_arrays(generator, element)
    assert mesh.volumes().sum() == pytest.approx(measure, rel=1e-13)
    assert mesh.regions == {"all": 1}
    assert set(mesh.boundaries) == set(sides)
    assert {name: facet_measure(mesh, name) for name in sides} == pytest.approx(sides, rel=1e-13)


@pytest.mark.parametrize("element", SOLID)
def test_sides_of_a_box_lie_where_they_are_named(element: str) -> None:
    mesh = macro_mesh_arrays(Box((2, 3, 4), (1.0, 2.0, 3.0)), element)
    places = {"left": (0, 0), "right": (0, 1), "bottom": (1, 0), "top": (1, 2), "back": (2, 0), "front": (2, 3)}
    for name, (axis, value) in places.items():
        assert np.all(facet_points(mesh, name)[:, axis] == value)


@pytest.mark.parametrize("element", PLANE)
@pytest.mark.parametrize("divisions", [(1, 1), (8, 8), (5, 7), (49, 3)])
def test_cook_nodes_are_uniform_in_the_bilinear_map(element: str, divisions: tuple[int, int]) -> None:
    mesh = macro_mesh_arrays(CookMembrane(divisions), element)
    corners = np.array([(0, 0), (48, 44), (48, 60), (0, 44)], dtype=float)
    expected = np.array(
        [
            np.array([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t]) @ corners
            for s in np.linspace(0, 1, divisions[0] + 1)
            for t in np.linspace(0, 1, divisions[1] + 1)
        ]
    )
    assert len(mesh.points) == len(expected)
    gap = np.abs(mesh.points[:, None] - expected).max(axis=2).min(axis=0)
    assert gap.max() < 1e-12


@pytest.mark.parametrize(
    ("generator", "element", "count"),
    [
        (Rectangle((3, 2)), "triangle", 12),
        (Rectangle((3, 2)), "quadrilateral", 6),
        (Box((3, 2, 4)), "tetrahedron", 144),
        (Box((3, 2, 4)), "hexahedron", 24),
    ],
)
def test_divisions_count_elements(generator: Generator, element: str, count: int) -> None:
    assert len(macro_mesh_arrays(generator, element).cells) == count


@pytest.mark.parametrize("element", PLANE)
def test_plate_with_hole_converges_to_the_quarter_plate(element: str) -> None:
    size, radius = (1.0, 2.0), 0.6
    exact = size[0] * size[1] - 0.25 * np.pi * radius**2
    errors = []
    for n in (4, 8, 16):
        mesh = macro_mesh_arrays(PlateWithHole((n, 2 * n), size, radius), element)
        errors.append(abs(mesh.volumes().sum() - exact))
        lengths = {name: facet_measure(mesh, name) for name in ("left", "right", "bottom", "top")}
        assert lengths == pytest.approx({"left": 1.4, "right": 2.0, "bottom": 0.4, "top": 1.0})
        assert np.linalg.norm(facet_points(mesh, "hole"), axis=1) == pytest.approx(radius, rel=1e-14)
        assert np.all(facet_points(mesh, "left")[:, 0] == 0.0)
        assert np.all(facet_points(mesh, "bottom")[:, 1] == 0.0)
        assert len(facet_points(mesh, "top")) == n + 1
        assert len(facet_points(mesh, "right")) == 2 * n + 1
    assert np.log2(np.divide(errors[:-1], errors[1:])) == pytest.approx([2.0, 2.0], abs=0.1)


def test_plate_with_hole_is_finest_at_the_hole() -> None:
    mesh = macro_mesh_arrays(PlateWithHole((4, 4), radial_divisions=6, grading=5.0), "quadrilateral")
    x = np.sort(facet_points(mesh, "bottom")[:, 0])
    assert np.diff(x)[-1] / np.diff(x)[0] == pytest.approx(5.0)
    assert np.diff(x)[1:] / np.diff(x)[:-1] == pytest.approx(5.0 ** (1 / 5))


@pytest.mark.parametrize("element", PLANE)
@pytest.mark.parametrize(
    "plate",
    [
        PlateWithHole((1, 1)),
        PlateWithHole((6, 2), (1.0, 3.0), 0.95),
        PlateWithHole((2, 9), (4.0, 1.0), 0.9, radial_divisions=1),
        PlateWithHole((8, 8), (1.0, 1.0), 0.01, grading=50.0),
    ],
)
def test_extreme_plates_have_valid_elements(plate: PlateWithHole, element: str) -> None:
    mesh = macro_mesh_arrays(plate, element)
    assert mesh.element.corner_jacobians(mesh.vertices()).min() > 0.0


def test_a_hole_larger_than_the_plate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"radius 1\.5 leaves nothing .* less than 1"):
        PlateWithHole((4, 4), (1.0, 2.0), 1.5)


@pytest.mark.parametrize("element", [*PLANE, *SOLID])
@pytest.mark.parametrize("degree", [1, 2])
def test_jacobians_are_positive_at_the_nodes_of_every_element(element: str, degree: int) -> None:
    plane = element in PLANE
    generators = [CookMembrane((3, 2)), LShape((3, 4)), PlateWithHole((3, 3))] if plane else [Box((2, 3, 2))]
    per_axis = np.linspace(0, 1, degree + 1)
    nodes = np.stack(np.meshgrid(*[per_axis] * (2 if plane else 3)), axis=-1).reshape(-1, 2 if plane else 3)
    for generator in generators:
        mesh = macro_mesh_arrays(generator, element)
        inside = nodes if not mesh.element.is_simplex else nodes[nodes.sum(axis=1) <= 1]
        assert mesh.element.jacobians(mesh.vertices(), inside).min() > 0.0


def test_an_element_of_another_dimension_is_refused() -> None:
    with pytest.raises(MeshError, match=r"no element 'hexahedron' in 2D: use triangle or quadrilateral"):
        build_macro_mesh(MPI.COMM_SELF, Rectangle((2, 2)), "hexahedron")


def test_a_dolfinx_mesh_keeps_tags_and_names() -> None:
    mesh, cell_tags, facet_tags, regions, boundaries = build_macro_mesh(MPI.COMM_SELF, LShape((4, 4)), "triangle")
    assert mesh.topology.index_map(2).size_global == 24 == len(cell_tags.values)
    assert set(cell_tags.values) == set(regions.values())
    count = {name: int(np.sum(facet_tags.values == tag)) for name, tag in boundaries.items()}
    assert count == {"left": 4, "right": 2, "bottom": 4, "top": 2, "notch": 4}


RANK_SCRIPT = """
import json
import numpy as np
from mpi4py import MPI
from meshes.dolfinx_compat import coordinate_dofs, original_cell_index
from meshes.macro import Box, LShape, build_macro_mesh
comm = MPI.COMM_WORLD
found = []
for generator, element in ((LShape((5, 4)), "triangle"), (LShape((5, 4)), "quadrilateral"),
                           (Box((3, 2, 2)), "tetrahedron"), (Box((3, 2, 2)), "hexahedron")):
    mesh, cell_tags, facet_tags, regions, boundaries = build_macro_mesh(comm, generator, element)
    d = mesh.topology.dim
    n, m = (mesh.topology.index_map(k).size_local for k in (d, d - 1))
    middle = mesh.geometry.x[coordinate_dofs(mesh)[:n]].mean(axis=1)
    pairs = sum(comm.allgather(list(zip(original_cell_index(mesh)[:n].tolist(), middle.round(12).tolist()))), [])
    owned = facet_tags.values[facet_tags.indices < m]
    sides = {name: comm.allreduce(int(np.sum(owned == tag))) for name, tag in boundaries.items()}
    found.append([sorted(pairs), sides, comm.allreduce(len(np.unique(cell_tags.values)), MPI.MAX)])
if comm.rank == 0:
    print(json.dumps(found))
"""

FAILURE_SCRIPT = """
import sys
from mpi4py import MPI
from meshes.errors import MeshError
from meshes.macro import build_macro_mesh
message = "accepted"
try:
    build_macro_mesh(MPI.COMM_WORLD, sys.argv[1], "triangle")
except MeshError as error:
    message = f"refused: {error}"
messages = MPI.COMM_WORLD.gather(message)
if messages:
    print(*messages, sep="\\n")
"""


def mpirun(ranks: int, script: str, *arguments: str) -> str:
    command = ["mpirun", "-n", str(ranks), sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


needs_mpirun = pytest.mark.skipif(
    shutil.which("mpirun") is None or MPI.COMM_WORLD.size > 1, reason="no mpirun, or running in one"
)


@pytest.mark.mpi
@needs_mpirun
def test_cell_indices_and_names_do_not_depend_on_the_number_of_ranks() -> None:
    one, two, three = (json.loads(mpirun(ranks, RANK_SCRIPT)) for ranks in (1, 2, 3))
    assert len(one[0][0]) == 28
    assert two == one
    assert three == one


@pytest.mark.mpi
@needs_mpirun
def test_a_file_that_cannot_be_read_is_an_error_on_every_rank(tmp_path: Path) -> None:
    (tmp_path / "junk.msh").write_bytes(np.random.default_rng(0).bytes(2000))
    printed = mpirun(3, FAILURE_SCRIPT, str(tmp_path / "junk.msh"))
    assert printed.count("refused: ") == 3
    assert printed.count("junk.msh is no gmsh .msh file") == 3


# --- gmsh files -------------------------------------------------------------------------------------------------------


def two_squares(
    regions: bool = True, overlap: bool = False, forget: bool = False, mixed: bool = False, order: int = 1
) -> None:
    """Fill the gmsh model with [0, 2] × [0, 1]: `soft` on the left, `hard` on the right, boundary `left`."""
    occ = gmsh.model.occ
    squares = [(2, occ.addRectangle(x, 0.0, 0.0, 1.0, 1.0)) for x in (0.0, 1.0)]
    occ.fragment(squares[:1], squares[1:])
    occ.synchronize()
    left = gmsh.model.getEntitiesInBoundingBox(-0.1, -0.1, -0.1, 0.1, 1.1, 0.1, 1)
    if regions:
        gmsh.model.addPhysicalGroup(2, [1], name="soft")
        if not forget:
            gmsh.model.addPhysicalGroup(2, [2], name="hard")
    if overlap:
        gmsh.model.addPhysicalGroup(2, [1, 2], name="both")
    gmsh.model.addPhysicalGroup(1, [left[0][1]], name="left")
    if mixed:
        gmsh.model.mesh.setRecombine(2, 1)
    gmsh.option.setNumber("Mesh.MeshSizeMax", 0.3)
    gmsh.model.mesh.generate(2)
    gmsh.model.mesh.setOrder(order)


def write(path: Path, fill: Callable[[], None], **options: float) -> Path:
    with gmsh_session("writing a test file"):
        fill()
        for name, value in options.items():
            gmsh.option.setNumber(f"Mesh.{name}", value)
        gmsh.write(str(path))
    return path


@pytest.mark.parametrize("version", [2.2, 4.1])
@pytest.mark.parametrize("binary", [0, 1])
@pytest.mark.parametrize("element", ["triangle", None])
def test_gmsh_files_name_regions_and_boundaries(
    tmp_path: Path, version: float, binary: int, element: str | None
) -> None:
    path = write(tmp_path / "part.msh", two_squares, MshFileVersion=version, Binary=binary)
    mesh, cell_tags, facet_tags, regions, boundaries = build_macro_mesh(MPI.COMM_SELF, path, element)
    assert set(regions) == {"soft", "hard"}
    assert set(boundaries) == {"left"}
    middle = mesh.geometry.x[coordinate_dofs(mesh)].mean(axis=1)
    assert np.array_equal(cell_tags.values == regions["soft"], middle[:, 0] < 1.0)
    arrays = macro_mesh_arrays(path)
    assert len(facet_tags.values) == len(arrays.facets) > 2
    assert arrays.volumes()[arrays.cell_tags == regions["hard"]].sum() == pytest.approx(1.0)
    assert facet_measure(arrays, "left") == pytest.approx(1.0)


def test_a_solid_gmsh_file(tmp_path: Path) -> None:
    def cube() -> None:
        gmsh.model.occ.addBox(0, 0, 0, 1, 2, 3)
        gmsh.model.occ.synchronize()
        gmsh.model.addPhysicalGroup(3, [1])  # no name: its number serves
        bottom = gmsh.model.getEntitiesInBoundingBox(-0.1, -0.1, -0.1, 1.1, 0.1, 3.1, 2)
        gmsh.model.addPhysicalGroup(2, [bottom[0][1]], name="foot")
        gmsh.model.mesh.generate(3)

    mesh = macro_mesh_arrays(write(tmp_path / "cube.msh", cube), "tetrahedron")
    assert mesh.regions == {"1": 1}
    assert mesh.volumes().sum() == pytest.approx(6.0)
    assert facet_measure(mesh, "foot") == pytest.approx(3.0)


BROKEN_MODELS: dict[str, tuple[Callable[[], None], dict[str, float], str | None, str]] = {
    "no regions": (lambda: two_squares(regions=False), {"SaveAll": 1}, None, "names no region: add Physical Surface"),
    "only boundaries": (lambda: two_squares(regions=False), {}, None, "holds no triangles.*Physical Surface"),
    "second order": (lambda: two_squares(order=2), {}, None, "Triangle 6 elements.*first-order"),
    "overlap": (lambda: two_squares(overlap=True), {}, None, "groups both and soft; each element takes exactly one"),
    "a part without a group": (lambda: two_squares(forget=True), {"SaveAll": 1}, None, "are in no physical group"),
    "two kinds": (lambda: two_squares(mixed=True), {}, None, r"mixes elements \(\d+ quadrilateral, \d+ triangle\)"),
    "another kind": (two_squares, {}, "quadrilateral", r"holds \d+ triangle.*not quadrilateral: set element to tri"),
    "another dimension": (two_squares, {}, "tetrahedron", "not tetrahedron: set element to triangle"),
}


@pytest.mark.parametrize("name", BROKEN_MODELS)
def test_models_that_do_not_fit_are_refused(tmp_path: Path, name: str) -> None:
    fill, options, element, message = BROKEN_MODELS[name]
    path = write(tmp_path / "part.msh", fill, **options)
    with pytest.raises(MeshError, match=message) as refused:
        build_macro_mesh(MPI.COMM_SELF, path, element)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def garbled(text: str) -> str:
    lines = text.splitlines()
    start = lines.index("$Nodes")
    return "\n".join([*lines[: start + 4], *lines[start + 9 :]])


BROKEN_FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "is empty"),
    "binary junk": (lambda _: np.random.default_rng(1).bytes(3000), "is no gmsh .msh file"),
    "a script": (lambda _: b'SystemCall "true";\n', "is no gmsh .msh file"),
    "header only": (lambda _: b"$MeshFormat\n4.1 0 8\n$EndMeshFormat\n", r"has no \$Nodes"),
    "cut in the middle": (lambda whole: whole[: len(whole) // 2], "truncated"),
    "cut near the end": (lambda whole: whole[:-30], "truncated"),
    "lines missing": (lambda whole: garbled(whole.decode()).encode(), "gmsh fails with"),
    "unknown version": (lambda whole: whole.replace(b"4.1 0 8", b"9.1 0 8"), "version 9.1"),
    "not a number": (
        lambda whole: re.sub(rb"\n0\.\d+ (0\.\d+) 0\n", rb"\nnan \1 0\n", whole, count=1),
        "are no numbers",
    ),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_files_that_are_no_meshes_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    change, message = BROKEN_FILES[name]
    path = write(tmp_path / "part.msh", two_squares)
    changed = change(path.read_bytes())
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    with pytest.raises(MeshError, match=message) as refused:
        build_macro_mesh(MPI.COMM_SELF, path, "triangle")
    assert "\n" not in str(refused.value)


def test_paths_that_are_no_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="no file that exists"):
        build_macro_mesh(MPI.COMM_SELF, tmp_path / "nothing.msh")
    with pytest.raises(MeshError, match="a folder"):
        build_macro_mesh(MPI.COMM_SELF, tmp_path)


def test_gmsh_is_closed_and_silent_after_success_and_failure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "part.msh", two_squares)
    build_macro_mesh(MPI.COMM_SELF, path)
    assert not gmsh.isInitialized()
    path.write_text(garbled(path.read_text()))
    with pytest.raises(MeshError):
        build_macro_mesh(MPI.COMM_SELF, path)
    assert not gmsh.isInitialized()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "parameters", "key"),
    [
        ("rectangle", {}, ("divisions",)),
        ("rectangle", {"divisions": [4, 0]}, ("divisions", 1)),
        ("rectangle", {"divisions": [4, 4, 4]}, ("divisions",)),
        ("rectangle", {"divisions": [4, 4], "size": [1.0, -1.0]}, ("size", 1)),
        ("box", {"divisions": [4, 4]}, ("divisions", 2)),
        ("cook_membrane", {"divisions": [2.5, 2]}, ("divisions", 0)),
        ("l_shape", {"divisions": [4, 4], "corner": [0.5, 1.0]}, ("corner", 1)),
        ("l_shape", {"divisions": [1, 4]}, ("divisions", 0)),
        ("plate_with_hole", {"divisions": [4, 4], "radius": 0.0}, ("radius",)),
        ("plate_with_hole", {"divisions": [4, 4], "radius": 1.0}, ()),
        ("plate_with_hole", {"divisions": [4, 4], "grading": 0.5}, ("grading",)),
    ],
)
def test_case_parameters_are_checked(name: str, parameters: dict[str, object], key: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(GENERATORS[name]).validate_python(parameters)
    assert [error["loc"] for error in refused.value.errors()] == [key]


def test_generators_are_made_from_case_parameters() -> None:
    made = TypeAdapter(GENERATORS["plate_with_hole"]).validate_python({"divisions": [4, 6], "size": [1, 2]})
    assert made == PlateWithHole((4, 6), (1.0, 2.0))
    assert set(GENERATORS) == {"rectangle", "box", "cook_membrane", "plate_with_hole", "l_shape"}
