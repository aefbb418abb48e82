"""How good a surrogate is: errors on a set of states, physics checks, speed.

Every error is relative to the root mean square of the reference over the same set of states:

    rms = √(Σ ‖y − y_ref‖² / Σ ‖y_ref‖²),   error of one state = ‖y − y_ref‖ / √(mean ‖y_ref‖²)

so that states near rest, whose flux is nearly zero, do not divide by nothing. `p95` and `max` are over states.
"""

import time
from typing import Any

import numpy as np

from materials.ellipticity import lost_ellipticity
from materials.interface import IntArray
from materials.measures import FloatArray, Measure, Physics
from surrogates.family import Family, ModelError, Samples
from surrogates.store import Model
from surrogates.trajectories import follow

CHECK_STATES = 500
"""Most states that a check looks at."""
LOOPS = 50
"""Closed paths of the check for conservation."""
SPEED_POINTS = 20_000


def evaluate_model(model: Model, samples: Samples) -> dict[str, Any]:
    """Errors, checks and speed of a model on states that it was not trained on, as plain JSON data.

    Raises:
        ModelError: the set is empty, its reference vanishes, or the model has no answer for one of the states.
    """
    if not len(samples.gradient):
        raise ModelError("there are no states to evaluate it on")
    flux, tangent = follow(model.family, samples)
    unanswered = int(np.count_nonzero(~(np.isfinite(flux).all(axis=1) & np.isfinite(tangent).all(axis=(1, 2)))))
    if unanswered:
        raise ModelError(f"it has no answer for {unanswered} of {len(flux)} states")
    return {
        "states": len(samples.gradient),
        "flux_error": relative_error(flux, samples.flux)
        | {"components": model.measure.to_tensor(component_errors(flux, samples.flux)).tolist()},
        "tangent_error": relative_error(tangent, samples.tangent),
        "checks": checks(model, samples),
        "points_per_second": points_per_second(model.family, samples.gradient),
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
    """Root mean square error of each packed component, divided by the rms of the whole reference as above, (g,)."""
    scale = np.sqrt(np.mean(np.sum(np.square(reference), axis=1)))
    return np.asarray(np.sqrt(np.mean(np.square(value - reference), axis=0)) / scale)


def errors_by_step(model: Model, samples: Samples, step: IntArray) -> list[dict[str, float]]:
    """Root mean square errors of the states at each number of increments from rest, `step` (n,), as plain JSON data.

    Relative to the rms of the reference over all states, as everywhere, so that they show where errors come from.
    """
    flux, tangent = follow(model.family, samples)
    found: list[dict[str, float]] = []
    for number in np.unique(step):
        chosen = step == number
        entry: dict[str, float] = {"step": int(number), "states": int(np.count_nonzero(chosen))}
        for name, value, reference in (("flux", flux, samples.flux), ("tangent", tangent, samples.tangent)):
            error = np.mean(np.sum(np.square(value - reference)[chosen].reshape(int(entry["states"]), -1), axis=1))
            scale = np.mean(np.sum(np.square(reference).reshape(len(reference), -1), axis=1))
            entry[name] = float(np.sqrt(error / scale))
        found.append(entry)
    return found


def checks(model: Model, samples: Samples) -> dict[str, float]:
    """What physics asks for, each as one number; docs/surrogates.md explains them."""
    family, measure = model.family, model.measure
    chosen = np.unique(np.linspace(0, len(samples.gradient) - 1, min(CHECK_STATES, len(samples.gradient))).astype(int))
    gradient = samples.gradient[chosen]
    flux, tangent = family.evaluate(gradient)
    found = {
        "outside_training_range": float(np.mean(model.outside(samples.gradient))),
        "flux_at_rest": _norm(family.evaluate(measure.rest[None])[0]) / _norm(flux),
        "tangent_against_differences": _tangent_against_differences(family, gradient, tangent),
        "tangent_symmetry": float(np.linalg.norm(tangent - np.swapaxes(tangent, 1, 2)) / np.linalg.norm(tangent)),
        "closed_path_work": closed_path_work(family, gradient),
    }
    if measure.physics is Physics.FINITE_STRAIN:
        found["objectivity"] = objectivity(family, gradient)
    if measure.physics is not Physics.HEAT:
        inside = ~model.outside(gradient)
        found["ellipticity_lost"] = _share_lost(measure, tangent[inside])
        found["ellipticity_lost_in_data"] = _share_lost(measure, samples.tangent[chosen][inside])
    return found


def objectivity(family: Family, gradient: FloatArray, seed: int = 0) -> float:
    """Largest ‖P(QF) − Q P(F)‖ over the states and random rotations Q, relative to the rms of P."""
    measure = family.measure
    rotations = _rotations(measure.dimension, len(gradient), seed)
    turned = (rotations @ measure.to_tensor(gradient)).reshape(gradient.shape)
    expected = (rotations @ measure.to_tensor(family.evaluate(gradient)[0])).reshape(gradient.shape)
    difference = np.linalg.norm(family.evaluate(turned)[0] - expected, axis=1)
    return float(difference.max() / _norm(expected))


def closed_path_work(family: Family, gradient: FloatArray, seed: int = 0) -> float:
    """Net work of closed paths rest → a → b → rest through pairs of the states, relative to the work turned over.

    √(Σ (∮ flux·dg)²) / √(Σ (∮ |flux·dg|)²) over 50 paths, by Gauss–Legendre quadrature with 32 points per leg.
    """
    measure = family.measure
    random = np.random.default_rng(seed)
    first, second = gradient[random.integers(len(gradient), size=(2, LOOPS))]
    rest = np.tile(measure.rest, (LOOPS, 1))
    nodes, weights = np.polynomial.legendre.leggauss(32)
    net, turned_over = np.zeros(LOOPS), np.zeros(LOOPS)
    for start, end in ((rest, first), (first, second), (second, rest)):
        way = end - start
        points = start[:, None] + 0.5 * (1.0 + nodes)[:, None] * way[:, None]
        flux, _ = family.evaluate(points.reshape(-1, measure.size))
        power = 0.5 * weights * np.einsum("lqg,lg->lq", flux.reshape(points.shape), way)
        net += power.sum(axis=1)
        turned_over += np.abs(power).sum(axis=1)
    known = np.isfinite(net)  # a straight way between two deformations may turn the body inside out
    total = float(np.linalg.norm(turned_over[known]))
    return float(np.linalg.norm(net[known])) / total if total > 0.0 else 0.0


def points_per_second(family: Family, gradient: FloatArray) -> float:
    """Flux and tangent evaluations per second in one batch, the best of three, of this process."""
    batch = np.resize(gradient, (SPEED_POINTS, gradient.shape[1]))
    family.evaluate(batch)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        family.evaluate(batch)
        seconds.append(time.perf_counter() - started)
    return SPEED_POINTS / min(seconds)


def _tangent_against_differences(family: Family, gradient: FloatArray, tangent: FloatArray) -> float:
    """Largest deviation of the tangent from central differences of the flux, relative to the rms of the tangent."""
    size = family.measure.size
    step = 1e-5
    differences = np.empty_like(tangent)
    for column in range(size):
        direction = step * np.eye(size)[column]
        forward, backward = family.evaluate(gradient + direction)[0], family.evaluate(gradient - direction)[0]
        differences[:, :, column] = (forward - backward) / (2.0 * step)
    return float(np.linalg.norm(differences - tangent, axis=(1, 2)).max() / _norm(tangent))


def _share_lost(measure: Measure, tangent: FloatArray) -> float:
    return float(np.mean(lost_ellipticity(measure, tangent))) if len(tangent) else 0.0


def _norm(values: FloatArray) -> float:
    """Root mean square over states of the norm of each."""
    return float(np.linalg.norm(values) / np.sqrt(len(values)))


def _rotations(dimension: int, count: int, seed: int) -> FloatArray:
    """Random rotations (count, d, d)."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, dimension, dimension)))
    q *= np.sign(np.einsum("nii->ni", r))[:, None, :]
    q[:, :, 0] *= np.linalg.det(q)[:, None]
    return np.asarray(q)
