"""A model from what a run has learned: trained anew or on from the one in force, compared, and calibrated.

The network in force is trained on where that helps: its architecture is that of a fresh one, its normalisation still
fits, since no component of the strain has more than doubled its range, and it is not far off. Otherwise L-BFGS ends in
a worse minimum than from fresh weights, and takes no less time. Either sees all that is kept, old and new, so that
nothing is forgotten. Which of the old and the new network is better is told by states that neither was fitted to. The
better one gets trust and threshold from all that is known now, so that an old one that holds where the run has got to
is trusted there.
"""

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from materials.measures import Measure
from surrogates.ensemble import Ensemble
from surrogates.family import Family, ModelError, Options, Samples
from surrogates.store import Model, training_range
from surrogates.training import Training, train
from surrogates.trajectories import follow
from surrogates.trusted import calibrated

GROWTH = 2.0
"""Of the range of a strain component, beyond which a normalisation does not fit any more."""
FAR_OFF = 0.01
"""Loss on the validation split above which a network is."""
ENOUGH = 0.4
"""Training ends when the root of the loss on the validation split is this part of the tolerance."""


@dataclass(frozen=True, kw_only=True)
class LearnerSettings:
    """How a run learns; what users can say of it was checked with their case."""

    family: type[Family]
    """Of the network."""
    options: Options
    """Its architecture."""
    training: Training = field(default_factory=Training)
    """How it is trained."""
    epochs: int = 60
    """Most epochs of a training during the run, which waits for it."""
    ensemble: int = 1
    """Members."""
    trust: str = "distance"
    """Measure of trust, see `surrogates/trust.py`."""
    tolerance: float = 0.01
    """Relative flux error that is accepted."""
    confidence: float = 0.95
    """That a trusted answer is within the tolerance."""
    every: int = 1
    """Accepted increments between two trainings at least."""
    samples: int = 100
    """New states between two trainings at least."""
    explored: int = 1000
    """States that the exact path is asked for ahead of a training at most."""
    reach: float = 5.0
    """Size of the strains asked for, relative to those that the run has reached."""
    narrowing: float = 0.5
    """Factor of the trust threshold when an audit finds more errors than promised."""
    seed: int = 0
    """Of held-out parts and explored paths."""


class Retrained(NamedTuple):
    """Result of a training during a run."""

    model: Model
    """The better one of the old and the new network, with trust and threshold from all that is known now."""
    start: Literal["fresh", "warm"]
    """What the new network was trained from."""
    kept: bool
    """Whether the old network is better, and is that of the model."""
    before: float | None
    """Squared relative error on the validation split, flux and tangent, of the old model; None: there is none."""
    after: float
    """That of the new network."""
    states: dict[str, int]
    """Numbers of states by split."""
    seconds: float
    """Wall time."""


def retrain(
    measure: Measure,
    settings: LearnerSettings,
    old: Model | None,
    learned: Samples,
    validation: Samples,
    held_out: Samples,
    floor: float | None = None,
    anew: bool = False,
) -> Retrained:
    """Train on `learned`, compare on `validation`, calibrate on `held_out`.

    Args:
        measure: of the states.
        settings: family, training, trust.
        old: the model in force.
        learned: the training split of all that is known.
        validation: decides when to stop, and whether the new network is better.
        held_out: for the calibration.
        floor: of the flux that errors are relative to; None: the rms of ‖flux‖ over the training split.
        anew: train a fresh network even where the old one fits.

    Raises:
        ModelError: a split is empty, or the states do not make a network, or no trust in it.
    """
    began = time.perf_counter()
    splits = {"train": learned, "validation": validation, "calibration": held_out}
    states = {name: len(samples.gradient) for name, samples in splits.items()}
    if not all(states.values()):
        raise ModelError(f"{' and '.join(name for name, n in states.items() if not n)} have no states yet")
    before = None if old is None else loss(old.family, validation, settings.training)
    usable = None if anew or before is None or before > FAR_OFF else old
    start, how = _start(measure, settings, usable, learned)
    limited = dataclasses.replace(settings.training, epochs=min(settings.training.epochs, settings.epochs))
    enough = (ENOUGH * settings.tolerance) ** 2
    members = [
        train(member, learned, validation, dataclasses.replace(limited, seed=limited.seed + k), enough=enough).family
        for k, member in enumerate(start)
    ]
    family = Ensemble(measure, tuple(members)) if len(members) > 1 else members[0]
    after, kept = loss(family, validation, settings.training), False
    if old is not None and before is not None and not after <= before:
        family, kept = old.family, True
    elif not after < np.inf:
        raise ModelError("the trained network has no answer for some states that were held out")
    bare = Model(family, *training_range(measure, learned.gradient))
    model = calibrated(bare, learned, held_out, settings.trust, settings.tolerance, settings.confidence, floor)
    return Retrained(model, how, kept, before, after, states, time.perf_counter() - began)


def loss(family: Family, samples: Samples, settings: Training) -> float:
    """Squared relative error of flux and tangent as in training, relative to the samples; inf: no answer for some."""
    answers = follow(family, samples)
    errors = [
        float(np.sum(np.square(answer - wanted)) / np.sum(np.square(wanted)))
        for answer, wanted in zip(answers, samples[1:3], strict=True)
    ]
    total = errors[0] + settings.tangent_weight * errors[1]
    return total if np.isfinite(total) else np.inf


def _start(
    measure: Measure, settings: LearnerSettings, old: Model | None, learned: Samples
) -> tuple[tuple[Family, ...], Literal["fresh", "warm"]]:
    """Networks to train, one for each member, and what they are."""
    fresh = tuple(
        settings.family.untrained(measure, settings.options, learned, settings.training.seed + k)
        for k in range(settings.ensemble)
    )
    if old is None or not settings.family.iterative or not _fits(old, learned):
        return fresh, "fresh"
    known = old.family.members if isinstance(old.family, Ensemble) else (old.family,)
    if [(type(one), one.architecture()) for one in known] != [(type(one), one.architecture()) for one in fresh]:
        return fresh, "fresh"
    return known, "warm"


def _fits(old: Model, learned: Samples) -> bool:
    """Whether the states are within `GROWTH` times the range that the old model was normalised for."""
    lower, upper = training_range(old.measure, learned.gradient)
    return bool(np.all(upper - lower <= GROWTH * (old.upper - old.lower)))
