"""Polynomials with their derivatives in torch: all distinct monomials once, then matrix products."""

import numpy as np

from surrogates.polynomials import PolynomialTable
from surrogates.torch_boundary import Module, Tensor, buffer, torch


class TorchPolynomials(Module):
    """m polynomials in v variables."""

    def __init__(self, table: PolynomialTable):
        super().__init__()
        self.count, self.size = table.count, table.size
        v = table.size
        exponents = np.zeros((len(table.coefficients), v), dtype=np.int64)
        np.add.at(exponents, (np.arange(len(exponents))[:, None], table.variables), table.exponents)
        terms = [(table.coefficients, exponents, table.owners)]
        for _ in range(2):  # derivatives of what there is, by each of the variables
            coefficients, powers, owners = terms[-1]
            lowered = powers[:, None] - np.eye(v, dtype=np.int64)
            left = lowered.min(axis=2) >= 0
            factors, places = coefficients[:, None] * powers, owners[:, None] * v + np.arange(v)
            terms.append((factors[left], lowered[left], places[left]))
        monomials, which = np.unique(np.concatenate([powers for _, powers, _ in terms]), axis=0, return_inverse=True)
        first, second = np.cumsum([len(coefficients) for coefficients, _, _ in terms[:-1]])
        rows = np.split(which.ravel(), [first, second])
        for order, ((coefficients, _, owners), row) in enumerate(zip(terms, rows, strict=True)):
            matrix = np.zeros((len(monomials), table.count * v**order))
            np.add.at(matrix, (row, owners), coefficients)
            buffer(self, f"derivative_{order}", matrix)
        self.curved = len(terms[2][0]) > 0
        self.degree = int(exponents.max())
        self.register_buffer("monomials", torch.tensor(monomials))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values (n, m), first (n, m, v) and second derivatives (n, m, v, v) at `x` (n, v)."""
        n, v = x.shape
        powers = [torch.ones_like(x)]
        for _ in range(self.degree):
            powers.append(powers[-1] * x)
        of_each = torch.stack(powers)  # (degree + 1, n, v)
        monomials = torch.ones_like(x[:, :1])
        for i in range(v):
            monomials = monomials * of_each[self.monomials[:, i], :, i].T
        first = (monomials @ self.derivative_1).reshape(n, self.count, v)
        if self.curved:
            second = (monomials @ self.derivative_2).reshape(n, self.count, v, v)
        else:
            second = torch.zeros_like(x[:1, 0]).expand(n, self.count, v, v)
        return monomials @ self.derivative_0, first, second
