"""Minimal residuals for several right-hand sides, with the factor of a matrix nearby as preconditioner."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from materials.measures import FloatArray

type Operator = Callable[[FloatArray], FloatArray]
"""Applied to each row of (k, n)."""


class Progress(NamedTuple):
    """How far the iterations came."""

    found: bool
    iterations: int


def gmres(
    multiply: Operator, precondition: Operator, sides: FloatArray, solutions: FloatArray, accuracy: float, limit: int
) -> Progress:
    """Improve `solutions` of K X = `sides`, both (k, n), until ‖b − K x‖ ≤ `accuracy` ‖b‖ in every row.

    Each row has a Krylov space of its own, of the `precondition`ed matrix from the right (Saad and Schultz 1986; the
    preconditioned vectors are kept, as in Saad 1993), but all rows are multiplied and preconditioned together. It ends
    without changing `solutions` as soon as the last iteration promises no end within `limit` iterations.
    """
    norms: FloatArray = np.linalg.norm(sides, axis=1)
    residuals = sides - multiply(solutions)
    starts: FloatArray = np.linalg.norm(residuals, axis=1)
    size, before = _largest_ratio(starts, norms), 1.0
    basis: list[FloatArray] = [_normalised(residuals, starts)]
    directions: list[FloatArray] = []
    coefficients: FloatArray = np.zeros((len(sides), 0))
    hessenberg = np.zeros((len(sides), limit + 1, limit))
    for iteration in range(limit + 1):
        if size <= accuracy:
            for step, direction in enumerate(directions):
                solutions += coefficients[:, step, None] * direction
            return Progress(True, iteration)
        rate = size / before
        if iteration == limit or rate >= 1.0 or math.log(accuracy / size) / math.log(rate) > limit - iteration:
            break
        before = size
        directions.append(precondition(basis[-1]))
        image = multiply(directions[-1])
        for number, vector in enumerate(basis):
            products = np.einsum("kn,kn->k", vector, image)
            hessenberg[:, number, iteration] = products
            image -= products[:, None] * vector
        length: FloatArray = np.linalg.norm(image, axis=1)
        hessenberg[:, iteration + 1, iteration] = length
        basis.append(_normalised(image, length))
        coefficients, lengths = _least_squares(hessenberg[:, : iteration + 2, : iteration + 1], starts)
        size = _largest_ratio(lengths, norms)
    return Progress(False, iteration)


def _least_squares(hessenberg: FloatArray, starts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients y (k, m) that minimise ‖β e₁ − H y‖ in every row, and what is left (k,)."""
    transposed = hessenberg.transpose(0, 2, 1)
    gram = transposed @ hessenberg  # near the identity, as M⁻¹K is: no need for an orthogonal factorisation
    diagonal = np.einsum("kii->ki", gram)
    diagonal[diagonal == 0.0] = 1.0  # rows that have nothing left to do
    coefficients = np.asarray(
        np.linalg.solve(gram, starts[:, None, None] * hessenberg[:, 0, :, None]), dtype=np.float64
    )
    left = -(hessenberg @ coefficients)[:, :, 0]
    left[:, 0] += starts
    lengths: FloatArray = np.linalg.norm(left, axis=1)
    return coefficients[:, :, 0], lengths


def _normalised(vectors: FloatArray, lengths: FloatArray) -> FloatArray:
    """Rows of length one; those of length zero stay zero."""
    return vectors / np.where(lengths > 0.0, lengths, 1.0)[:, None]


def _largest_ratio(lengths: FloatArray, norms: FloatArray) -> float:
    return float((lengths / np.where(norms > 0.0, norms, 1.0)).max())
