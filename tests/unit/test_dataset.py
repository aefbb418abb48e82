"""Datasets: what is written is read, in tensors that a user knows, and nothing else is taken for a dataset."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from materials.measures import Measure, Physics
from surrogates.dataset import SPLITS, Dataset, DatasetError, split_paths

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]
PLANE = Measure(Physics.SMALL_STRAIN, 2)

every_measure = pytest.mark.parametrize("measure", MEASURES, ids=lambda m: f"{m.physics}-{m.dimension}d")


def make_dataset(measure: Measure = PLANE, steps: tuple[int, ...] = (4, 0, 2), **changes: Any) -> Dataset:
    """Random numbers, the second path without a state."""
    rng = np.random.default_rng(1)
    n, g = sum(steps), measure.size
    known: dict[str, Any] = {
        "measure": measure,
        "gradient": rng.standard_normal((n, g)),
        "flux": rng.standard_normal((n, g)),
        "tangent": rng.standard_normal((n, g, g)),
        "dt": np.full(n, 0.25),
        "path": np.repeat(np.arange(len(steps)), steps),
        "step": np.concatenate([np.arange(1, k + 1) for k in steps]),
        "split": ("train", "test", "validation")[: len(steps)],
        "descriptors": {"volume_fraction_matrix": 0.7},
        "provenance": {"date": "2026-01-02", "title": "σ–ε", "failures": []},
        "symmetry": "square",
        "tangent_at_rest": rng.standard_normal((g, g)),
    }
    return Dataset(**(known | changes))


@every_measure
def test_round_trip(measure: Measure, tmp_path: Path) -> None:
    written = make_dataset(measure)
    written.write(tmp_path / "data.h5")
    read = Dataset.read(tmp_path / "data.h5")
    for name in ("gradient", "flux", "tangent", "dt", "tangent_at_rest"):
        np.testing.assert_allclose(getattr(read, name), getattr(written, name), rtol=1e-15, atol=0)
    for name in ("path", "step"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    for name in ("measure", "split", "descriptors", "provenance", "symmetry"):
        assert getattr(read, name) == getattr(written, name)
    assert Dataset.read(tmp_path / "data.h5").fingerprint == read.fingerprint


@every_measure
def test_the_file_holds_full_tensors(measure: Measure, tmp_path: Path) -> None:
    dataset = make_dataset(measure)
    dataset.write(tmp_path / "data.h5")
    with h5py.File(tmp_path / "data.h5", "r") as file:
        gradient, flux, tangent = (file[name][()] for name in ("gradient", "flux", "tangent"))
        assert file["flux"].attrs["quantity"] == measure.flux_name
        for name in ("gradient", "flux", "tangent", "dt", "path", "step", "split", "tangent_at_rest"):
            assert file[name].fletcher32
    np.testing.assert_array_equal(gradient, measure.to_tensor(dataset.gradient))
    # what the file calls tangent turns gradients into fluxes, by the plain double contraction of full tensors
    packed = np.einsum("nij,nj->ni", dataset.tangent, dataset.gradient)
    if measure.physics is Physics.HEAT:
        np.testing.assert_allclose(np.einsum("nij,nj->ni", tangent, gradient), measure.to_tensor(packed), atol=1e-13)
        np.testing.assert_array_equal(flux, -dataset.flux)
    else:
        applied = np.einsum("nijkl,nkl->nij", tangent, gradient)
        np.testing.assert_allclose(applied, measure.to_tensor(packed), atol=1e-13)
        np.testing.assert_array_equal(flux, measure.to_tensor(dataset.flux))


def test_splits_go_by_path() -> None:
    dataset = make_dataset()
    assert (dataset.n_states, dataset.n_paths) == (6, 3)
    np.testing.assert_array_equal(dataset.states_of("train"), [True] * 4 + [False] * 2)
    np.testing.assert_array_equal(dataset.samples("validation").flux, dataset.flux[4:])
    assert dataset.samples("validation").symmetry == "square"
    assert len(dataset.samples("test").gradient) == 0
    with pytest.raises(DatasetError, match="no split 'tests'"):
        dataset.states_of("tests")


def test_the_fingerprint_is_that_of_the_numbers() -> None:
    dataset = make_dataset()
    assert make_dataset(provenance={"date": "later"}).fingerprint == dataset.fingerprint
    flux = dataset.flux.copy()
    flux[3, 1] = np.nextafter(flux[3, 1], np.inf)
    assert dataclasses.replace(dataset, flux=flux).fingerprint != dataset.fingerprint
    assert make_dataset(split=("train", "test", "test")).fingerprint != dataset.fingerprint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flux": np.zeros((6, 4))}, r"flux has shape \(6, 4\), \(6, 3\)"),
        ({"tangent": np.full((6, 3, 3), np.nan)}, "54 values that are not finite"),
        ({"gradient": np.zeros((0, 3))}, "no state"),
        ({"split": ("train", "test", "exam")}, "'exam'"),
        ({"split": ("train", "test")}, "paths 0 to 2, the split names 2"),
        ({"path": np.array([0, 0, 0, 2, 2, 0])}, "order"),
        ({"step": np.array([1, 2, 3, 4, 2, 3])}, "order"),
        ({"step": np.array([1, 2, 2, 4, 1, 2])}, "order"),
        ({"tangent_at_rest": np.zeros((2, 2))}, "tangent_at_rest"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        make_dataset(**changes)


def spoil_attribute(name: str, value: Any) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file.attrs[name] = value

    return spoil


def without(name: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[name]

    return spoil


def turn_a_byte(path: Path) -> None:
    """One bit of the flux, where only the checksum can notice."""
    with h5py.File(path, "r") as file:
        where = file["flux"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[where + 12] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def nonsense(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["flux"][0, 0, 0] = np.inf


SPOILERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "bit": (turn_a_byte, "is damaged"),
    "cut": (cut, "is damaged|is not a dataset"),
    "text": (lambda path: path.write_text("gradient, flux"), "is not a dataset"),
    "empty": (lambda path: path.write_bytes(b""), "is not a dataset"),
    "gone": (Path.unlink, "no such file"),
    "foreign": (spoil_attribute("format", "pictures of cats"), "is not a dataset of `fe2 sample`"),
    "newer": (spoil_attribute("schema", 99), "has version 99 of the schema, this program reads 1"),
    "physics": (spoil_attribute("physics", "magnetism"), "is damaged.*magnetism"),
    "dimension": (spoil_attribute("dimension", 4), "dimension 4"),
    "provenance": (spoil_attribute("provenance", "{"), "is damaged"),
    "no flux": (without("flux"), "is damaged.*flux"),
    "no split": (without("split"), "is damaged.*split"),
    "infinite": (nonsense, "flux has 1 values that are not finite"),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_a_file_that_is_no_dataset_is_refused_with_a_reason(name: str, tmp_path: Path) -> None:
    spoil, words = SPOILERS[name]
    path = tmp_path / "data.h5"
    make_dataset().write(path)
    spoil(path)
    with pytest.raises(DatasetError, match=words) as caught:
        Dataset.read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_folder_and_a_foreign_hdf5_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is a folder"):
        Dataset.read(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["gradient"] = np.zeros(3)
    with pytest.raises(DatasetError, match="is not a dataset of `fe2 sample`"):
        Dataset.read(tmp_path / "other.h5")


def test_long_provenance_survives(tmp_path: Path) -> None:
    failures = [{"path": i, "step": 3, "reason": "no equilibrium"} for i in range(5000)]
    make_dataset(provenance={"failures": failures}).write(tmp_path / "data.h5")
    assert len(json.dumps(failures)) > 1 << 16
    assert Dataset.read(tmp_path / "data.h5").provenance["failures"] == failures


@pytest.mark.parametrize("paths", [1, 2, 3, 7, 20, 1000])
def test_split_of_paths(paths: int) -> None:
    split = split_paths(paths, (0.7, 0.15, 0.15), seed=5)
    assert len(split) == paths
    counts = [split.count(name) for name in SPLITS]
    assert counts[0] >= 1
    if paths >= 7:
        assert np.abs(np.array(counts) - paths * np.array([0.7, 0.15, 0.15])).max() < 1.0
    if paths >= 3:
        assert min(counts) >= 1
    assert split == split_paths(paths, (0.7, 0.15, 0.15), seed=5)
    if paths >= 20:
        assert split != split_paths(paths, (0.7, 0.15, 0.15), seed=6)
        assert split != tuple(sorted(split, key=SPLITS.index))  # shuffled


def test_splits_that_were_not_asked_for_stay_empty() -> None:
    assert set(split_paths(50, (1.0, 0.0, 0.0), 0)) == {"train"}
    assert set(split_paths(50, (0.5, 0.0, 0.5), 0)) == {"train", "test"}
