"""How good a surrogate is: errors on a set of states, physics checks, speed.

Every error is relative to the root mean square of the reference over the same set of states:

    rms = √(Σ ‖y − y_ref‖² / Σ ‖y_ref‖²),   error of one state = ‖y − y_ref‖ / √(mean ‖y_ref‖²)

so that states near rest, whose flux is nearly zero, do not divide by nothing. `p95` and `max` are over states.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from materials.interface import IntArray
from materials.measures import FloatArray, Measure
from surrogates.family import Family, ModelError, Samples
from surrogates.green_strain import objective_strain
from surrogates.physics_checks import checks
from surrogates.store import Model
from surrogates.trajectories import follow, journey, lengths, one_cell, origins

LENGTHS = 8
"""Classes of errors by length of the path."""
SPEED_POINTS = 20_000


def evaluate_model(model: Model, samples: Samples) -> dict[str, Any]:
    """Errors, checks and speed of a model on states that it was not trained on, as plain JSON data.

    Raises:
        ModelError: the set is empty, its reference vanishes, the model has no answer for one of the states, or it
            remembers and the states are not ordered along paths.
    """
    if not len(samples.gradient):
        raise ModelError("there are no states to evaluate it on")
    measure = model.measure
    flux, tangent = follow(model.family, samples)
    unanswered = int(np.count_nonzero(~(np.isfinite(flux).all(axis=1) & np.isfinite(tangent).all(axis=(1, 2)))))
    if unanswered:
        raise ModelError(f"it has no answer for {unanswered} of {len(flux)} states")
    family, of_cell = one_cell(model.family, samples)
    of_flux, of_tangent = component_errors(flux, samples.flux), component_errors(tangent, samples.tangent)
    return {
        "states": len(samples.gradient),
        "flux_error": relative_error(flux, samples.flux) | {"components": measure.to_tensor(of_flux).tolist()},
        "tangent_error": relative_error(tangent, samples.tangent)
        | {"components": measure.tangent_to_tensor(of_tangent).tolist()},
        "checks": checks(replace(model, family=family), of_cell),
        "points_per_second": points_per_second(family, of_cell),
    }


def relative_error(value: FloatArray, reference: FloatArray) -> dict[str, float]:
    """`rms`, `p95` and `max` of the error of `value` (n, …); see the module.

    Raises:
        ModelError: the reference is zero everywhere.
    """
    error = np.sqrt(np.sum(np.square(value - reference).reshape(len(value), -1), axis=1))
    scale = np.sqrt(np.mean(np.sum(np.square(reference).reshape(len(value), -1), axis=1)))
    if scale == 0.0:
        raise ModelError("the reference is zero in every state, so that no error can be relative to it")
    return {
        "rms": float(np.sqrt(np.mean(error**2)) / scale),
        "p95": float(np.quantile(error, 0.95) / scale),
        "max": float(error.max() / scale),
    }


def component_errors(value: FloatArray, reference: FloatArray) -> FloatArray:
    """Root mean square error of each packed component, divided by the rms of the whole reference as above, (g, …)."""
    scale = np.sqrt(np.sum(np.square(reference)) / len(reference))
    return np.asarray(np.sqrt(np.mean(np.square(value - reference), axis=0)) / scale)


def errors_by_step(model: Model, samples: Samples, step: IntArray) -> list[dict[str, float]]:
    """Root mean square errors of the states at each number of increments from rest, `step` (n,), as plain JSON data.

    Relative to the rms of the reference over all states, as everywhere, so that they show where errors come from.
    """
    errors = _errors_of_classes(model, samples, step)
    return [{"step": int(number), **entry} for number, entry in zip(np.unique(step), errors, strict=True)]


def errors_by_length(model: Model, samples: Samples) -> list[dict[str, float]]:
    """Like `errors_by_step`, by the length of the path up to the state; `length` is the largest of each class.

    Raises:
        ModelError: the samples have no paths.
    """
    length = path_lengths(model.measure, samples)
    edges = length.max() * np.arange(1, LENGTHS + 1) / LENGTHS
    of_class = np.minimum(np.searchsorted(edges, length), LENGTHS - 1)
    errors = _errors_of_classes(model, samples, of_class)
    return [{"length": float(edges[k]), **entry} for k, entry in zip(np.unique(of_class), errors, strict=True)]


def path_lengths(measure: Measure, samples: Samples) -> FloatArray:
    """Length of the way from rest to each state, Σ ‖Δε‖ of the objective strain (`objective_strain`), (n,).

    Raises:
        ModelError: the samples have no paths.
    """
    ends = objective_strain(measure, samples.gradient)
    increments = np.linalg.norm(ends - objective_strain(measure, origins(measure, samples)), axis=1)
    assert samples.path is not None  # origins has looked
    first = np.concatenate([[0], np.cumsum(lengths(samples.path))[:-1]])
    total = np.cumsum(increments)
    return total - np.repeat((total - increments)[first], lengths(samples.path))


def _errors_of_classes(model: Model, samples: Samples, of_class: IntArray) -> list[dict[str, float]]:
    """Number of states of each class, and their errors of flux and tangent."""
    found = []
    answers = tuple(zip(("flux", "tangent"), follow(model.family, samples), samples[1:3], strict=True))
    for number in np.unique(of_class):
        chosen = of_class == number
        entry: dict[str, float] = {"states": int(np.count_nonzero(chosen))}
        for name, value, reference in answers:
            error = np.sum(np.square(value - reference)[chosen]) / entry["states"]
            entry[name] = float(np.sqrt(error * len(reference) / np.sum(np.square(reference))))
        found.append(entry)
    return found


def points_per_second(family: Family, samples: Samples) -> float:
    """Steps (flux, tangent, new state) per second in one batch, the best of three, of this process.

    They start from the states that the samples lead through.

    Raises:
        ModelError: the family remembers and the samples have no paths.
    """
    rows = np.resize(np.arange(len(samples.gradient)), SPEED_POINTS)
    gradient, before = samples.gradient[rows], journey(family, samples).before[rows]
    dt = 1.0 if samples.dt is None else float(samples.dt[0])
    family.step(gradient, before, dt)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        family.step(gradient, before, dt)
        seconds.append(time.perf_counter() - started)
    return SPEED_POINTS / min(seconds)
