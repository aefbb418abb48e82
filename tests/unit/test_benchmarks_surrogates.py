"""The benchmarks of surrogates, small: training from scratch with data of `fe2 sample`, and the cost of a point."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
from benchmarks.surrogate_point import FINITE, PLASTIC, Problem, families, measure
from benchmarks.train_surrogates import energy, history


def test_an_energy_network_is_trained_to_stated_errors(tmp_path: Path) -> None:
    """A coarser cell and mesh, half of the paths, a smaller network."""
    small = [
        "rves.cell.geometry.resolution=3",
        "rves.cell.degree=1",
        "mesh.divisions=[2,2]",
        "load.steps=2",
        "surrogates.fibre.sampling.paths=30",
        "surrogates.fibre.network.hidden=[16,16]",
        "surrogates.fibre.training.epochs=40",
    ]
    figures = {figure.what: figure for figure in energy(tmp_path, small)}
    assert figures["training states"].measured <= 300
    for what in ("stress error, rms", "tangent error, rms", "tip of the membrane"):
        assert figures[what].measured < (figures[what].target or 0.0), figures[what]
    assert figures["stress error, p95"].measured < figures["stress error, max"].measured < 0.05


def test_a_network_that_remembers_is_trained_to_stated_errors(tmp_path: Path) -> None:
    """A coarse cell, few paths; errors are those of a small training."""
    small = [
        "rves.cell.geometry.resolution=3",
        "rves.cell.degree=1",
        "surrogates.plate.sampling.paths=40",
        "surrogates.plate.sampling.steps=20",
        "surrogates.plate.training.epochs=15",
    ]
    figures = {figure.what: figure for figure in history("rnn", tmp_path, small, unseen=10)}
    assert figures["training paths"].measured == 28
    assert figures["stress error, rms"].measured < 0.1
    for what in ("halved steps change", "the same on the test split"):
        assert figures[what].measured < (figures[what].target or 0.0)


@pytest.mark.parametrize("problem", [FINITE, PLASTIC], ids=lambda problem: problem.measure.physics.value)
def test_a_point_is_cheaper_than_a_cell(problem: Problem) -> None:
    found = measure(problem, points=500, cells=1, repeat=1, resolution=3)
    assert set(found["families"]) == set(families(problem))
    assert all(numbers["cheaper"] > 10.0 for numbers in found["families"].values())
