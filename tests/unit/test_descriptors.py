"""One surrogate for many microstructures: what a blend keeps, what is sampled, fields of descriptors on a mesh."""

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from materials.interface import Status
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from solver.case.expression import Expression
from solver.cli import BAD_INPUT, DONE, execute
from surrogates.conditioned import Conditioned, Conditioning
from surrogates.dataset import Dataset, DatasetError
from surrogates.ensemble import Ensemble
from surrogates.families import FAMILIES
from surrogates.family import ModelError, Samples
from surrogates.material import SurrogateMaterial
from surrogates.microstructures import cell_of_path, draw_cells
from surrogates.physics_checks import closed_path_work, objectivity
from surrogates.store import Model, read_model, training_range, write_model
from surrogates.trajectories import follow

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]
PLANE = Measure(Physics.FINITE_STRAIN, 2)
AXES = {"fraction": (0.1, 0.25, 0.4), "angle": (0.0, 1.0)}


def states(measure: Measure, count: int, size: float = 0.1, seed: int = 0) -> FloatArray:
    return measure.rest + np.random.default_rng(seed).uniform(-size, size, (count, measure.size))


def places(count: int, seed: int = 1) -> dict[str, FloatArray]:
    """Descriptors over the whole grid, and of its corners."""
    random = np.random.default_rng(seed)
    return {
        name: random.choice([nodes[0], nodes[-1], *random.uniform(nodes[0], nodes[-1], 8)], count)
        for name, nodes in AXES.items()
    }


def samples(measure: Measure, count: int = 200) -> Samples:
    """A stiffness and random numbers on it, in paths of five states with a cell of its own each."""
    gradient, random, g = states(measure, count), np.random.default_rng(2), measure.size
    path = np.arange(count) // 5
    known = {name: values[path] for name, values in places(count).items()}
    tangent = 3.0 * np.eye(g) + 0.1 * random.normal(size=(count, g, g))
    flux = 3.0 * (gradient - measure.rest) + 0.01 * random.normal(size=gradient.shape)
    symmetric = 0.5 * (tangent + tangent.swapaxes(1, 2))
    return Samples(gradient, flux, symmetric, path=path, dt=np.ones(count), descriptors=known)


def conditioned(measure: Measure, family: str = "energy", **options: object) -> Conditioned:
    kind = FAMILIES[family]
    network = Conditioning(family=kind, options=kind.network(**options), axes=AXES)
    made = Conditioned.untrained(measure, network, samples(measure), 0)
    random = np.random.default_rng(3)
    moved = {
        name: a + 0.3 * random.normal(size=a.shape)
        for name, a in made.arrays().items()
        if name.split(".")[1].startswith(("weight", "bias"))
    }
    return made.updated(moved)


def by_hand(which: dict[str, FloatArray], answers: list[FloatArray]) -> FloatArray:
    """Σ φ_a y_a with the shape functions of a bilinear grid written out."""
    total = np.zeros_like(answers[0])
    (xs, us), (ys, vs) = ((which[name], AXES[name]) for name in AXES)
    for i, u in enumerate(us):
        for j, v in enumerate(vs):
            width = (us[1] - us[0], vs[1] - vs[0])
            share = np.maximum(0.0, 1.0 - np.abs(xs - u) / width[0]) * np.maximum(0.0, 1.0 - np.abs(ys - v) / width[1])
            total += share.reshape(-1, *(1,) * (total.ndim - 1)) * answers[i * len(vs) + j]
    return total


@pytest.fixture(params=MEASURES, ids=lambda measure: f"{measure.physics}-{measure.dimension}d")
def measure(request: pytest.FixtureRequest) -> Measure:
    return request.param


def test_it_blends_its_members(measure: Measure) -> None:
    family, gradient, which = conditioned(measure), states(measure, 30, seed=4), places(30, seed=5)
    flux, tangent = family.at(which).evaluate(gradient)
    fluxes, tangents = zip(*(member.evaluate(gradient) for member in family.members), strict=True)
    np.testing.assert_allclose(flux, by_hand(which, list(fluxes)), atol=1e-12 * np.abs(fluxes).max())
    np.testing.assert_allclose(tangent, by_hand(which, list(tangents)), atol=1e-12 * np.abs(tangents).max())
    node = family.at({"fraction": 0.25, "angle": 1.0})
    assert (node.evaluate(gradient)[0] == fluxes[3]).all()
    beyond = family.at({"fraction": 0.9, "angle": -4.0})
    assert (beyond.evaluate(gradient)[0] == fluxes[4]).all()
    some = slice(7, 12)
    part = family.at({name: values[some] for name, values in which.items()}).evaluate(gradient[some])
    assert (part[0] == flux[some]).all()
    assert (part[1] == tangent[some]).all()


def test_what_members_promise_is_kept(measure: Measure) -> None:
    family, gradient, which = conditioned(measure), states(measure, 30, seed=4), places(30, seed=5)
    described = family.at(which)
    assert family.symmetric
    assert family.conservative
    flux, tangent = described.evaluate(gradient)
    scale = np.abs(tangent).max()
    np.testing.assert_allclose(tangent, tangent.swapaxes(1, 2), atol=1e-13 * scale)
    assert (described.evaluate(np.tile(measure.rest, (30, 1)))[0] == 0.0).all()
    one = family.at({"fraction": 0.18, "angle": 0.4})
    assert closed_path_work(one, gradient) < 1e-10
    if measure.physics is Physics.FINITE_STRAIN:
        assert objectivity(one, Samples(gradient, flux, tangent)) < 1e-10


def test_taylor(measure: Measure) -> None:
    family, which = conditioned(measure, "ann").at(places(20)), states(measure, 20, 1.0, seed=5) - measure.rest
    gradient = states(measure, 20, seed=6)
    flux, tangent = family.evaluate(gradient)
    remainders = [
        np.linalg.norm(family.evaluate(gradient + h * which)[0] - flux - h * np.einsum("nij,nj->ni", tangent, which))
        for h in (2e-3, 1e-3, 5e-4)
    ]
    assert (np.log2(np.array(remainders[:-1]) / np.array(remainders[1:])) > 1.9).all()


@pytest.mark.parametrize("family", [name for name, kind in FAMILIES.items() if kind.iterative])
def test_any_family_also_one_that_remembers(family: str) -> None:
    measure, learned = Measure(Physics.SMALL_STRAIN, 2), samples(Measure(Physics.SMALL_STRAIN, 2))
    made = conditioned(measure, family)
    assert made.remembers is False or made.state_size > 0
    flux, tangent = follow(made, learned)
    alone = [follow(member, learned) for member in made.members]
    assert learned.descriptors is not None
    known = dict(learned.descriptors)
    for answer, parts in ((flux, [f for f, _ in alone]), (tangent, [t for _, t in alone])):
        expected = by_hand(known, parts)
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("family", [name for name, kind in FAMILIES.items() if kind.iterative])
def test_torch_says_the_same(family: str) -> None:
    from surrogates.torch_boundary import as_numpy, as_tensor
    from surrogates.trajectories import described, padded

    measure, learned = Measure(Physics.SMALL_STRAIN, 2), samples(Measure(Physics.SMALL_STRAIN, 2))
    made = conditioned(measure, family)
    module = made.torch_model()
    assert {name for name, _ in module.named_parameters()} <= set(made.arrays())
    paths = padded(learned)
    inputs = [paths.gradient, paths.dt] if made.state_size else [learned.gradient]
    tensors = [as_tensor(values) for values in (*inputs, described(made, learned))]
    flux = as_numpy(module.flux(*tensors) if not made.learns_tangent else module(*tensors)[0])
    expected = follow(made, learned)[0]
    np.testing.assert_allclose(flux.reshape(expected.shape), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_a_gaussian_process_at_each_cell() -> None:
    law_states = states(PLANE, 12, 0.05)
    values = {}
    for fraction in (0.1, 0.2, 0.4):
        law = LawMaterial(LAWS["neo_hookean"](E=100.0 + 500.0 * fraction, nu=0.3), PLANE)
        law.bind(np.arange(12))
        values[fraction] = law.evaluate(law_states, 1.0)
    flux, tangent = (np.concatenate([getattr(v, name) for v in values.values()]) for name in ("flux", "tangent"))
    learned = Samples(np.tile(law_states, (3, 1)), flux, tangent, descriptors={"fraction": np.repeat(list(values), 12)})
    kind = FAMILIES["gp"]
    network = Conditioning(family=kind, options=kind.network(), axes={"fraction": (0.1, 0.25, 0.4)})
    made = Conditioned.untrained(PLANE, network, learned, 0)
    assert made.axes == {"fraction": (0.1, 0.2, 0.4)}
    assert not made.iterative
    error = np.linalg.norm(follow(made, learned)[0] - flux) / np.linalg.norm(flux)
    assert error < 1e-3
    two = dataclasses.replace(network, axes=AXES)
    with pytest.raises(ModelError, match="one descriptor only"):
        Conditioned.untrained(PLANE, two, samples(PLANE), 0)


def test_the_same_numbers_bit_for_bit(measure: Measure, tmp_path: Path) -> None:
    gradient, which = states(measure, 20, seed=7), places(20)
    for k, family in enumerate((conditioned(measure), Ensemble(measure, (conditioned(measure, "ann"),) * 2))):
        write_model(tmp_path / f"model{k}", Model(family, *training_range(measure, gradient)))
        read = read_model(tmp_path / f"model{k}").family
        assert read.descriptors == ("fraction", "angle")
        for before, after in zip(family.at(which).evaluate(gradient), read.at(which).evaluate(gradient), strict=True):
            assert before.tobytes() == after.tobytes()


def test_broken_ones_are_refused() -> None:
    made = conditioned(PLANE, "ann")
    arrays, architecture = made.arrays(), made.architecture()
    for change, words in (
        ({"family": "conditioned"}, "names descriptors, a family"),
        ({"descriptors": {}}, "names descriptors, a family"),
        ({"descriptors": {"fraction": [0.1, "x"]}}, "names descriptors, a family"),
        ({"descriptors": {"fraction": [0.4, 0.1]}}, "rising"),
        ({"members": architecture["members"][:4]}, "6 nodes, there are 4 members"),
    ):
        with pytest.raises(ModelError, match=words):
            Conditioned.from_arrays(PLANE, architecture | change, arrays)
    with pytest.raises(ModelError, match=r"member 1: .* lacks skip"):
        Conditioned.from_arrays(PLANE, architecture, {n: a for n, a in arrays.items() if n != "1.skip"})
    with pytest.raises(ModelError, match=r"at\(\) wants fraction, angle"):
        made.evaluate(states(PLANE, 2))
    with pytest.raises(ModelError, match="not described by angle, but only by fraction"):
        made.at({"fraction": 0.2})
    network = Conditioning(
        family=FAMILIES["ann"], options=FAMILIES["ann"].network(), axes={"fraction": (0.1, 0.9, 1.7)}
    )
    with pytest.raises(ModelError, match=r"no training state is near fraction = 1\.7"):
        Conditioned.untrained(PLANE, network, samples(PLANE), 0)


def test_cells_fill_their_ranges() -> None:
    ranges = ((0.1, 0.4), (-1.0, 1.0))
    cells = draw_cells(ranges, 40, 3)
    assert {tuple(cell) for cell in cells[:4].tolist()} == {(0.1, -1.0), (0.1, 1.0), (0.4, -1.0), (0.4, 1.0)}
    assert (draw_cells(ranges, 9, 3) == cells[:9]).all()
    assert not (draw_cells(ranges, 9, 4)[4:] == cells[4:9]).any()
    for values, (lower, upper) in zip(cells.T, ranges, strict=True):
        counts, _ = np.histogram(values[4:], 6, (lower, upper))
        assert (counts >= 4).all()  # six of each would be even
    with pytest.raises(ValueError, match="4 corners"):
        draw_cells(ranges, 3, 0)
    dealt = np.array([cell_of_path(number, 8, 0) for number in range(800)]).reshape(100, 8)
    assert (np.sort(dealt, axis=1) == np.arange(8)).all()
    assert (np.bincount(dealt[:, 0], minlength=8) > 4).all()


def test_datasets_of_several_cells(tmp_path: Path) -> None:
    learned = samples(PLANE, 10)
    whole = Dataset(
        measure=PLANE, gradient=learned.gradient, flux=learned.flux, tangent=learned.tangent, dt=np.ones(10),
        path=np.repeat([0, 1, 2], (4, 5, 1)), step=np.concatenate([np.arange(1, k + 1) for k in (4, 5, 1)]),
        split=("train", "test", "train"), path_descriptors={"fraction": np.array([0.1, 0.4, 0.2])},
        provenance={"identity": {"rve": {"geometry": {"generator": "laminate", "fraction": 0.3, "width": 2.0}}}},
    )  # fmt: skip
    whole.write(tmp_path / "data.h5")
    read = Dataset.read(tmp_path / "data.h5")
    assert read.path_descriptors.keys() == {"fraction"}
    known = read.samples("train").descriptors
    assert known is not None
    assert known["fraction"].tolist() == [0.1] * 4 + [0.2]
    assert known["width"].tolist() == [2.0] * 5
    assert read.fingerprint == whole.fingerprint
    assert dataclasses.replace(whole, path_descriptors={}).fingerprint != whole.fingerprint
    with pytest.raises(DatasetError, match="path_descriptors, fraction"):
        dataclasses.replace(whole, path_descriptors={"fraction": np.zeros(2)})


def test_expressions() -> None:
    points = np.random.default_rng(0).uniform(0.5, 2.0, (7, 3))
    x, y, z = points.T
    for source, expected in (
        (0.3, np.full(7, 0.3)),
        ("0.1 + 0.2*x/48", 0.1 + 0.2 * x / 48),
        ("-x**2 + sqrt(y)*(z - 1)", -(x**2) + np.sqrt(y) * (z - 1)),
        (
            "max(0.1, min(0.4, sin(pi*x), 1e-3 + y))",
            np.maximum(0.1, np.minimum(0.4, np.minimum(np.sin(np.pi * x), 1e-3 + y))),
        ),
    ):
        np.testing.assert_allclose(Expression(source)(points), expected, rtol=1e-14)
    assert Expression("x + z").axes == {"x", "z"}
    assert not np.isfinite(Expression("1/(x - x)")(points)).any()
    refused = ("__import__('os')", "x.real", "x if x else y", "[x]", "t", "sin()", "sqrt(x, y)", "x @ y", "'a'", "x +")
    for text in (*refused, "True", "lambda: x", "9" * 600):
        with pytest.raises(ValueError, match=r"write|at most"):
            Expression(text)


def test_a_material_with_a_field(caplog: pytest.LogCaptureFixture) -> None:
    family = conditioned(PLANE)
    model = Model(family, *training_range(PLANE, states(PLANE, 20)))
    fields = {"fraction": Expression("0.1 + 0.1*x"), "angle": Expression("0.5*y/y")}
    material = SurrogateMaterial(model, "graded", fields)
    material.bind(np.arange(4))
    material.locate(np.array([[0.0, 1.0], [1.0, 1.0], [4.0, 1.0], [2.0, 0.0]]))
    gradient = states(PLANE, 4, 0.01)
    answer = material.evaluate(gradient, 1.0)
    assert answer.status.tolist() == [Status.OK, Status.OK, Status.OK, Status.FAILED]
    expected, _ = family.at({"fraction": np.array([0.1, 0.2]), "angle": 0.5}).evaluate(gradient[:2])
    np.testing.assert_allclose(answer.flux[:2], expected, rtol=1e-12)
    assert "descriptor" in material.failure(3)
    material.commit()
    assert material.statistics()["accepted_outside_training_range"] == 2.0
    assert "graded: 2 of 4" in caplog.text


# A class of fibre composites, from sampling to a graded body ---------------------------------------------------------

CASE = """\
title: Fibres, more of them to the right
physics: finite_strain
dimension: 2
mesh: {generator: rectangle, size: [2, 1], divisions: [4, 2], element: triangle, degree: 2}
regions: {all: composite}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.06, null]}
load: {steps: 2}
materials:
  composite: {type: rve, rve: cell}
rves:
  cell:
    geometry: {generator: inclusion, volume_fraction: 0.25, resolution: 6}
    element: triangle
    phases:
      matrix: {law: neo_hookean, E: 100, nu: 0.3}
      inclusion: {law: neo_hookean, E: 1000, nu: 0.3}
surrogates:
  net:
    rve: cell
    family: energy
    network: {hidden: [16]}
    sampling: {paths: 72, steps: 3, range: 0.08, descriptors: {volume_fraction: [0.1, 0.4]}, cells: 6}
    training: {epochs: 60}
output:
  reactions: [right]
"""
ONE_CELL = "surrogates.net.sampling.descriptors={}"


def command(name: str, folder: Path, *words: str, changes: tuple[str, ...] = ()) -> int:
    overrides = [word for change in changes for word in ("--set", change)]
    quiet = [] if name == "check" else ["--quiet"]
    return execute([name, str(folder / "fibre.yaml"), *words, *quiet, *overrides])


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the case, a dataset of six cells, and the surrogate of the class."""
    folder = tmp_path_factory.mktemp("class")
    (folder / "fibre.yaml").write_text(CASE, encoding="utf-8")
    assert command("sample", folder, "--out", str(folder / "class.h5")) == DONE
    assert command("train", folder, "--data", str(folder / "class.h5"), "--out", str(folder / "class")) == DONE
    return folder


def flux_error(folder: Path, model: str, data: str) -> float:
    out = folder / f"{model}-{data}.json"
    words = ["evaluate", str(folder / model), "--data", str(folder / data), "--out", str(out)]
    assert execute(words) == DONE
    return float(json.loads(out.read_text(encoding="utf-8"))["flux_error"]["rms"])


def reaction(folder: Path, out: str, *changes: str) -> float:
    assert command("run", folder, "--out", str(folder / out), changes=changes) == DONE
    with (folder / out / "reactions.csv").open(encoding="utf-8") as file:
        return float(list(csv.DictReader(file))[-1]["right_x"])


def test_the_dataset_knows_its_cells(workshop: Path) -> None:
    data = Dataset.read(workshop / "class.h5")
    drawn, measured = (data.path_descriptors[name] for name in ("volume_fraction", "volume_fraction_inclusion"))
    np.testing.assert_allclose(measured, drawn, atol=1e-6)
    assert np.unique(drawn).size == 6
    assert (drawn.min(), drawn.max()) == (0.1, 0.4)
    assert data.descriptors == {}
    # stiffer with more fibres: mean of the first stiffness of the poorest and of the richest cell
    first = np.trace(data.tangent[data.step == 1], axis1=1, axis2=2)
    assert first[drawn == 0.4].mean() > 1.3 * first[drawn == 0.1].mean()


def test_symmetry_is_seen_though_cells_differ(workshop: Path) -> None:
    found = read_model(workshop / "class").family.architecture()["members"]
    assert [member["symmetry"] for member in found] == ["square"] * 3


def test_it_knows_a_volume_fraction_that_it_never_saw(workshop: Path) -> None:
    unseen = (ONE_CELL, "rves.cell.geometry.volume_fraction=0.31", "surrogates.net.sampling.seed=9")
    near = (ONE_CELL, "rves.cell.geometry.volume_fraction=0.25", "surrogates.net.sampling.paths=24")
    assert command("sample", workshop, "--out", str(workshop / "unseen.h5"), changes=unseen) == DONE
    assert command("sample", workshop, "--out", str(workshop / "near.h5"), changes=near) == DONE
    words = ("--data", str(workshop / "near.h5"), "--out", str(workshop / "near"))
    assert command("train", workshop, *words, changes=near) == DONE
    of_class, of_near = flux_error(workshop, "class", "unseen.h5"), flux_error(workshop, "near", "unseen.h5")
    assert flux_error(workshop, "class", "class.h5") < 0.02
    assert of_class < 0.02
    assert of_near > 3.0 * of_class


def test_a_graded_body(workshop: Path) -> None:
    model = f"type: surrogate, model: {workshop / 'class'}"
    uniform = {
        fraction: reaction(
            workshop,
            f"uniform{fraction}",
            f"materials.composite={{{model}, descriptors: {{volume_fraction: {fraction}}}}}",
        )
        for fraction in (0.1, 0.4)
    }
    cells = reaction(workshop, "cells", "rves.cell.geometry.volume_fraction=0.4")
    assert uniform[0.4] == pytest.approx(cells, rel=0.02)
    graded = reaction(
        workshop, "graded", f"materials.composite={{{model}, descriptors: {{volume_fraction: 0.1 + 0.3*x/2}}}}"
    )
    # slices in series: the compliance of the bar is near the mean of the compliances along it
    assert uniform[0.1] < graded < uniform[0.4]
    series = 1.0 / np.mean(
        [1.0 / np.interp(f, (0.1, 0.4), (uniform[0.1], uniform[0.4])) for f in np.linspace(0.1, 0.4, 21)]
    )
    assert graded == pytest.approx(series, rel=0.05)
    statistics = json.loads((workshop / "graded" / "run.json").read_text(encoding="utf-8"))["statistics"]
    assert statistics["composite"]["accepted_outside_training_range"] == 0.0


def test_bad_input_is_told(workshop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = f"type: surrogate, model: {workshop / 'class'}"
    for change, words in (
        (f"materials.composite={{{model}}}", "is for many microstructures, add volume_fraction: …"),
        (f"materials.composite={{{model}, descriptors: {{fraction: 1}}}}", "did you mean 'volume_fraction'?"),
        (f"materials.composite={{{model}, descriptors: {{volume_fraction: 0.1 + q}}}}", "'q' is not allowed"),
        (f"materials.composite={{{model}, descriptors: {{volume_fraction: 0.1*z}}}}", "there is no z in dimension 2"),
        ("surrogates.net.sampling.descriptors={fraction: [0.1, 0.2]}", "did you mean 'volume_fraction'?"),
        ("surrogates.net.sampling.descriptors={volume_fraction: [0.4, 0.2]}", "the second must be larger"),
        ("surrogates.net.sampling.descriptors={volume_fraction: [0.4, 1.2]}", "volume_fraction = 1.2: "),
        ("surrogates.net.sampling.cells=1", "2 corners"),
    ):
        assert command("check", workshop, changes=(change,)) == BAD_INPUT, change
        assert words in capsys.readouterr().err
    for change, words in (
        (ONE_CELL, "differ in volume_fraction"),
        ("surrogates.net.sampling.descriptors={volume_fraction: [0.2, 0.4]}", "have 0.1 to 0.4"),
        ("surrogates.net.descriptor_nodes=30", "no training state is near"),
    ):
        arguments = ("--data", str(workshop / "class.h5"), "--out", str(workshop / "no"))
        assert command("train", workshop, *arguments, changes=(change,)) == BAD_INPUT, change
        assert words in capsys.readouterr().err


def test_one_and_two_ranks_write_the_same_numbers(workshop: Path, run_ranks: Callable[..., str]) -> None:
    few = "surrogates.net.sampling.paths=5"
    assert command("sample", workshop, "--out", str(workshop / "one.h5"), changes=(few,)) == DONE
    run_ranks(2, "solver", "sample", workshop / "fibre.yaml", "--out", workshop / "two.h5", "--set", few, timeout=240.0)
    assert Dataset.read(workshop / "two.h5").fingerprint == Dataset.read(workshop / "one.h5").fingerprint
