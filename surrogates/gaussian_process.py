"""Exact Gaussian process regression with a linear mean, for outputs that vanish at the origin.

    y = B x + f(x) + noise,  f ~ GP(0, σ² k₀),  k₀(x, x') = k(x, x') − k(x, 0) k(0, x'),  noise variance σ² ν

k₀ is k given that f(0) = 0. All outputs share kernel and noise. B and σ² maximise the likelihood in closed form
(generalised least squares), the lengths ℓ of the kernel and ν by L-BFGS with exact derivatives of

    −log p = ½ n o log σ² + ½ o log |K| + constant,  K = k₀ + ν 1,

from several seeded starts. C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press 2006,
chapters 2.7 and 5.4.1.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from materials.measures import FloatArray
from surrogates.family import ModelError
from surrogates.kernel_regression import correlation

STARTS = 3
"""Searches for hyper-parameters; the likelihood may have several maxima."""
LENGTHS = (0.5, 100.0)
"""Bounds of ℓ, in units of the root mean square of an input."""
NOISE = (1e-8, 1.0)
"""Bounds of ν. The lower one keeps K well enough conditioned for nine digits of the flux to be smooth."""
SMALLEST_VARIANCE = 1e-24


class Posterior(NamedTuple):
    """Conditioned on data, for given hyper-parameters."""

    slope: FloatArray
    """B, (o, m)."""
    weights: FloatArray
    """K⁻¹ (Y − X Bᵀ), (n, o)."""
    factor: FloatArray
    """Lower Cholesky factor of K, (n, n)."""
    slope_factor: FloatArray
    """Lower Cholesky factor of Xᵀ K⁻¹ X, (m, m)."""
    variance: float
    """σ²."""


class Hyperparameters(NamedTuple):
    """What the likelihood chose."""

    length: FloatArray
    """ℓ, (m,)."""
    noise: float
    """ν."""


def fit(name: str, x: FloatArray, y: FloatArray, seed: int) -> Hyperparameters:
    """The most likely hyper-parameters for inputs `x` (n, m), of order one, and outputs `y` (n, o).

    Raises:
        ModelError: no start leads to a finite likelihood.
    """
    m = x.shape[1]
    random = np.random.default_rng(seed)
    bounds = [tuple(np.log(LENGTHS))] * m + [tuple(np.log(NOISE))]
    starts = [np.log([*np.full(m, 3.0), 1e-6])]
    starts += [np.log([*random.uniform(0.7, 15.0, m), 10.0 ** random.uniform(-7, -3)]) for _ in range(STARTS - 1)]
    found = [
        minimize(_negative_log_likelihood, start, (name, x, y), "L-BFGS-B", True, bounds=bounds) for start in starts
    ]
    best = min(found, key=lambda result: result.fun if np.isfinite(result.fun) else np.inf)
    if not np.isfinite(best.fun):
        raise ModelError("the likelihood of the Gaussian process is not a finite number for this training split")
    return Hyperparameters(np.exp(best.x[:-1]), float(np.exp(best.x[-1])))


def condition(name: str, chosen: Hyperparameters, x: FloatArray, y: FloatArray) -> Posterior:
    """What the data (as for `fit`) make of the process.

    Raises:
        ModelError: K, or Xᵀ K⁻¹ X, is singular: an input never varies, or depends linearly on the others.
    """
    n, m = x.shape
    matrix = anchored(name, chosen.length, x, x) + chosen.noise * np.eye(n)
    try:
        factor = cholesky(matrix, lower=True)
        whitened, outputs = (solve_triangular(factor, values, lower=True) for values in (x, y))
        normal = whitened.T @ whitened
        slope_factor = cholesky(normal + 1e-12 * np.trace(normal) / m * np.eye(m), lower=True)
    except LinAlgError:
        raise ModelError("the states of the training split are too alike for a Gaussian process") from None
    slope = cho_solve((slope_factor, True), whitened.T @ outputs).T
    left = outputs - whitened @ slope.T
    variance = max(float(np.sum(left**2)) / y.size, SMALLEST_VARIANCE)
    weights = solve_triangular(factor, left, lower=True, trans="T")
    return Posterior(slope, weights, factor, slope_factor, variance)


def predictive_variance(
    name: str, length: FloatArray, x: FloatArray, posterior: Posterior, inputs: FloatArray
) -> FloatArray:
    """Variance (q,) of each output, without noise, at `inputs` (q, m); `x` (n, m) as learned."""
    cross = anchored(name, length, x, inputs)  # (n, q)
    at_origin, _ = correlation(name, length, np.zeros((1, x.shape[1])), inputs)
    whitened = solve_triangular(posterior.factor, cross, lower=True)
    prior = 1.0 - at_origin[0] ** 2
    known = solve_triangular(posterior.factor, x, lower=True)
    of_mean = solve_triangular(posterior.slope_factor, inputs.T - known.T @ whitened, lower=True)
    relative = prior - np.sum(whitened**2, axis=0) + np.sum(of_mean**2, axis=0)
    return posterior.variance * np.maximum(relative, 0.0)


def anchored(name: str, length: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """k₀ of the module between `left` (a, m) and `right` (b, m), (a, b)."""
    origin = np.zeros((1, left.shape[1]))
    value, _ = correlation(name, length, left, right)
    of_left, _ = correlation(name, length, left, origin)
    of_right, _ = correlation(name, length, origin, right)
    return value - of_left * of_right


def _negative_log_likelihood(
    logarithms: FloatArray, name: str, x: FloatArray, y: FloatArray
) -> tuple[float, FloatArray]:
    """Value and derivative with respect to the logarithms of ℓ and ν."""
    chosen = Hyperparameters(np.exp(logarithms[:-1]), float(np.exp(logarithms[-1])))
    try:
        posterior = condition(name, chosen, x, y)
    except ModelError:
        return 1e25, np.zeros_like(logarithms)
    outputs = y.shape[1]
    value = 0.5 * y.size * np.log(posterior.variance) + outputs * np.sum(np.log(np.diag(posterior.factor)))
    inverse = cho_solve((posterior.factor, True), np.eye(len(x)))
    # d/dθ = ½ Σ_ij (o K⁻¹ − α αᵀ / σ²)_ij dK_ij/dθ
    outer = outputs * inverse - posterior.weights @ posterior.weights.T / posterior.variance
    origin = np.zeros((1, x.shape[1]))
    _, slope = correlation(name, chosen.length, x, x)
    to_origin, slope_to_origin = (part[:, 0] for part in correlation(name, chosen.length, x, origin))
    derivative = np.empty_like(logarithms)
    for d, scale in enumerate(chosen.length):  # dk/dlog ℓ_d = s (x_d − x'_d)² / ℓ_d²
        change = slope * np.square((x[:, d, None] - x[None, :, d]) / scale)
        of_origin = slope_to_origin * np.square(x[:, d] / scale)
        # outer is symmetric, so that both halves of the product rule are alike
        derivative[d] = 0.5 * np.sum(outer * change) - to_origin @ outer @ of_origin
    derivative[-1] = 0.5 * np.trace(outer) * chosen.noise
    return float(value), derivative
