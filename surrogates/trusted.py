"""Models that say when to believe them: measure of trust, calibration, and what both are worth on other states."""

import dataclasses
import math
from typing import Any

import numpy as np

from materials.measures import FloatArray
from surrogates.calibration import calibrate, flux_errors
from surrogates.family import ModelError, Samples
from surrogates.normaliser import overall_scale
from surrogates.store import Model
from surrogates.trajectories import journey
from surrogates.trust import Trust, fit_trust


def calibrated(
    model: Model,
    training: Samples,
    held_out: Samples,
    measure: str,
    tolerance: float,
    confidence: float,
    floor: float | None = None,
) -> Model:
    """The model with a measure of trust and its threshold.

    Args:
        model: a trained one.
        training: the split that it learned from.
        held_out: states that it did not learn from, whole paths of them where it remembers; they decide the threshold.
        measure: one of `surrogates.trust.MEASURES`.
        tolerance: flux error that is accepted (`surrogates.calibration.flux_errors`).
        confidence: of the threshold, between 0 and 1.
        floor: of the flux that errors are relative to; None: the rms of ‖flux‖ over the training split.

    Raises:
        ModelError: the family cannot be judged by this measure.
    """
    trust = fit_trust(measure, model.family, training)
    floor = overall_scale(training.flux, "flux") if floor is None else floor
    scores, errors = scores_and_errors(trust, held_out, floor)
    return dataclasses.replace(model, trust=trust, calibration=calibrate(scores, errors, tolerance, confidence, floor))


def scores_and_errors(trust: Trust, samples: Samples, floor: float) -> tuple[FloatArray, FloatArray]:
    """Score and flux error of each of n states, (n,) each, along their paths where the family remembers."""
    if not len(samples.gradient):
        return np.zeros(0), np.zeros(0)
    made = journey(trust.family, samples)
    return trust.scores(samples.gradient, made.after), flux_errors(made.flux, samples.flux, floor)


def trust_report(model: Model, samples: Samples) -> dict[str, Any]:
    """What the trust of a model is worth on states that nothing was fitted to, as plain JSON data.

    `trusted` is the share of the states at or below the threshold, `wrong` the share whose error is above the
    tolerance, `wrong_among_trusted` that share of the trusted (null without any), and `power` the share of the right
    ones that are trusted (null without any).

    Raises:
        ModelError: the model has no trust, or no threshold.
    """
    if model.trust is None or model.calibration is None:
        raise ModelError("its trust has not been calibrated")
    calibration = model.calibration
    scores, errors = scores_and_errors(model.trust, samples, calibration.floor)
    trusted = np.isfinite(scores) & (scores <= calibration.threshold)
    right = errors <= calibration.tolerance
    return {
        "measure": model.trust.name,
        "tolerance": calibration.tolerance,
        "confidence": calibration.confidence,
        "threshold": calibration.threshold if math.isfinite(calibration.threshold) else None,
        "states": len(scores),
        "trusted": _share(trusted),
        "wrong": _share(~right),
        "wrong_among_trusted": _share(~right[trusted]),
        "power": _share(trusted[right]),
    }


def _share(chosen: Any) -> float | None:
    return float(np.mean(chosen)) if len(chosen) else None
