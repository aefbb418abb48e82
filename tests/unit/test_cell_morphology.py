"""Descriptors of cells against lattices and laminates, where they are known, and the picture."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meshes.cells import (
    CellGeometry,
    Hexagonal,
    Inclusion,
    Laminate,
    RandomInclusions,
    Voids,
    build_cell_mesh,
    morphology,
)
from meshes.cells.morphology import sampled_phases
from solver.cli import execute


@pytest.mark.parametrize(
    ("geometry", "dimension", "element", "pieces", "distance"),
    [
        (Inclusion(0.3, 6), 2, "triangle", 1, 1.0),
        (Inclusion(0.1, 4, size=(2.0, 0.7)), 2, "triangle", 1, 0.7),
        (Hexagonal(0.4, 6), 2, "triangle", 2, 1.0),  # one of the two fibres is cut by the faces
        (Inclusion(0.1, 3), 3, "tetrahedron", 1, 1.0),
    ],
)
def test_neighbours_in_lattices(
    geometry: CellGeometry, dimension: int, element: str, pieces: int, distance: float
) -> None:
    found = morphology(build_cell_mesh(geometry, dimension, element))["nearest_neighbour_distance"]
    assert set(found) == {"inclusion"}, "the matrix joins its images"
    assert found["inclusion"]["pieces"] == pieces
    for name in ("least", "mean", "largest"):
        assert found["inclusion"][name] == pytest.approx(distance, abs=1e-6)


def test_neighbours_at_random_keep_their_distance() -> None:
    geometry = RandomInclusions(9, 0.3, 0.0, 0.2, seed=4, resolution=12)
    found = morphology(build_cell_mesh(geometry, 2, "triangle"))["nearest_neighbour_distance"]["inclusion"]
    radius = math.sqrt(0.3 / 9 / math.pi)
    assert found["pieces"] == 9
    assert 2.2 * radius < found["least"] <= found["mean"] <= found["largest"] < 1.0


def test_two_points_in_a_laminate() -> None:
    """Across layers of fraction f the probability falls as f − r until r = min(f, 1 − f); along them it stays f."""
    cell = build_cell_mesh(Laminate(0.375, "x", 2), 2, "quadrilateral")
    found = morphology(cell)["two_point_probability"]["first"]
    distance = np.array(found["x"]["distance"])
    assert distance == pytest.approx(np.linspace(0.0, 0.5, 49))
    assert found["x"]["probability"] == pytest.approx(np.maximum(0.375 - distance, 0.0), abs=1e-12)
    assert found["y"]["probability"] == pytest.approx(np.full(49, 0.375), abs=1e-12)


def test_two_points_fall_from_the_fraction_to_its_square() -> None:
    found = morphology(build_cell_mesh(RandomInclusions(30, 0.4, resolution=30), 2, "triangle"))
    for name, fraction in (("matrix", 0.6), ("inclusion", 0.4)):
        for line in found["two_point_probability"][name].values():
            assert line["probability"][0] == pytest.approx(fraction, abs=5e-3)
            assert np.mean(line["probability"][24:]) == pytest.approx(fraction**2, abs=0.03)


def test_samples_of_a_hole_are_no_phase() -> None:
    tags = sampled_phases(build_cell_mesh(Voids(1, 0.3, resolution=12), 2, "triangle"))
    assert set(np.unique(tags)) == {0, 1}
    assert (tags == 0).mean() == pytest.approx(0.3, abs=5e-3)


CELL = """
physics: heat
dimension: 2
rve:
  geometry: {generator: hexagonal, volume_fraction: 0.4, resolution: 6}
  element: triangle
  phases: {matrix: {law: conductive, k: 1}, inclusion: {law: conductive, k: 3}}
path: {temperature_gradient: [[1, 0]]}
"""


def test_homogenize_prints_and_draws_the_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = tmp_path / "cell.yaml"
    cell.write_text(CELL, encoding="utf-8")
    picture = tmp_path / "cell.png"
    assert execute(["homogenize", str(cell), "--out", str(tmp_path / "out.json"), "--picture", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "  inclusion  volume fraction 0.4, 2 pieces, nearest neighbours 1 to 1 away, 1 on average\n" in said
    assert "  matrix     volume fraction 0.6\n" in said
    descriptors = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["descriptors"]
    assert descriptors["volume_fraction_inclusion"] == pytest.approx(0.4, rel=1e-10)
    assert descriptors["nearest_neighbour_distance"]["inclusion"]["mean"] == pytest.approx(1.0, abs=1e-6)
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int)
    colour = (np.abs(pixels - [0x2B, 0x5C, 0x8A]).sum(axis=2) < 30).sum() / (pixels.sum(axis=2) < 3 * 245).sum()
    assert colour == pytest.approx(0.4, abs=0.15), "the blue of the inclusions covers their part of the cell"

    for file, words in (("no/cell.png", "the folder"), (".", "is a directory"), ("cell.jpg", "name a .png")):
        assert execute(["homogenize", str(cell), "--picture", str(tmp_path / file)]) == 2
        assert words in capsys.readouterr().err
