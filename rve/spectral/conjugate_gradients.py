"""Preconditioned conjugate gradients for the cells of a batch and all their right-hand sides at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Operator = Callable[[Tensor], Tensor]

MOST_ITERATIONS = 2000


class Solution(NamedTuple):
    """Fields x of c cells with k right-hand sides each, and what is known of them."""

    fields: Tensor
    """x, (c, k, …)."""
    residual: Tensor
    """b − A x, (c, k, …)."""
    norm: Tensor
    """√(rᵀ M r) of the residual r, with the preconditioner M, (c, k)."""
    definite: Tensor
    """Whether every direction had a positive curvature, (c, k); x is the last iterate before one that had not."""
    iterations: int


def norm_of(field: Tensor, preconditioned: Tensor) -> Tensor:
    """√(rᵀ M r) of a residual r (c, k, …) and M r, (c, k)."""
    return _product(field, preconditioned).clamp(min=0.0).sqrt()


def conjugate_gradients(
    apply: Operator, precondition: Operator, side: Tensor, start: Tensor | None, target: Tensor
) -> Solution:
    """Solve A x = b for symmetric A that is positive definite where `precondition` reaches.

    Args:
        apply: A x of fields x (c, k, …).
        precondition: M r.
        side: b, (c, k, …); is not changed.
        start: first x; None: zero.
        target: √(rᵀ M r) to reach, (c, k).
    """
    fields = torch.zeros_like(side) if start is None else start.clone()
    residual = side.clone() if start is None else side - apply(fields)
    preconditioned = precondition(residual)
    direction = preconditioned.clone()
    work = _product(residual, preconditioned)
    goal = target**2
    definite = torch.ones_like(work, dtype=torch.bool)
    iterations = 0
    while iterations < MOST_ITERATIONS:
        going = definite & (work > goal)
        if not going.any():
            break
        product = apply(direction)
        curvature = _product(direction, product)
        definite &= ~going | (curvature > 0.0)
        step = torch.where(going & definite, work / curvature, 0.0)
        fields.addcmul_(direction, wide(step, direction))
        residual.addcmul_(product, wide(-step, product))
        preconditioned = precondition(residual)
        previous, work = work, _product(residual, preconditioned)
        direction *= wide(torch.where(going & definite, work / previous, 0.0), direction)
        direction += preconditioned
        iterations += 1
    return Solution(fields, residual, work.clamp(min=0.0).sqrt(), definite, iterations)


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Scalar products of fields (c, k, …), (c, k)."""
    return torch.einsum("ckn,ckn->ck", one.flatten(2), other.flatten(2))


def wide(numbers: Tensor, fields: Tensor) -> Tensor:
    """Numbers (c, k) that multiply fields (c, k, …)."""
    return numbers.reshape(*numbers.shape, *(1,) * (fields.dim() - 2))
