"""`fe2 evaluate`: a model folder against a dataset, as plain JSON data and a picture."""

from pathlib import Path
from typing import Any

from solver.case.errors import BadInput
from solver.surrogate_training import read_dataset
from surrogates.attribution import attribution
from surrogates.dataset import Dataset
from surrogates.evaluation import errors_by_length, errors_by_step, evaluate_model
from surrogates.family import ModelError
from surrogates.store import Model, read_model
from surrogates.trajectories import one_cell
from surrogates.trusted import trust_report


def read_both(folder: Path, data: Path) -> tuple[Model, Dataset]:
    """The model and the dataset.

    Raises:
        BadInput: one of them is damaged, or they are not for the same physics and dimension.
    """
    try:
        model = read_model(folder)
    except ModelError as error:
        raise BadInput(str(error)) from None
    dataset = read_dataset(data)
    if dataset.measure != model.measure:
        of_model, of_data = (f"{m.physics} in dimension {m.dimension}" for m in (model.measure, dataset.measure))
        raise BadInput(f"{data}: is {of_data}, the model {folder} is for {of_model}; use a dataset of that kind")
    return model, dataset


def evaluate_on(model: Model, dataset: Dataset, folder: Path, data: Path) -> dict[str, Any]:
    """Errors, checks, attribution and speed on the test split, or on all states where there is none.

    Raises:
        BadInput: the model has no answer for some state.
    """
    tested = bool(dataset.states_of("test").any())
    samples = dataset.samples("test") if tested else dataset.all_samples()
    step = dataset.step[dataset.states_of("test")] if tested else dataset.step
    try:
        measured = evaluate_model(model, samples)
        by_step, by_length = errors_by_step(model, samples, step), errors_by_length(model, samples)
        attributed = attribution(*one_cell(model.family, samples))
        trust = None if model.calibration is None else trust_report(model, samples)
    except ModelError as error:
        raise BadInput(f"{folder}: {error} of {data}") from None
    trained_on = (model.information.get("data") or {}).get("sha256")
    return {
        "family": model.family.name,
        "split": "test" if tested else "all",
        "trained_on_this_dataset": trained_on == dataset.fingerprint,
        **measured,
        "errors_by_step": by_step,
        "errors_by_length": by_length,
        "attribution": attributed,
        "trust": trust,
    }


def summary(result: dict[str, Any]) -> list[str]:
    """The result in lines for a terminal."""
    which = "test states" if result["split"] == "test" else "states, as there is no test split"
    lines = [f"{result['family']} on {result['states']} {which}:"]
    for quantity in ("flux", "tangent"):
        error = result[f"{quantity}_error"]
        lines.append(
            f"  {quantity} error  {100 * error['rms']:.2f} % rms, 95 % of states below {100 * error['p95']:.2f} %, "
            f"largest {100 * error['max']:.2f} %"
        )
    lines += [f"  {name.replace('_', ' ')}  {value:.2e}" for name, value in result["checks"].items()]
    lines += _trust_lines(result["trust"])
    return [*lines, f"  {result['points_per_second']:.3g} points per second, flux and tangent, one process"]


def _trust_lines(trust: dict[str, Any] | None) -> list[str]:
    """What `trust_report` found."""
    if trust is None:
        return ["  trust  not calibrated"]
    wrong, power = (
        "none" if trust[key] is None else f"{100 * trust[key]:.1f} %" for key in ("wrong_among_trusted", "power")
    )
    return [
        f"  trust by {trust['measure']}  {100 * trust['trusted']:.1f} % of the states; wrong by more than "
        f"{trust['tolerance']:g} among them {wrong}; of the right ones {power} are trusted"
    ]
