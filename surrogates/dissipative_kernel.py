"""Units that flow: their return to the yield surface at a point, along whole paths, and the adjoint of the latter.

Unit k has the internal strain z (m,), the accumulated slip α and the driving force s = B ε − (1 + h) z. It flows along
s as far as ‖s‖ ≤ r + H α asks for, which is a closed form, the radial return (Simo and Hughes 1998):

    t = B ε − (1 + h) z₀,   Δα = max(0, ‖t‖ − r − H α₀) / (1 + h + H),   z = z₀ + Δα t/‖t‖,   flux = C ε − Σ Bᵀ z

The innermost loops run over a block of BLOCK points or paths, with fixed length, so that they vectorise, and so that
what a point gets does not depend on its neighbours.
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
def _flow(
    unit: FloatArray,
    factor: float,
    gain: float,
    radius: float,
    growth: float,
    strain: FloatArray,
    internal: FloatArray,
    slip: FloatArray,
    force: FloatArray,
    norm: FloatArray,
    share: FloatArray,
) -> None:
    """Move z (m, BLOCK) and α (BLOCK,) of a unit on to `strain` (m, BLOCK); write t, ‖t‖ and Δα / ‖t‖.

    `factor` is 1 + h, `gain` 1 / (1 + h + H), `growth` H.
    """
    m = unit.shape[0]
    for p in range(BLOCK):
        norm[p] = 0.0
    for a in range(m):
        for p in range(BLOCK):
            force[a, p] = -factor * internal[a, p]
        for i in range(m):
            b = unit[a, i]
            for p in range(BLOCK):
                force[a, p] += b * strain[i, p]
        for p in range(BLOCK):
            norm[p] += force[a, p] * force[a, p]
    for p in range(BLOCK):
        norm[p] = math.sqrt(norm[p])
        limit = radius + growth * slip[p]
        flows = norm[p] > limit * MARGIN
        increment = (norm[p] - limit) * gain if flows else 0.0
        slip[p] += increment
        share[p] = increment / norm[p] if flows else 0.0
    for a in range(m):
        for p in range(BLOCK):
            internal[a, p] += share[p] * force[a, p]


@jit
def _gather(values: FloatArray, start: int, block: FloatArray) -> None:
    """Write steps of the paths from `start` of `values` (p, s, m) into `block` (s, m, BLOCK), the last one repeated."""
    filled = min(BLOCK, values.shape[0] - start)
    for p in range(BLOCK):
        for step in range(block.shape[0]):
            for i in range(block.shape[1]):
                block[step, i, p] = values[start + min(p, filled - 1), step, i]


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

    A state holds z and, last, α of each unit. `stiffness` is C, (m, m).
    """
    units, m, _ = maps.shape
    squares = np.empty((units, m, m))  # BᵀB
    for k in range(units):
        for i in range(m):
            for j in range(m):
                squares[k, i, j] = (maps[k, :, i] * maps[k, :, j]).sum()
    at, sigma, moduli = np.empty((m, BLOCK)), np.empty((m, BLOCK)), np.empty((m, m, BLOCK))
    internal, slip = np.empty((m, BLOCK)), np.empty(BLOCK)
    force, norm, share = np.empty((m, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    along, rest = np.empty((m, BLOCK)), np.empty(BLOCK)
    for start in range(0, strain.shape[0], BLOCK):
        filled = min(BLOCK, strain.shape[0] - start)
        for i in range(m):
            for p in range(BLOCK):
                at[i, p] = strain[start + min(p, filled - 1), i]
                sigma[i, p] = 0.0
        for i in range(m):
            for j in range(m):
                c = stiffness[i, j]
                for p in range(BLOCK):
                    sigma[i, p] += c * at[j, p]
                    moduli[i, j, p] = c
        for k in range(units):
            factor = 1.0 + kinematic[k]
            gain = 1.0 / (factor + isotropic[k])
            for p in range(BLOCK):
                point = start + min(p, filled - 1)
                for a in range(m):
                    internal[a, p] = state[point, k, a]
                slip[p] = state[point, k, m]
            _flow(maps[k], factor, gain, radius[k], isotropic[k], at, internal, slip, force, norm, share)
            for p in range(BLOCK):
                rest[p] = (gain - share[p]) / (norm[p] * norm[p]) if share[p] > 0.0 else 0.0
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
    paths, steps, m = strain.shape
    at, sigma = np.empty((steps, m, BLOCK)), np.empty((steps, m, BLOCK))
    internal, slip = np.empty((m, BLOCK)), np.empty(BLOCK)
    force, norm, share = np.empty((m, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, paths, BLOCK):
        _gather(strain, start, at)
        sigma[:] = 0.0
        for k in range(maps.shape[0]):
            factor = 1.0 + kinematic[k]
            gain = 1.0 / (factor + isotropic[k])
            internal[:] = 0.0
            slip[:] = 0.0
            for step in range(steps):
                _flow(maps[k], factor, gain, radius[k], isotropic[k], at[step], internal, slip, force, norm, share)
                for a in range(m):
                    for i in range(m):
                        b = maps[k, a, i]
                        for p in range(BLOCK):
                            sigma[step, i, p] += b * internal[a, p]
        for p in range(min(BLOCK, paths - start)):
            for step in range(steps):
                for i in range(m):
                    relaxed[start + p, step, i] = sigma[step, i, p]


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
    paths, steps, m = strain.shape
    at, up = np.empty((steps, m, BLOCK)), np.empty((steps, m, BLOCK))
    internal, slip = np.zeros((steps + 1, m, BLOCK)), np.zeros((steps + 1, BLOCK))  # before each step, and at the end
    force, norm, share = np.empty((steps, m, BLOCK)), np.empty((steps, BLOCK)), np.empty((steps, BLOCK))
    to_internal, to_slip, to_norm = np.empty((m, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    radial, across, to_force = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    sums, slopes = np.empty((3, BLOCK)), np.empty((m, m, BLOCK))  # gradients: of r, h and H; of B
    to_maps[:] = 0.0
    to_radius[:] = 0.0
    to_kinematic[:] = 0.0
    to_isotropic[:] = 0.0
    for start in range(0, paths, BLOCK):
        _gather(strain, start, at)
        _gather(upstream, start, up)
        up[:, :, paths - start :] = 0.0
        for k in range(maps.shape[0]):
            factor, growth = 1.0 + kinematic[k], isotropic[k]
            gain = 1.0 / (factor + growth)
            for step in range(steps):
                after, slipped = internal[step + 1], slip[step + 1]
                after[:] = internal[step]
                slipped[:] = slip[step]
                outcome = force[step], norm[step], share[step]
                _flow(maps[k], factor, gain, radius[k], growth, at[step], after, slipped, *outcome)
            to_internal[:] = 0.0
            to_slip[:] = 0.0
            sums[:] = 0.0
            slopes[:] = 0.0
            for step in range(steps - 1, -1, -1):
                for p in range(BLOCK):
                    radial[p] = 0.0
                for a in range(m):
                    for i in range(m):
                        b = maps[k, a, i]
                        for p in range(BLOCK):
                            to_internal[a, p] += b * up[step, i, p]
                            slopes[a, i, p] += internal[step + 1, a, p] * up[step, i, p]
                    for p in range(BLOCK):
                        radial[p] += force[step, a, p] * to_internal[a, p]
                for p in range(BLOCK):
                    inverse = 1.0 / norm[step, p] if share[step, p] > 0.0 else 0.0
                    radial[p] *= inverse
                    to_norm[p] = (radial[p] + to_slip[p]) * gain if share[step, p] > 0.0 else 0.0
                    across[p] = (to_norm[p] - share[step, p] * radial[p]) * inverse
                    sums[0, p] -= to_norm[p]
                    sums[1, p] -= to_norm[p] * (share[step, p] * norm[step, p])
                    sums[2, p] -= to_norm[p] * slip[step + 1, p]
                    to_slip[p] -= to_norm[p] * growth
                for a in range(m):
                    for p in range(BLOCK):
                        to_force[p] = share[step, p] * to_internal[a, p] + across[p] * force[step, a, p]
                        sums[1, p] -= to_force[p] * internal[step, a, p]
                        to_internal[a, p] -= factor * to_force[p]
                    for i in range(m):
                        for p in range(BLOCK):
                            slopes[a, i, p] += to_force[p] * at[step, i, p]
            to_radius[k] += sums[0].sum()
            to_kinematic[k] += sums[1].sum()
            to_isotropic[k] += sums[2].sum()
            for a in range(m):
                for i in range(m):
                    to_maps[k, a, i] += slopes[a, i].sum()
