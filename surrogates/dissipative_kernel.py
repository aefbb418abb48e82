"""Units that flow: their return to the yield surface at a point, along whole paths, and the adjoint of the latter.

Unit k has the internal strain z (m,), the accumulated slip α and the driving force s = B ε − (1 + h) z. It flows along
s as far as ‖s‖ ≤ r + H α asks for, which is a closed form, the radial return (Simo and Hughes 1998):

    t = B ε − (1 + h) z₀,   Δα = max(0, ‖t‖ − r − H α₀) / (1 + h + H),   z = z₀ + Δα t/‖t‖,   flux = C ε − Σ Bᵀ z
"""

import math
from typing import NamedTuple

import numpy as np
from numba import types

from materials.compilation import jit, kernel
from materials.measures import FloatArray

_VECTOR = types.float64[::1]
_MATRIX = types.float64[:, ::1]
_CUBE = types.float64[:, :, ::1]

BLOCK = 16

MARGIN = 1.0 + 1e-12
"""A unit flows beyond this multiple of its radius: what a committed state is asked again is elastic, not rounding."""


class Units(NamedTuple):
    """K units on m strains, in the units of the energy density e."""

    maps: FloatArray
    """B, in √(e / strain²), (K, m, m)."""
    radius: FloatArray
    """r, in √e, (K,)."""
    kinematic: FloatArray
    """h, (K,)."""
    isotropic: FloatArray
    """H, (K,)."""


_UNITS = (_CUBE, _VECTOR, _VECTOR, _VECTOR)


@jit
def _trial(maps: FloatArray, factor: float, strain: FloatArray, internal: FloatArray, force: FloatArray) -> float:
    """Write t (m,), the driving force if the unit does not flow; its norm."""
    square = 0.0
    for i in range(force.size):
        total = -factor * internal[i]
        for j in range(strain.size):
            total += maps[i, j] * strain[j]
        force[i] = total
        square += total * total
    return math.sqrt(square)


@kernel(types.void(*_UNITS, _MATRIX, _MATRIX, _CUBE, _MATRIX, _CUBE, _CUBE))
def step_points(
    maps: FloatArray,
    radius: FloatArray,
    kinematic: FloatArray,
    isotropic: FloatArray,
    stiffness: FloatArray,
    strain: FloatArray,
    state: FloatArray,
    stress: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> None:
    """Write stress (n, m), consistent tangent (n, m, m) and new state at `strain` (n, m) from `state` (n, K, m + 1).

    A state holds z and, last, α of each unit. `stiffness` is C, (m, m). The innermost loops run over a block of BLOCK
    points, with fixed length, so that they vectorise, and so that what a point gets does not depend on its neighbours.
    """
    units, m, _ = maps.shape
    squares = np.empty((units, m, m))  # BᵀB
    for k in range(units):
        for i in range(m):
            for j in range(m):
                squares[k, i, j] = (maps[k, :, i] * maps[k, :, j]).sum()
    at = np.empty((m, BLOCK))
    sigma = np.empty((m, BLOCK))
    moduli = np.empty((m, m, BLOCK))
    internal = np.empty((m, BLOCK))
    slip = np.empty(BLOCK)
    force = np.empty((m, BLOCK))
    along = np.empty((m, BLOCK))
    square = np.empty(BLOCK)
    share = np.empty(BLOCK)
    rest = np.empty(BLOCK)
    for start in range(0, strain.shape[0], BLOCK):
        filled = min(BLOCK, strain.shape[0] - start)
        for i in range(m):
            for p in range(BLOCK):
                at[i, p] = strain[start + min(p, filled - 1), i]
        for i in range(m):
            for p in range(BLOCK):
                sigma[i, p] = 0.0
            for j in range(m):
                c = stiffness[i, j]
                for p in range(BLOCK):
                    sigma[i, p] += c * at[j, p]
                    moduli[i, j, p] = c
        for k in range(units):
            factor = 1.0 + kinematic[k]
            gain = 1.0 / (factor + isotropic[k])
            first, growth = radius[k], isotropic[k]
            for p in range(BLOCK):
                point = start + min(p, filled - 1)
                for a in range(m):
                    internal[a, p] = state[point, k, a]
                slip[p] = state[point, k, m]
                square[p] = 0.0
            for a in range(m):
                for p in range(BLOCK):
                    force[a, p] = -factor * internal[a, p]
                for j in range(m):
                    b = maps[k, a, j]
                    for p in range(BLOCK):
                        force[a, p] += b * at[j, p]
                for p in range(BLOCK):
                    square[p] += force[a, p] * force[a, p]
            for p in range(BLOCK):
                norm = math.sqrt(square[p])
                limit = first + growth * slip[p]
                flows = norm > limit * MARGIN
                increment = (norm - limit) * gain if flows else 0.0
                inverse = 1.0 / norm if flows else 0.0
                slip[p] += increment
                share[p] = increment * inverse
                rest[p] = (gain - share[p]) * inverse * inverse if flows else 0.0
            for a in range(m):
                for p in range(BLOCK):
                    internal[a, p] += share[p] * force[a, p]
            for i in range(m):
                for p in range(BLOCK):
                    along[i, p] = 0.0
                for a in range(m):
                    b = maps[k, a, i]
                    for p in range(BLOCK):
                        along[i, p] += b * force[a, p]
                        sigma[i, p] -= b * internal[a, p]
            for i in range(m):
                for j in range(i, m):
                    s = squares[k, i, j]
                    for p in range(BLOCK):
                        moduli[i, j, p] -= share[p] * s + rest[p] * (along[i, p] * along[j, p])
            for p in range(filled):
                for a in range(m):
                    new_state[start + p, k, a] = internal[a, p]
                new_state[start + p, k, m] = slip[p]
        for p in range(filled):
            for i in range(m):
                stress[start + p, i] = sigma[i, p]
                for j in range(m):
                    tangent[start + p, i, j] = moduli[min(i, j), max(i, j), p]


@kernel(types.void(*_UNITS, _CUBE, _CUBE))
def relax_paths(
    maps: FloatArray,
    radius: FloatArray,
    kinematic: FloatArray,
    isotropic: FloatArray,
    strain: FloatArray,
    relaxed: FloatArray,
) -> None:
    """Write Σ Bᵀz (p, s, m), by which flow has relaxed the stress, along paths of `strain` (p, s, m) from rest."""
    units, m, _ = maps.shape
    force = np.empty(m)
    internal = np.empty((units, m))
    slip = np.empty(units)
    for path in range(strain.shape[0]):
        internal[:] = 0.0
        slip[:] = 0.0
        for step in range(strain.shape[1]):
            for i in range(m):
                relaxed[path, step, i] = 0.0
            for k in range(units):
                factor = 1.0 + kinematic[k]
                limit = radius[k] + isotropic[k] * slip[k]
                norm = _trial(maps[k], factor, strain[path, step], internal[k], force)
                if norm > limit * MARGIN:
                    increment = (norm - limit) / (factor + isotropic[k])
                    slip[k] += increment
                    for a in range(m):
                        internal[k, a] += increment * force[a] / norm
                for a in range(m):
                    for i in range(m):
                        relaxed[path, step, i] += maps[k, a, i] * internal[k, a]


@kernel(types.void(*_UNITS, _CUBE, _CUBE, _CUBE, _VECTOR, _VECTOR, _VECTOR))
def relax_paths_adjoint(
    maps: FloatArray,
    radius: FloatArray,
    kinematic: FloatArray,
    isotropic: FloatArray,
    strain: FloatArray,
    upstream: FloatArray,
    to_maps: FloatArray,
    to_radius: FloatArray,
    to_kinematic: FloatArray,
    to_isotropic: FloatArray,
) -> None:
    """Write the gradient of a scalar with respect to the units, from that to what `relax_paths` writes (p, s, m).

    Every path is followed forward, which stores what its steps did, then backward.
    """
    units, m, _ = maps.shape
    steps = strain.shape[1]
    internal = np.empty((steps + 1, m))  # z before each step, and at the end
    slip = np.empty(steps + 1)
    direction = np.empty((steps, m))
    norms = np.empty(steps)
    increments = np.empty(steps)
    to_internal = np.empty(m)
    to_force = np.empty(m)
    to_maps[:] = 0.0
    to_radius[:] = 0.0
    to_kinematic[:] = 0.0
    to_isotropic[:] = 0.0
    for path in range(strain.shape[0]):
        for k in range(units):
            factor = 1.0 + kinematic[k]
            gain = 1.0 / (factor + isotropic[k])
            internal[0] = 0.0
            slip[0] = 0.0
            for step in range(steps):
                limit = radius[k] + isotropic[k] * slip[step]
                norm = _trial(maps[k], factor, strain[path, step], internal[step], direction[step])
                increment = (norm - limit) * gain if norm > limit * MARGIN else 0.0
                norms[step] = norm
                increments[step] = increment
                slip[step + 1] = slip[step] + increment
                for a in range(m):
                    if increment > 0.0:
                        direction[step, a] /= norm
                        internal[step + 1, a] = internal[step, a] + increment * direction[step, a]
                    else:
                        internal[step + 1, a] = internal[step, a]
            to_internal[:] = 0.0
            to_slip = 0.0
            for step in range(steps - 1, -1, -1):
                for a in range(m):
                    for i in range(m):
                        to_internal[a] += maps[k, a, i] * upstream[path, step, i]
                        to_maps[k, a, i] += internal[step + 1, a] * upstream[path, step, i]
                increment = increments[step]
                if not increment > 0.0:
                    continue
                radial = 0.0
                for a in range(m):
                    radial += direction[step, a] * to_internal[a]
                to_norm = (radial + to_slip) * gain
                for a in range(m):
                    across = (to_internal[a] - radial * direction[step, a]) * (increment / norms[step])
                    to_force[a] = across + to_norm * direction[step, a]
                to_radius[k] -= to_norm
                to_isotropic[k] -= to_norm * (slip[step] + increment)
                to_kinematic[k] -= to_norm * increment
                to_slip -= to_norm * isotropic[k]
                for a in range(m):
                    to_kinematic[k] -= to_force[a] * internal[step, a]
                    to_internal[a] -= factor * to_force[a]
                    for i in range(m):
                        to_maps[k, a, i] += to_force[a] * strain[path, step, i]
