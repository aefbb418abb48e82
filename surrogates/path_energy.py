"""Energy that a material without memory gains between states of a path, from flux and tangent alone."""

from typing import NamedTuple

import numpy as np

from materials.interface import IntArray
from materials.measures import FloatArray
from surrogates.family import Samples


class Gains(NamedTuple):
    """Differences of energy between states that follow each other on a path."""

    before: IntArray
    """States where the differences begin, (k,)."""
    after: IntArray
    """States where they end, (k,)."""
    energy: FloatArray
    """W after − W before, (k,)."""


def energy_gains(samples: Samples) -> Gains:
    """W₁ − W₀ = ½ (P₀ + P₁)·ΔF + (1/12) ΔF·(A₀ − A₁) ΔF + O(‖ΔF‖⁵), the trapezoidal rule with its end correction.

    The first state of a path has none, nor has any state of samples that are not ordered along paths.
    """
    if samples.path is None:
        return Gains(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
    before = np.flatnonzero(samples.path[1:] == samples.path[:-1])
    after = before + 1
    step = samples.gradient[after] - samples.gradient[before]
    flux = 0.5 * (samples.flux[before] + samples.flux[after])
    bend = (samples.tangent[before] - samples.tangent[after]) / 12.0
    energy = np.einsum("ki,ki->k", step, flux) + np.einsum("ki,kij,kj->k", step, bend, step)
    return Gains(before, after, energy)
