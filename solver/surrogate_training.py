"""`fe2 train`: a recipe of a case and a dataset become a model folder."""

import dataclasses
import math
import time as clock
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from materials.measures import Measure
from solver.case.case import Case
from solver.case.errors import BadInput
from solver.case.materials import AdaptiveMaterialSection, TrustSection
from solver.case.resolved import resolved
from solver.results.environment import versions
from solver.training_display import TrainingDisplay
from surrogates.calibration import fewest_states
from surrogates.conditioned import Conditioned, Conditioning
from surrogates.dataset import Dataset, DatasetError
from surrogates.ensemble import Ensemble
from surrogates.evaluation import evaluate_model
from surrogates.families import FAMILIES
from surrogates.family import Family, ModelError, Samples
from surrogates.store import Model, read_model, training_range, write_model, write_refusal
from surrogates.training import Trained, Training, train
from surrogates.trusted import calibrated


class TrainedModel(NamedTuple):
    """What `fe2 train` made."""

    model: Model
    training: tuple[Trained, ...]
    """Of each member; one where there is no ensemble."""
    seconds: float
    """Wall time of the training."""


def train_case(case: Case, name: str, data: Path, out: Path, date: str, stream: TextIO | None = None) -> TrainedModel:
    """Train the surrogate that a recipe describes, and write its model folder.

    Args:
        case: the case.
        name: of a recipe, see `solver.sampling.chosen_recipe`.
        data: a dataset of the cell of that recipe.
        out: the model folder.
        date: when, for the card.
        stream: where progress is shown.

    Raises:
        BadInput: the recipe is not for this version, the dataset is damaged or of another cell, `out` holds something
            else, or the samples do not make a network.
    """
    recipe = case.surrogates[name]
    check_recipe(case, name)
    refusal = write_refusal(out)
    if refusal is not None:
        raise BadInput(refusal)
    dataset = read_dataset(data)
    check_dataset(case, name, dataset, data)
    settings = recipe.training_settings()
    learned, held_out, test = (dataset.samples(split) for split in ("train", "validation", "test"))
    began = clock.perf_counter()
    try:
        start = _start(case, name, learned)
        starts = start.members if isinstance(start, Ensemble) else (start,)
        done = []
        for k, member in enumerate(starts):
            own = dataclasses.replace(settings, seed=settings.seed + k)
            prefix = f"member {k + 1} of {len(starts)}  " if len(starts) > 1 else ""
            with TrainingDisplay(stream, settings.epochs, prefix) as display:
                done.append(train(member, learned, held_out, own, display.epoch))
        trained = tuple(done)
        seconds = clock.perf_counter() - began
        families = tuple(one.family for one in trained)
        family = Ensemble(case.measure, families) if len(families) > 1 else families[0]
        bare = Model(family, *training_range(dataset.measure, learned.gradient))
        belief = _trust(case, name)
        judged = calibrated(bare, learned, held_out, belief.measure, belief.tolerance, belief.confidence)
        measured = evaluate_model(bare, test) if len(test.gradient) else None
    except ModelError as error:
        raise case.bad_input(("surrogates", name), f"{error}; see {data}") from None
    information = {
        "errors": None
        if measured is None
        else {key: measured[key] for key in ("states", "flux_error", "tangent_error")},
        "checks": None if measured is None else measured["checks"],
        "data": _data(dataset),
        "training": _training(case, name, trained, seconds),
        "versions": versions(),
        "created": date,
        "licence": None,
    }
    model = dataclasses.replace(judged, information=information)
    try:
        write_model(out, model)
    except ModelError as error:
        raise BadInput(str(error)) from None
    return TrainedModel(model, trained, seconds)


def read_dataset(path: Path) -> Dataset:
    """A dataset, or `BadInput`."""
    try:
        return Dataset.read(path)
    except DatasetError as error:
        raise BadInput(str(error)) from None


def check_dataset(case: Case, name: str, dataset: Dataset, data: Path) -> None:
    """The dataset is of the physics of the case and of the cell of the recipe.

    Raises:
        BadInput: it is not.
    """
    if dataset.measure != case.measure:
        text = f"the case is {_words(case.measure)}, {data} is {_words(dataset.measure)}; sample this case"
        raise case.bad_input(("physics",), text)
    sampled = dataset.provenance.get("identity", {}).get("rve")
    cell = case.surrogates[name].rve
    if sampled is not None and sampled != resolved(case)["rves"][cell]:
        text = f"{data} was sampled from another cell than rves.{cell}; sample this case"
        raise case.bad_input(("surrogates", name, "rve"), text)
    _check_cells(case, name, dataset, data)
    if not dataset.states_of("train").any():
        raise BadInput(f"{data}: no state is for training, change sampling.split and sample again")


def _check_cells(case: Case, name: str, dataset: Dataset, data: Path) -> None:
    """The cells of the dataset differ in the descriptors of the recipe, within their ranges."""
    ranges, path = case.surrogates[name].sampling.descriptors, ("surrogates", name, "sampling", "descriptors")
    known = dataset.path_descriptors
    if set(ranges) - set(known) or (known and not ranges):
        text = f"the cells of {data} differ in {', '.join(known) or 'nothing'}"
        raise case.bad_input(path, f"{text}, the recipe says {', '.join(ranges) or 'nothing'}; sample this case")
    for descriptor, (lower, upper) in ranges.items():
        values = known[descriptor]
        if values.min() < lower or values.max() > upper:
            span = f"{values.min():g} to {values.max():g}"
            raise case.bad_input((*path, descriptor), f"the cells of {data} have {span}; sample this case")


def summary(made: TrainedModel) -> list[str]:
    """What came out, in lines for a terminal."""
    if len(made.training) > 1:
        lines = [f"Trained {len(made.training)} members in {made.seconds:.1f} s; their mean answers"]
    elif made.model.family.iterative:
        (only,) = made.training
        best = only.history[-1].best_epoch
        lines = [f"Trained in {made.seconds:.1f} s: {only.stopped}; the weights of epoch {best} are kept"]
    else:
        lines = [f"Fitted in {made.seconds:.1f} s"]
    lines.append(_trust_line(made.model))
    errors = made.model.information["errors"]
    if errors is None:
        return [*lines, "No state is for testing, so that its errors are not known"]
    for quantity in ("flux", "tangent"):
        error = errors[f"{quantity}_error"]
        lines.append(
            f"{quantity} error on {errors['states']} test states: {100 * error['rms']:.2f} % rms, "
            f"95 % of states below {100 * error['p95']:.2f} %, largest {100 * error['max']:.2f} %"
        )
    return lines


def _trust_line(model: Model) -> str:
    """What the calibration says, for a terminal."""
    assert model.trust is not None  # train_case has calibrated it
    assert model.calibration is not None
    found = model.calibration
    states = f"{found.states} validation states"
    if math.isfinite(found.threshold):
        return (
            f"trusted up to a score of {found.threshold:.3g} ({model.trust.name}): {100 * found.trusted:.0f} % of "
            f"{states}; at most {100 * found.bound:.1f} % of such answers are wrong by more than {found.tolerance:g}"
        )
    fewest = fewest_states(found.confidence)
    reason = f"{fewest} are needed" if found.states < fewest else f"too many are wrong by more than {found.tolerance:g}"
    return f"nothing is trusted: of {states}, {reason}"


def check_recipe(case: Case, name: str) -> None:
    """A recipe can be trained for its cell.

    Raises:
        BadInput: it cannot, in this version or at all.
    """
    recipe = case.surrogates[name]
    if recipe.family not in FAMILIES:
        text = f"family {recipe.family} is not available in this version, use {' or '.join(FAMILIES)}"
        raise case.bad_input(("surrogates", name, "family"), text)
    refusal = FAMILIES[recipe.family].refusal(case.measure)
    if refusal is not None:
        raise case.bad_input(("surrogates", name, "family"), refusal)
    for phase, law in case.rves[recipe.rve].laws.items():
        if law.state_size > 0 and not FAMILIES[recipe.family].remembers:
            text = f"family {recipe.family} is for reversible response, but {law.name} of phase {phase} remembers"
            able = " or ".join(family for family, kind in FAMILIES.items() if kind.remembers)
            raise case.bad_input(("surrogates", name, "family"), f"{text}; use {able or 'another cell'}")
    if not FAMILIES[recipe.family].iterative:
        _check_fitted_at_once(case, name)
    if recipe.ensemble > 1 and not FAMILIES[recipe.family].iterative:
        text = f"family {recipe.family} is fitted at once and its members would be alike, remove the key"
        raise case.bad_input(("surrogates", name, "ensemble"), text)


def _check_fitted_at_once(case: Case, name: str) -> None:
    """Of the training of such a family there is only a seed."""
    recipe, defaults = case.surrogates[name], Training()
    set_keys = [] if recipe.start is None else ["from"]
    for key, value in dataclasses.asdict(recipe.training_settings()).items():
        if key != "seed" and value != getattr(defaults, key):
            set_keys.append(key)
    if set_keys:
        text = f"family {recipe.family} is fitted at once, not trained step by step; remove the key"
        raise case.bad_input(("surrogates", name, "training", set_keys[0]), text)


def _start(case: Case, name: str, learned: Samples) -> Family:
    """An untrained network, or the one that the recipe starts from."""
    recipe, settings = case.surrogates[name], case.surrogates[name].training_settings()
    kind, options = FAMILIES[recipe.family], recipe.network_options()
    if recipe.axes:
        kind, options = Conditioned, Conditioning(family=kind, options=options, axes=recipe.axes)
    members = tuple(kind.untrained(case.measure, options, learned, settings.seed + k) for k in range(recipe.ensemble))
    fresh = Ensemble(case.measure, members) if len(members) > 1 else members[0]
    if recipe.start is None:
        if settings.freeze:
            key = ("surrogates", name, "training", "freeze")
            raise case.bad_input(key, "there is no model to keep layers of, name one under from or remove the key")
        return fresh
    key = ("surrogates", name, "training", "from")
    try:
        earlier = read_model(case.file_path(recipe.start)).family
    except ModelError as error:
        raise case.bad_input(key, str(error)) from None
    if type(earlier) is not type(fresh) or earlier.measure != case.measure:
        text = f"the model is {earlier.name} for {_words(earlier.measure)}, the recipe {fresh.name}"
        raise case.bad_input(key, f"{text} for {_words(case.measure)}")
    if earlier.architecture() != fresh.architecture():
        text = f"the model has the architecture {earlier.architecture()}, the recipe {fresh.architecture()}"
        raise case.bad_input(key, text)
    return earlier


def _trust(case: Case, name: str) -> TrustSection:
    """What the first adaptive material that uses the recipe says, or the defaults."""
    for material in case.materials.values():
        if isinstance(material, AdaptiveMaterialSection) and material.surrogate == name:
            return material.trust
    return TrustSection()


def _words(measure: Measure) -> str:
    return f"{measure.physics} in dimension {measure.dimension}"


def _data(dataset: Dataset) -> dict[str, Any]:
    provenance = dataset.provenance
    return {
        "sha256": dataset.fingerprint,
        "states": {split: int(dataset.states_of(split).sum()) for split in ("train", "validation", "test")},
        "paths": dataset.n_paths,
        "cell_hash": provenance.get("cell_hash"),
        "cell": provenance.get("identity", {}).get("rve"),
        "descriptors": dict(dataset.descriptors),
        "sampling": provenance.get("identity", {}).get("sampling"),
        "date": provenance.get("date"),
    }


def _training(case: Case, name: str, trained: tuple[Trained, ...], seconds: float) -> dict[str, Any]:
    each = [_course(one) for one in trained]
    return {
        "case": case.title or case.source.stem,
        "recipe": name,
        "settings": resolved(case)["surrogates"][name]["training"] | {"from": case.surrogates[name].start},
        **(each[0] if len(each) == 1 else {"members": each}),
        "seconds": round(seconds, 3),
        **(_torch() if trained[0].family.iterative else {}),
    }


def _course(trained: Trained) -> dict[str, Any]:
    last = trained.history[-1]
    return {
        "epochs": last.epoch,
        "best_epoch": last.best_epoch,
        "training_loss": last.training,
        "validation_loss": min(losses.validation for losses in trained.history),
        "stopped": trained.stopped,
    }


def _torch() -> dict[str, str]:
    from surrogates.torch_boundary import device, torch

    return {"torch": torch.__version__, "device": str(device())}
