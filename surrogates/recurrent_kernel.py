"""One increment of the cells of family `rnn`, with its consistent tangent, in one pass.

A *stop* is a vector q of m numbers inside a ball of radius R, that follows its drive, dq = dx, until it meets the ball,
and then slides along it, dq = dx − (dx·q) q/R² + dR q/R, while the ball grows with the length of drive spent on it,
dR = H ‖dx‖ (Krasnosel'skii and Pokrovskii 1989). For a straight increment d the end point is exact and closed
(Krieg and Krieg 1977, here with growth), so that cutting the increment changes nothing. With a = d·d, b = q·d,
c = q·q − R², w = √(b² − ac), s = ‖d‖, the ball is met after the part t = (w − b)/a of d at an angle ψ to it,
cos ψ = w/(R s), the length L = (1 − t) s is spent on it, and

    R₁ = R + H L,  e = (R/R₁)^{1/H},  g = 1 + e² + (1 − e²) cos ψ,
    q₁ = x q + y d,  x = 2 R₁ e/(R g),  y = x t + R₁ (1 − e) (1 + e + (1 − e) cos ψ)/(s g).
"""

import math

import numpy as np
from numba import types

from materials.compilation import jit, kernel
from materials.measures import FloatArray

TINY = 1e-150
_VECTOR = types.float64[::1]
_MATRIX = types.float64[:, ::1]
_CUBE = types.float64[:, :, ::1]


@jit
def stop(q: FloatArray, radius: float, growth: float, d: FloatArray, slope: FloatArray) -> float:
    """Move a stop q (m,) by the drive d (m,), in place; write dq₁/dd to `slope` (m, m) and return the new radius."""
    m = q.size
    a = b = square = 0.0
    for i in range(m):
        a += d[i] * d[i]
        b += q[i] * d[i]
        square += q[i] * q[i]
    c = min(square - radius * radius, 0.0)
    slope[:] = 0.0
    if not a + 2.0 * b + c > 0.0:
        for i in range(m):
            q[i] += d[i]
            slope[i, i] = 1.0
        return radius
    s = math.sqrt(a)
    w = max(math.sqrt(b * b - a * c), TINY)
    t = -c / (b + w) if b > 0.0 else (w - b) / a
    cosine = w / (radius * s)
    length = (1.0 - t) * s
    grown = radius + growth * length
    gone = -math.expm1(-math.log1p(growth * length / radius) / growth)
    e = 1.0 - gone
    g = 1.0 + e * e + gone * (1.0 + e) * cosine
    x = 2.0 * grown * e / (radius * g)
    v = gone * (1.0 + e + gone * cosine)
    z = grown * v / (s * g)
    y = x * t + z
    for i in range(m):
        slope[i, i] = y
    for variable in range(2):  # derivatives with respect to a, then b
        if variable == 0:
            ds, dw = 0.5 / s, -0.5 * c / w
            dt = (dw - t) / a
        else:
            ds, dw = 0.0, b / w
            dt = (dw - 1.0) / a
        dlength = (1.0 - t) * ds - s * dt
        dcosine = dw / (radius * s) - cosine * ds / s
        de = -e * dlength / grown
        dg = (2.0 * e * de * (1.0 - cosine) + gone * (1.0 + e) * dcosine) / g
        dv = gone * gone * dcosine - 2.0 * de * (e + gone * cosine)
        dx = x * ((growth - 1.0) * dlength / grown - dg)
        dy = dx * t + x * dt + z * (growth * dlength / grown - ds / s - dg) + grown * dv / (s * g)
        for i in range(m):
            for j in range(m):
                slope[i, j] += (q[i] * dx + d[i] * dy) * (2.0 * d[j] if variable == 0 else q[j])
    for i in range(m):
        q[i] = x * q[i] + y * d[i]
    return grown


@kernel(types.void(_MATRIX, _CUBE, _CUBE, _VECTOR, _MATRIX, _MATRIX, _MATRIX, _CUBE, _MATRIX))
def minimal_points(
    direct: FloatArray,
    drive: FloatArray,
    answer: FloatArray,
    growth: FloatArray,
    strain: FloatArray,
    state: FloatArray,
    stress: FloatArray,
    stiffness: FloatArray,
    new_state: FloatArray,
) -> None:
    """Write S = D ε + Σ B q (n, m), dS/dε (n, m, m) and the new state (n, m + K m + K) of a minimal cell.

    Args:
        direct: D, (m, m).
        drive: what drives each of the K stops, A in dx = A dε, (K, m, m).
        answer: B, (K, m, m).
        growth: H of each stop, (K,).
        strain: ε at the end of the increment, (n, m).
        state: ε, the stops one after the other and R − 1 of each, at its start, (n, m + K m + K).
        stress: written.
        stiffness: written.
        new_state: written.
    """
    n, m = strain.shape
    units = growth.size
    d = np.empty(m)
    slope = np.empty((m, m))
    driven = np.empty((m, m))
    for p in range(n):
        for i in range(m):
            new_state[p, i] = strain[p, i]
            total = 0.0
            for j in range(m):
                total += direct[i, j] * strain[p, j]
                stiffness[p, i, j] = direct[i, j]
            stress[p, i] = total
        for k in range(units):
            q = new_state[p, m + k * m : m + (k + 1) * m]
            for i in range(m):
                q[i] = state[p, m + k * m + i]
                d[i] = 0.0
                for j in range(m):
                    d[i] += drive[k, i, j] * (strain[p, j] - state[p, j])
            radius = m + units * m + k
            new_state[p, radius] = stop(q, 1.0 + state[p, radius], growth[k], d, slope) - 1.0
            for i in range(m):
                for j in range(m):
                    driven[i, j] = 0.0
                    for c in range(m):
                        driven[i, j] += slope[i, c] * drive[k, c, j]
            for i in range(m):
                for j in range(m):
                    stress[p, i] += answer[k, i, j] * q[j]
                    for c in range(m):
                        stiffness[p, i, j] += answer[k, i, c] * driven[c, j]


@kernel(types.void(_MATRIX, _CUBE, _CUBE, _CUBE, _MATRIX, _MATRIX, _MATRIX, _MATRIX, _MATRIX, _CUBE, _MATRIX))
def gru_points(
    direct: FloatArray,
    at_end: FloatArray,
    of_increment: FloatArray,
    recurrent: FloatArray,
    bias: FloatArray,
    answer: FloatArray,
    strain: FloatArray,
    state: FloatArray,
    stress: FloatArray,
    stiffness: FloatArray,
    new_state: FloatArray,
) -> None:
    """Write S = D ε + B h (n, m), dS/dε (n, m, m) and the new state (n, m + w) of a gated recurrent unit.

    Its three layers are the update gate u, the reset gate r and the candidate: v = W ε + V Δε + b (+ U h),

        h₁ = u h + (1 − u) tanh(v + r U h).

    Args:
        direct: D, (m, m).
        at_end: W of each layer, (3, w, m).
        of_increment: V, (3, w, m).
        recurrent: U, (3, w, w).
        bias: b of the two gates, (2, w); the candidate has none, so that rest stays at rest.
        answer: B, (m, w).
        strain: ε at the end of the increment, (n, m).
        state: ε and h at its start, (n, m + w).
        stress: written.
        stiffness: written.
        new_state: written.
    """
    n, m = strain.shape
    width = bias.shape[1]
    layer = np.empty(3)
    row = np.empty((3, m))
    for p in range(n):
        for i in range(m):
            new_state[p, i] = strain[p, i]
            total = 0.0
            for j in range(m):
                total += direct[i, j] * strain[p, j]
                stiffness[p, i, j] = direct[i, j]
            stress[p, i] = total
        for k in range(width):
            candidate = 0.0
            for part in range(3):
                total = 0.0
                for j in range(width):
                    total += recurrent[part, k, j] * state[p, m + j]
                if part == 2:
                    candidate = total
                    total = 0.0
                else:
                    total += bias[part, k]
                for j in range(m):
                    total += at_end[part, k, j] * strain[p, j] + of_increment[part, k, j] * (strain[p, j] - state[p, j])
                    row[part, j] = at_end[part, k, j] + of_increment[part, k, j]
                layer[part] = total
            update = 1.0 / (1.0 + math.exp(-layer[0]))
            reset = 1.0 / (1.0 + math.exp(-layer[1]))
            value = math.tanh(layer[2] + reset * candidate)
            old = state[p, m + k]
            new_state[p, m + k] = update * old + (1.0 - update) * value
            by_update = update * (1.0 - update) * (old - value)
            by_value = (1.0 - update) * (1.0 - value * value)
            by_reset = by_value * candidate * reset * (1.0 - reset)
            for i in range(m):
                stress[p, i] += answer[i, k] * new_state[p, m + k]
                for j in range(m):
                    stiffness[p, i, j] += answer[i, k] * (
                        by_update * row[0, j] + by_reset * row[1, j] + by_value * row[2, j]
                    )
