"""The geometry behind the pictures, the renderer, and the page of runs in every state."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from dolfinx import fem, mesh
from matplotlib.image import imread
from mpi4py import MPI

from solver.build import build
from solver.case.errors import BadInput
from solver.case.loading import load_case
from solver.report import write_report
from solver.report.field_pictures import Field, deformation_scale, draw_field
from solver.report.learning import _sources
from solver.report.patches import boundary_loops, lattice, patches_of
from solver.report.rasterizer import rasterize
from solver.report.run_data import Snapshot, read_columns
from solver.report.style import figure_style, pixel_image
from solver.results.gathered_mesh import GatheredMesh
from solver.results.results import Results

CELLS = ["triangle", "quadrilateral", "tetrahedron", "hexahedron"]


def gathered(cell: str, degree: int) -> GatheredMesh:
    kind = mesh.CellType[cell]
    if cell in ("triangle", "quadrilateral"):
        domain = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [2, 1]], [3, 2], kind)
    else:
        domain = mesh.create_box(MPI.COMM_SELF, [[0, 0, 0], [2, 1, 1]], [3, 2, 2], kind)
    return GatheredMesh(fem.functionspace(domain, ("Lagrange", degree)))


def area(corners: np.ndarray) -> float:
    sides = corners[:, 1:] - corners[:, :1]
    return float(0.5 * np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum())


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_patches_cover_the_surface_once(cell, degree):
    nodes = gathered(cell, degree)
    patches = patches_of(nodes.cells, cell, degree)
    grid = lattice(patches.shape, degree, 3)
    sampled = np.einsum("pk,nkd->npd", grid.table, nodes.points[patches.nodes])
    corners = sampled[:, grid.triangles].reshape(-1, 3, 3)
    assert area(corners) == pytest.approx(2.0 if nodes.points[:, 2].max() == 0.0 else 10.0, rel=1e-12)


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("cell", ["triangle", "quadrilateral"])
def test_the_outline_is_the_boundary_of_the_mesh(cell, degree):
    nodes = gathered(cell, degree)
    loops = nodes.points[boundary_loops(patches_of(nodes.cells, cell, degree))]
    assert np.linalg.norm(np.diff(loops, axis=1), axis=2).sum() == pytest.approx(6.0)


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("shape", ["triangle", "quadrilateral"])
def test_a_lattice_reproduces_polynomials_of_its_degree(shape, degree):
    """Interpolate x and, for degree 2, x² + x y from the nodes of one patch."""
    nodes = gathered(shape, degree)
    patch = nodes.points[patches_of(nodes.cells, shape, degree).nodes[0]]
    grid = lattice(shape, degree, 5)
    x, y, _ = (grid.table @ patch).T
    assert grid.table.sum(axis=1) == pytest.approx(1.0)
    if degree == 2:
        nodal = patch[:, 0] ** 2 + patch[:, 0] * patch[:, 1]
        np.testing.assert_allclose(grid.table @ nodal, x**2 + x * y, atol=1e-13)
    outline = np.stack([x, y], axis=1)[grid.outline]
    np.testing.assert_allclose(outline[0], outline[-1], atol=1e-14)


def test_the_nearer_triangle_hides_the_other_and_its_edges():
    near = np.array([[2.0, 2.0, 1.0], [18.0, 2.0, 1.0], [2.0, 18.0, 1.0]])
    far = near + np.array([0.0, 0.0, 30.0])
    values = np.array([[1.0, 1.0, 1.0], [5.0, 5.0, 5.0]])
    hidden = np.array([[[3.0, 4.0, 31.0], [12.0, 4.0, 31.0]]])
    raster = rasterize(np.stack([near, far]), values, hidden, (20, 20), 1)
    assert raster.value[4, 4] == 1.0
    assert np.isnan(raster.value[19, 19])
    assert not raster.edge.any()
    visible = hidden - np.array([0.0, 0.0, 30.0])
    assert rasterize(np.stack([near, far]), values, visible, (20, 20), 1).edge[4, 3:13].all()


def test_values_are_interpolated_across_a_triangle():
    corners = np.array([[[0.0, 0.0, 0.0], [40.0, 0.0, 0.0], [0.0, 40.0, 0.0]]])
    raster = rasterize(corners, np.array([[0.0, 40.0, 80.0]]), np.empty((0, 2, 3)), (41, 41), 1)
    rows, columns = np.nonzero(np.isfinite(raster.value))
    np.testing.assert_allclose(raster.value[rows, columns], columns + 2.0 * rows, atol=1e-10)
    assert len(rows) == 41 * 42 / 2


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_element_can_be_pictured(cell, opened):
    nodes = gathered(cell, 2)
    displacement = 0.1 * nodes.points**2
    about = {"phases": ["a", "b"]}
    snapshot = Snapshot("s", 1, 1.0, nodes.points, nodes.cells, cell, 2, {"displacement": displacement}, {}, about)
    for field in (
        Field("size", np.linalg.norm(displacement, axis=1), True, "viridis"),
        Field("number", np.arange(len(nodes.cells), dtype=float), False, "magma"),
        Field("phase", np.arange(len(nodes.cells)) % 2.0, False, "viridis", ("a", "b")),
    ):
        with figure_style():
            picture = decoded(pixel_image(draw_field(snapshot, field, 1.0, opened=opened), dpi=50))
        assert len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) > 50


def test_small_displacements_are_magnified_and_finite_ones_are_not():
    nodes = gathered("triangle", 1)
    moved = {"displacement": 1e-4 * np.ones((len(nodes.points), 3))}
    snapshot = Snapshot("s", 1, 1.0, nodes.points, nodes.cells, "triangle", 1, moved, {}, {})
    scale = deformation_scale(snapshot, finite=False)
    assert scale == 1000.0
    assert deformation_scale(snapshot, finite=True) == 1.0
    assert deformation_scale(snapshot._replace(nodal={}), finite=False) == 1.0


CASE = """
title: "Strip <b>&amp; co</b>"
physics: small_strain
dimension: 2
mesh: {generator: rectangle, size: [2, 1], divisions: [2, 1], element: quadrilateral, degree: 1}
regions: {all: composite}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.02, null]}
load: {end: 1.0, steps: 2}
materials: {composite: {type: rve, rve: cell}}
rves:
  cell:
    geometry: {generator: laminate, fraction: 0.5, normal: x, resolution: 4}
    element: quadrilateral
    degree: 1
    boundary: periodic
    phases:
      a: {law: j2, E: 1000, nu: 0.3, yield_stress: 5, hardening: 50}
      b: {law: elastic, E: 5000, nu: 0.2}
output:
  probes: [{name: end, point: [2, 0.5]}]
  reactions: [left]
  localize: [{point: [0.1, 0.1]}]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "strip.yaml").write_text(CASE)
    case = load_case(folder / "strip.yaml")
    results = Results(case, MPI.COMM_SELF, folder / "out", quiet=True)
    results.run(build(case, MPI.COMM_SELF))
    return folder / "out"


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def decoded(source: str) -> np.ndarray:
    return imread(io.BytesIO(base64.b64decode(source.partition(",")[2])))


def test_the_page_needs_nothing_but_itself(finished):
    page = Page(write_report(finished).read_text())
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert all(source.startswith("data:image/") for source in page.sources)
    html = (finished / "report.html").read_text()
    assert not re.search(r"https?://|@import|url\(", re.sub(r'src="[^"]*"', "", html))


def test_the_page_shows_the_run(finished):
    page = Page(write_report(finished).read_text())
    assert "Strip <b>&amp; co</b>" in page.text  # the title, escaped: no tag of it became one
    assert "b" not in page.tags
    for words in ("done", "Inside the cells", "Newton convergence", "Probes and reactions", "yield_stress", "dolfinx"):
        assert words in page.text
    kinds = [source.partition(";")[0] for source in page.sources]
    assert kinds.count("data:image/png") == 2 + 6  # displacement, stress; phases, stress, plastic strain of two cells
    assert kinds.count("data:image/svg+xml") == 3 + 1 + 2  # probes, reactions, both; convergence; time, steps
    for source in page.sources:
        if source.startswith("data:image/png"):
            picture = decoded(source)
            assert min(picture.shape[:2]) > 300
            assert picture[..., :3].std() > 0.03


def test_localised_cells_average_to_the_macroscopic_strain(finished):
    """The displacement of a laminate under no in-plane rotation: corners differ by the macroscopic gradient."""
    with h5py.File(finished / "localization/largest_flux.h5") as file:
        points = file["mesh/points"][()]
        step = file["steps"][max(file["steps"])]
        fluctuation, displacement = step["node/fluctuation"][()], step["node/displacement"][()]
        strain = step["cell/strain"][()].reshape(-1, 3, 3)
        assert set(np.unique(step["cell/phase"][()])) == {0.0, 1.0}
    left, right = np.isclose(points[:, 0], 0.0), np.isclose(points[:, 0], 1.0)
    here, there = np.flatnonzero(left), np.flatnonzero(right)
    here, there = here[np.argsort(points[here, 1])], there[np.argsort(points[there, 1])]
    np.testing.assert_allclose(fluctuation[here], fluctuation[there], atol=1e-14)
    jump = displacement[there] - displacement[here]
    np.testing.assert_allclose(jump[:, 0], strain[:, 0, 0].mean(), rtol=1e-10)


def audited(version: int, mean: float | None) -> dict:
    told = {"mean": mean, "max": mean and 3.0 * mean, "mean_interval": None if mean is None else [0.0, 2.0 * mean]}
    told |= {"answers": 0 if mean is None else 40, "exceeding": 0.0, "exceeding_interval": [0.0, 0.0875]}
    return {"version": version, "step": version, "trusted": 0.95, "audit": told | {"tolerance": 0.01}}


def test_the_page_shows_what_was_learned(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    work = {"exact": 8000, "surrogate": 9000, "arrivals": 3, "recalled": 4, "audited": 40, "explored": 500}
    costs = {"evaluations": work, "seconds_saved": 75.0, "seconds_spent": 30.0, "break_even_points": 377}
    course = {"start": "warm", "loss": 4e-4, "kept": False, "split": {"train": 600, "validation": 150}}
    told = {"costs": costs, "states": 1204, "trainings": 1, "training_seconds": 9.5, "narrowings": []}
    told |= {"largest_flux_jump": 0.0074, "switched_off": False}
    told["versions"] = [audited(1, 2e-3) | {"start": "given"}, audited(2, None) | course]
    record["learning"] = {"composite": told}
    (tmp_path / "out" / "run.json").write_text(json.dumps(record))
    page = Page(write_report(tmp_path / "out").read_text())
    before = Page(write_report(finished).read_text())
    assert "Learning" in page.text
    assert "Learning" not in before.text
    assert len(page.sources) == len(before.sources) + 2  # share of cells, audits
    for words in ("trained on", "given", "750", "2 %", "0 % (0 % to 8.75 %)", "377 points", "1:15"):
        assert words in page.text


def test_what_answers_is_told_of_each_element():
    kind = np.array([2.0, 2.0 - 4e-16, 1.75, 1.0, 1.0 + 2e-16])
    place, nodal, _, names_of = _sources(kind)
    assert [names_of[int(one)] for one in place] == ["surrogate", "surrogate", "both", "cell", "cell"]
    assert not nodal


@pytest.mark.parametrize("missing", ["fields.h5", "history.csv", "iterations.csv", "case.yaml", "localization"])
def test_a_page_is_made_of_what_is_there(finished, tmp_path, missing):
    shutil.copytree(finished, tmp_path / "out")
    path = tmp_path / "out" / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "Strip" in Page(write_report(tmp_path / "out").read_text()).text


def test_a_run_that_has_just_begun_has_a_page(finished, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"status": "running", "title": "young"}))
    shutil.copy(finished / "case.yaml", tmp_path)
    (tmp_path / "history.csv").write_text((finished / "history.csv").read_text().splitlines()[0] + "\n")
    page = Page(write_report(tmp_path).read_text())
    assert "running" in page.text
    assert page.sources == []


def test_what_is_no_run_is_refused_in_one_line(tmp_path):
    for path, words in ((tmp_path, "not a run directory"), (tmp_path / "none", "no such folder")):
        with pytest.raises(BadInput, match=words):
            write_report(path)
    (tmp_path / "run.json").write_text("{ half")
    with pytest.raises(BadInput, match="cannot be read"):
        write_report(tmp_path)


def test_columns_that_hold_nothing_read_as_nan(tmp_path):
    (tmp_path / "t.csv").write_text("step,u\n1,\n2,3.5\n")
    np.testing.assert_array_equal(read_columns(tmp_path / "t.csv")["u"], [np.nan, 3.5])
