"""Which component of the gradient each component of the flux comes from: integrated gradients.

M. Sundararajan, A. Taly, Q. Yan, Axiomatic attribution for deep networks, ICML 2017: along a way g(t) from rest, where
the flux vanishes, component j of the gradient contributes ∫ A_ij(g) dg_j to flux i. The tangent A is exact, so that the
contributions to a flux add up to it (completeness), but for quadrature. The way is straight from rest for a reversible
response. A family that remembers is followed along its path: every increment, from the state that it starts from, adds
what its own straight way contributes; what a flux changes in time at a constant gradient is nobody's contribution.
"""

from typing import Any

import numpy as np

from materials.measures import FloatArray
from surrogates.family import Family, Samples
from surrogates.trajectories import continued, follow, journey, lengths, origins

NODES = 16
"""Gauss–Legendre points of a straight way."""


def attribution(family: Family, samples: Samples) -> dict[str, Any]:
    """Root mean square contributions over the states, as plain JSON data; states without an answer on the way are left.

    `contributions`: of gradient component kl to flux component ij, relative to the rms of the flux, as a full tensor
    [i][j][k][l], or [i][k] for heat. `residual`: rms of what they lack to the flux, relative to the same.

    Raises:
        ModelError: the family remembers and the samples have no paths.
    """
    measure = family.measure
    parts = contributions(family, samples)
    known = np.isfinite(parts).reshape(len(parts), -1).all(axis=1)
    parts, flux = parts[known], measure.to_tensor(follow(family, samples)[0][known])
    rank = len(measure.index_pairs[0])
    scale = np.sqrt(np.mean(np.sum(np.square(flux).reshape(len(flux), -1), axis=1)))
    lack = parts.sum(axis=tuple(range(-rank, 0))) - flux
    return {
        "states": len(flux),
        "contributions": (np.sqrt(np.mean(np.square(parts), axis=0)) / scale).tolist(),
        "residual": float(np.sqrt(np.mean(np.sum(np.square(lack).reshape(len(flux), -1), axis=1))) / scale),
    }


def contributions(family: Family, samples: Samples) -> FloatArray:
    """Contributions in full tensors, (n, d, d, d, d), (n, d, d) for heat: over the last (pair of) indices they add up.

    NaN where the family has no answer somewhere on the way.

    Raises:
        ModelError: the family remembers and the samples have no paths.
    """
    measure = family.measure
    remembers = family.state_size > 0
    begin = origins(measure, samples) if remembers else np.broadcast_to(measure.rest, samples.gradient.shape)
    before = journey(family, samples).before
    way = samples.gradient - begin
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    mean = np.zeros((*way.shape, measure.size))
    for node, weight in zip(nodes, weights, strict=True):
        mean += 0.5 * weight * continued(family, samples, before, begin + 0.5 * (1.0 + node) * way).tangent
    rank = len(measure.index_pairs[0])
    tensors = measure.to_tensor(way)
    found = measure.tangent_to_tensor(mean) * tensors.reshape(len(way), *(1,) * rank, *tensors.shape[1:])
    if not remembers or samples.path is None:
        return found
    ends = np.cumsum(lengths(samples.path))
    return np.concatenate([np.cumsum(part, axis=0) for part in np.split(found, ends[:-1])])
