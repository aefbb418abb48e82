"""Model folders: the same numbers bit for bit, every kind of damage refused with its reason, nothing executed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from materials.measures import Measure, Physics
from surrogates.families.ann import DirectNetwork
from surrogates.family import ModelError, Network, Samples
from surrogates.store import Model, read_model, training_range, write_model

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]


def made(measure: Measure) -> Model:
    random = np.random.default_rng(0)
    gradient = measure.rest + random.uniform(-0.1, 0.1, (30, measure.size))
    flux = random.normal(size=gradient.shape)
    learned = Samples(gradient, flux, random.normal(size=(30, measure.size, measure.size)))
    family = DirectNetwork.untrained(measure, Network(hidden=(6, 5)), learned, 0)
    return Model(family, *training_range(measure, gradient), {"licence": "CC0-1.0", "data": {"states": 30}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "model", made(Measure(Physics.SMALL_STRAIN, 2)))
    return tmp_path / "model"


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: f"{measure.physics}-{measure.dimension}d")
def test_the_same_numbers_bit_for_bit(measure: Measure, tmp_path: Path) -> None:
    model = made(measure)
    write_model(tmp_path / "model", model)
    read = read_model(tmp_path / "model")
    assert read.measure == measure
    assert read.family.architecture() == model.family.architecture()
    for name, array in model.family.arrays().items():
        assert array.tobytes() == read.family.arrays()[name].tobytes()
    gradient = measure.rest + np.random.default_rng(1).uniform(-0.1, 0.1, (20, measure.size))
    for before, after in zip(model.family.evaluate(gradient), read.family.evaluate(gradient), strict=True):
        assert before.tobytes() == after.tobytes()
    np.testing.assert_allclose(read.lower, model.lower, rtol=1e-15)
    np.testing.assert_allclose(read.upper, model.upper, rtol=1e-15)
    assert read.information["licence"] == "CC0-1.0"
    write_model(tmp_path / "again", read)
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (
        tmp_path / "model" / "weights.safetensors"
    ).read_bytes()


def test_what_a_person_finds(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "card.json", "weights.safetensors"]
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "CC0-1.0" in text
    assert "type: surrogate" in text
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert np.shape(card["training_range"]["lower"]) == (2, 2)
    assert card["family"] == "ann"
    assert set(card["normaliser"]) == {"strain_scale", "stress_scale"}


def changed(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        (folder / "card.json").write_text(json.dumps(card | values), encoding="utf-8")

    return change


def content(name: str, text: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(text) and None


def flipped(folder: Path) -> None:
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-3] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(weights))


def exchanged(text: bytes) -> Callable[[Path], None]:
    """Other weights, whose hash the card confirms."""
    import hashlib

    def change(folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(text)
        changed(weights_sha256=hashlib.sha256(text).hexdigest())(folder)

    return change


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no weights": (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors cannot be read"),
    "no card": (lambda folder: (folder / "card.json").unlink(), "card.json cannot be read"),
    "card of text": (content("card.json", b"hello"), "not JSON"),
    "card of bytes": (content("card.json", b"\xff\xfe\x00"), "not JSON"),
    "card is a list": (content("card.json", b"[1]"), "not a mapping"),
    "another schema": (changed(schema="fe2-surrogate-9"), "fe2-surrogate-9"),
    "another family": (changed(family="oracle"), "oracle"),
    "family is a list": (changed(family=["ann"]), "names the family"),
    "physics": (changed(physics="magic"), "magic"),
    "dimension": (changed(dimension=4), "must be 2 or 3"),
    "dimension is text": (changed(dimension="2"), "must be 2 or 3"),
    "dimension of other weights": (
        changed(dimension=3, training_range={"lower": np.zeros((3, 3)).tolist(), "upper": np.ones((3, 3)).tolist()}),
        "shape",
    ),
    "architecture": (changed(architecture={"hidden": [6, 6]}), "the architecture asks for"),
    "architecture is text": (changed(architecture="big"), "architecture"),
    "a huge architecture": (changed(architecture={"hidden": [10**12, 5]}), "shape"),
    "range": (changed(training_range=None), "training_range"),
    "range of another shape": (changed(training_range={"lower": [0], "upper": [1]}), "training_range"),
    "range upside down": (
        changed(training_range={"lower": [[1, 1], [1, 1]], "upper": [[0, 0], [0, 0]]}),
        "lower ≤ upper",
    ),
    "one bit": (flipped, "SHA-256"),
    "half the weights": (lambda folder: _halve(folder / "weights.safetensors"), "SHA-256"),
    "weights of text": (exchanged(b"hello"), "not a safetensors file"),
    "a pickle": (exchanged(b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix."), "not a safetensors file"),
}


def _halve(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused_in_one_line(damage: str, folder: Path) -> None:
    harm, words = DAMAGES[damage]
    harm(folder)
    with pytest.raises(ModelError) as error:
        read_model(folder)
    assert words in str(error.value)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        read_model(tmp_path / "model")
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="not a folder"):
        read_model(tmp_path / "file")


def test_a_model_is_replaced_and_nothing_else_is(folder: Path) -> None:
    other = made(Measure(Physics.HEAT, 3))
    write_model(folder, other)
    assert read_model(folder).measure == other.measure
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    precious = folder.parent / "thesis"
    precious.mkdir()
    (precious / "chapter.tex").write_text("…", encoding="utf-8")
    with pytest.raises(ModelError, match="not a model"):
        write_model(precious, other)
    assert (precious / "chapter.tex").read_text(encoding="utf-8") == "…"
    with pytest.raises(ModelError, match="is a file"):
        write_model(precious / "chapter.tex", other)


def test_outside_of_the_range() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    model = made(measure)
    assert not model.outside(np.stack([measure.rest, model.lower, model.upper])).any()
    beyond = np.stack([model.upper + 0.01, model.lower - [0, 0.01, 0], np.full(3, np.nan)])
    assert model.outside(beyond).all()


def test_a_rigid_rotation_does_not_leave_the_range() -> None:
    measure = Measure(Physics.FINITE_STRAIN, 2)
    model = made(measure)
    turned = np.array([[0.0, -1.0], [1.0, 0.0]]).ravel()
    assert not model.outside(turned[None])[0]
