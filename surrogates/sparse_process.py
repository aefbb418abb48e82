"""Sparse Gaussian process regression: many states, told by a few inducing points.

The model is that of `surrogates/gaussian_process.py` with k₀ replaced by Q = K_fu K_uu⁻¹ K_uf, for c inducing points u,
and its likelihood by the lower bound of M. K. Titsias, Variational learning of inducing variables in sparse Gaussian
processes, AISTATS 2009:

    log N(y | B x, σ² (Q + ν 1)) − tr(K₀ − Q) / 2ν   per output.

The points are states of the training split, chosen one by one where the variance given those before is largest, for
lengths that the bound then improves on, and once more for these: D. R. Burt, C. E. Rasmussen, M. van der Wilk,
Convergence of sparse variational inference in Gaussian processes regression, JMLR 21, 2020. Time grows with n c².
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from materials.interface import IntArray
from materials.measures import FloatArray
from surrogates.family import ModelError
from surrogates.gaussian_process import LENGTHS, NOISE, SMALLEST_VARIANCE, Hyperparameters, anchored
from surrogates.kernel_regression import correlation

STARTS = (1.0, 3.0, 10.0)
"""First lengths, in units of the root mean square of an input; the bound may have several maxima."""
_JITTER = 1e-8
"""On the diagonal of K_uu, the smallest noise: it keeps the weights, and with them rounding errors, small."""


class SparsePosterior(NamedTuple):
    """Conditioned on data, for given hyper-parameters; c inducing points, m inputs, o outputs."""

    slope: FloatArray
    """B, (o, m)."""
    weights: FloatArray
    """Of the kernel sum over the inducing points, (c, o)."""
    factor: FloatArray
    """Lower Cholesky factor L of K_uu, (c, c)."""
    known_factor: FloatArray
    """Lower Cholesky factor of 1 + L⁻¹ K_uf K_fu L⁻ᵀ / ν, (c, c)."""
    slope_factor: FloatArray
    """Lower Cholesky factor of Xᵀ (Q + ν)⁻¹ X, (m, m)."""
    slope_cross: FloatArray
    """Xᵀ (Q + ν)⁻¹ K_fu L⁻ᵀ, (m, c)."""
    variance: float
    """σ²."""


class Fit(NamedTuple):
    """What the bound chose."""

    hyperparameters: Hyperparameters
    inducing: FloatArray
    """Inducing points, (c, m)."""


def fit(name: str, x: FloatArray, y: FloatArray, count: int) -> Fit:
    """Inducing points and hyper-parameters for inputs `x` (n, m), of order one, and outputs `y` (n, o).

    Raises:
        ModelError: the bound is not finite.
    """
    m = x.shape[1]
    bounds = [tuple(np.log(LENGTHS))] * m + [tuple(np.log(NOISE))]
    best = np.inf
    for start in STARTS:
        at = np.log([*np.full(m, start), 1e-4])
        for _ in range(2):
            inducing = x[chosen(name, np.exp(at[:-1]), x, count)]
            found = minimize(negative_bound, at, (name, inducing, x, y), "L-BFGS-B", True, bounds=bounds)
            at = found.x
        if found.fun < best:
            best, made = found.fun, Fit(Hyperparameters(np.exp(at[:-1]), float(np.exp(at[-1]))), inducing)
    if not np.isfinite(best):
        raise ModelError("the likelihood of the Gaussian process is not a finite number for this training split")
    return made


def chosen(name: str, length: FloatArray, x: FloatArray, count: int) -> IntArray:
    """The numbers of `count` of the inputs (n, m), or of fewer where these leave no variance, by greedy choice."""
    origin = np.zeros((1, x.shape[1]))
    left = 1.0 - np.square(correlation(name, length, x, origin)[0][:, 0])
    rows = np.zeros((0, len(x)))  # of the pivoted Cholesky factor
    numbers: list[int] = []
    for _ in range(min(count, len(x))):
        best = int(np.argmax(left))
        if left[best] < _JITTER:
            break
        covariance = anchored(name, length, x[[best]], x)[0] - rows[:, best] @ rows
        rows = np.vstack([rows, covariance / np.sqrt(left[best])])
        left = left - np.square(rows[-1])
        left[best] = -np.inf
        numbers.append(best)
    return np.array(numbers, dtype=np.int64)


def condition(name: str, given: Hyperparameters, inducing: FloatArray, x: FloatArray, y: FloatArray) -> SparsePosterior:
    """What the data (as for `fit`) make of the process.

    Raises:
        ModelError: K_uu, or Xᵀ (Q + ν)⁻¹ X, is singular: points coincide, or an input depends linearly on the others.
    """
    parts = _parts(name, given, inducing, x, y)
    weights = solve_triangular(parts.known_factor, parts.projection @ parts.residual, lower=True) / given.noise
    weights = solve_triangular(parts.known_factor, weights, lower=True, trans="T")
    weights = solve_triangular(parts.factor, weights, lower=True, trans="T")
    cross = _solved(parts.projection, parts.known_factor, given.noise, x).T @ parts.projection.T
    return SparsePosterior(
        parts.slope, weights, parts.factor, parts.known_factor, parts.slope_factor, cross, parts.variance
    )


def predictive_variance(
    name: str, length: FloatArray, inducing: FloatArray, posterior: SparsePosterior, inputs: FloatArray
) -> FloatArray:
    """Variance (q,) of each output, without noise, at `inputs` (q, m)."""
    at_origin, _ = correlation(name, length, np.zeros((1, inputs.shape[1])), inputs)
    whitened = solve_triangular(posterior.factor, anchored(name, length, inducing, inputs), lower=True)
    known = solve_triangular(posterior.known_factor, whitened, lower=True)
    of_mean = solve_triangular(posterior.slope_factor, inputs.T - posterior.slope_cross @ whitened, lower=True)
    relative = 1.0 - at_origin[0] ** 2
    for sign, part in ((-1.0, whitened), (1.0, known), (1.0, of_mean)):
        relative = relative + sign * np.sum(part**2, axis=0)
    return posterior.variance * np.maximum(relative, 0.0)


def negative_bound(
    logarithms: FloatArray, name: str, inducing: FloatArray, x: FloatArray, y: FloatArray
) -> tuple[float, FloatArray]:
    """Value and derivative with respect to the logarithms of ℓ and ν, for given inducing points."""
    given = Hyperparameters(np.exp(logarithms[:-1]), float(np.exp(logarithms[-1])))
    noise, (n, o) = given.noise, y.shape
    try:
        parts = _parts(name, given, inducing, x, y)
    except ModelError:
        return 1e25, np.zeros_like(logarithms)
    origin = np.zeros((1, x.shape[1]))
    to_origin, slope_to_origin = (part[:, 0] for part in correlation(name, given.length, x, origin))
    left_over = n - np.sum(to_origin**2) - np.sum(parts.projection**2)  # tr(K₀ − Q)
    determinant = n * np.log(noise) + 2.0 * np.sum(np.log(np.diag(parts.known_factor)))
    value = 0.5 * o * (n * np.log(parts.variance) + determinant + left_over / noise)

    # d value = tr(H dQ) + …, H = ½ (o Σ⁻¹ − α αᵀ / σ² − o / ν), Σ = Q + ν, α = Σ⁻¹ (Y − X Bᵀ), P = K_uu⁻¹ K_uf
    p = solve_triangular(parts.factor, parts.projection, lower=True, trans="T")
    alpha = parts.weights
    inverse = _solved(parts.projection, parts.known_factor, noise, p.T).T  # P Σ⁻¹
    ph = 0.5 * (o * inverse - (p @ alpha) @ alpha.T / parts.variance - o / noise * p)
    derivative = np.empty_like(logarithms)
    for d in range(x.shape[1]):
        of_cross = _weighted(name, given.length, d, 2.0 * ph, inducing, x)
        of_inducing = _weighted(name, given.length, d, ph @ p.T, inducing, inducing)
        of_diagonal = 2.0 * np.sum(to_origin * slope_to_origin * np.square(x[:, d] / given.length[d]))
        derivative[d] = of_cross - of_inducing - 0.5 * o / noise * of_diagonal
    half_solved = solve_triangular(parts.known_factor, parts.projection, lower=True)
    trace = (n - np.sum(half_solved**2) / noise) / noise  # tr Σ⁻¹
    of_noise = 0.5 * (o * trace - np.sum(alpha**2) / parts.variance) - 0.5 * o * left_over / noise**2
    derivative[-1] = of_noise * noise
    return float(value), derivative


class _Parts(NamedTuple):
    """What both the bound and the posterior are made of."""

    factor: FloatArray
    projection: FloatArray
    """L⁻¹ K_uf, (c, n)."""
    known_factor: FloatArray
    slope: FloatArray
    slope_factor: FloatArray
    residual: FloatArray
    """Y − X Bᵀ, (n, o)."""
    weights: FloatArray
    """(Q + ν)⁻¹ of that."""
    variance: float


def _parts(name: str, given: Hyperparameters, inducing: FloatArray, x: FloatArray, y: FloatArray) -> _Parts:
    m, unit = x.shape[1], np.eye(len(inducing))
    try:
        factor = cholesky(anchored(name, given.length, inducing, inducing) + _JITTER * unit, lower=True)
        projection = solve_triangular(factor, anchored(name, given.length, inducing, x), lower=True)
        known_factor = cholesky(unit + projection @ projection.T / given.noise, lower=True)
        solved = _solved(projection, known_factor, given.noise, x)
        normal = x.T @ solved
        slope_factor = cholesky(normal + 1e-12 * np.trace(normal) / m * np.eye(m), lower=True)
    except LinAlgError:
        raise ModelError("the states of the training split are too alike for a Gaussian process") from None
    slope = cho_solve((slope_factor, True), solved.T @ y).T
    residual = y - x @ slope.T
    weights = _solved(projection, known_factor, given.noise, residual)
    variance = max(float(np.sum(residual * weights)) / y.size, SMALLEST_VARIANCE)
    return _Parts(factor, projection, known_factor, slope, slope_factor, residual, weights, variance)


def _solved(projection: FloatArray, known_factor: FloatArray, noise: float, values: FloatArray) -> FloatArray:
    """(Q + ν)⁻¹ of `values` (n, k), with Q = projectionᵀ projection, by Woodbury's formula."""
    inner = cho_solve((known_factor, True), projection @ values) / noise
    return np.asarray((values - projection.T @ inner) / noise)


def _weighted(name: str, length: FloatArray, d: int, weight: FloatArray, left: FloatArray, right: FloatArray) -> float:
    """Σ_ab weight_ab dk₀(left_a, right_b) / d log ℓ_d."""
    origin = np.zeros((1, left.shape[1]))
    _, slope = correlation(name, length, left, right)
    change = slope * np.square((left[:, d, None] - right[None, :, d]) / length[d])
    of_left, slope_left = (part[:, 0] for part in correlation(name, length, left, origin))
    of_right, slope_right = (part[:, 0] for part in correlation(name, length, right, origin))
    change_left = slope_left * np.square(left[:, d] / length[d])
    change_right = slope_right * np.square(right[:, d] / length[d])
    of_origin = change_left @ weight @ of_right + of_left @ weight @ change_right
    return float(np.sum(weight * change) - of_origin)
