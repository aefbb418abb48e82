"""The preconditioner: a homogeneous medium on the same grid, whose stiffness Fourier's transform makes diagonal.

Its tangent is the average of the cell's (Moulinec & Suquet 1998, Comput. Methods Appl. Mech. Eng. 157, 69, for the
idea; Leute et al. 2022, J. Comput. Phys. 453, 110931, for its use in front of finite elements).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from materials.measures import FloatArray
from rve.spectral.cell import SpectralCell
from rve.spectral.grid import Grid

NULL = 1e-20
"""Symbols smaller than this, relative to the largest, belong to modes without energy: translation and hourglasses."""

FIELD_VALUES = {"cpu": 2**17, "cuda": 2**30}
"""Values that are transformed together: what stays in a cache between the steps, and all that there are."""


class ReferenceMedium:
    """The inverse stiffness of a homogeneous medium for each of c cells."""

    def __init__(self, cell: SpectralCell, device: torch.device) -> None:
        grid, packing, d = cell.grid, cell.packing, cell.measure.dimension
        self._box = grid.box
        pairs = np.zeros((cell.measure.size, cell.measure.block_size * d))
        for r, (first, second, factor) in enumerate(zip(*packing[:3], strict=True)):
            pairs[r, first] += factor
            pairs[r, second] += factor
        self._pairs = torch.tensor(pairs.reshape(-1, cell.measure.block_size, d), device=device)
        self._position = torch.tensor(packing.position, device=device)
        self._products = torch.tensor(_products_of_derivatives(grid), device=device)
        trace = self._products.diagonal(dim1=0, dim2=1).sum(dim=-1)
        self._energetic = trace > NULL * trace.max()
        self._inverse: dict[torch.dtype, Tensor] = {}

    def average(self, tangents: Sequence[FloatArray]) -> None:
        """Take the medium from the tangents of the cells, each (q, N / width, kept, width)."""
        means = np.stack([tangent.mean(axis=(0, 1, 3)) for tangent in tangents])
        mean = torch.from_numpy(means).to(self._pairs.device)[:, self._position]
        acoustic = torch.einsum("rik,crs,sjl->cikjl", self._pairs, mean, self._pairs)
        symbol = torch.einsum("cikjl,klf->cijf", acoustic, self._products)
        identity = torch.eye(symbol.shape[1], dtype=symbol.dtype, device=symbol.device)
        symbol = torch.where(self._energetic, symbol, identity[..., None])
        inverse = torch.where(self._energetic, _inverse(symbol), 0.0)
        inverse = inverse.repeat_interleave(2, dim=-1)  # for real and imaginary parts
        self._inverse = {real: inverse.to(real) for real in (torch.float64, torch.float32)}

    def solve(self, forces: Tensor) -> Tensor:
        """Fields (c, k, block size, nx, ny, nz) whose forces in the medium are `forces`, without modes of no energy."""
        inverse, size = self._inverse[forces.dtype], forces[0, 0].numel()
        at_once = max(1, FIELD_VALUES[forces.device.type] // size)
        cells = max(1, at_once // forces.shape[1])
        fields = torch.empty_like(forces)
        parts = zip(forces.split(cells), inverse.split(cells), fields.split(cells), strict=True)
        for some_forces, some_inverse, some_fields in parts:
            for few_forces, few_fields in zip(
                some_forces.split(at_once, 1), some_fields.split(at_once, 1), strict=True
            ):
                few_fields.copy_(self._transformed(few_forces, some_inverse))
        return fields

    def _transformed(self, forces: Tensor, inverse: Tensor) -> Tensor:
        spectrum = torch.fft.rfftn(forces, dim=(-3, -2, -1))
        parts = torch.view_as_real(spectrum).flatten(-4)
        solved = inverse[:, None, :, 0] * parts[:, :, :1]
        for j in range(1, parts.shape[2]):
            solved.addcmul_(inverse[:, None, :, j], parts[:, :, j : j + 1])
        fields = torch.view_as_complex(solved.reshape(*spectrum.shape, 2))
        return torch.fft.irfftn(fields, s=self._box, dim=(-3, -2, -1))


def _products_of_derivatives(grid: Grid) -> FloatArray:
    """∫ ∂ₖū ∂ₗu of the waves u on the grid, by frequency of a real transform, (d, d, frequencies).

    A wave takes the value exp(iξ·a) at the node a. The products are real, because every stencil has its mirror image.
    """
    nx, ny, nz = grid.box
    frequencies = np.meshgrid(np.fft.fftfreq(nx), np.fft.fftfreq(ny), np.fft.rfftfreq(nz), indexing="ij")
    wave_numbers = 2.0 * math.pi * np.stack(frequencies).reshape(3, -1)
    waves = np.exp(1j * grid.corners @ wave_numbers)
    derivatives = np.einsum("qak,af->qkf", grid.shape_gradients, waves)
    products: FloatArray = grid.point_volume * np.einsum("qkf,qlf->klf", derivatives.conj(), derivatives).real
    return products


def _inverse(matrices: Tensor) -> Tensor:
    """Inverse of symmetric matrices (c, b, b, f), b ≤ 3, by cofactors."""
    size = matrices.shape[1]
    if size == 1:
        return 1.0 / matrices
    if size == 2:
        determinant = matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] ** 2
        rows = [[matrices[:, 1, 1], -matrices[:, 0, 1]], [-matrices[:, 0, 1], matrices[:, 0, 0]]]
        return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1) / determinant[:, None, None]
    a, b, c = matrices.unbind(dim=1)
    cofactors = torch.stack([torch.linalg.cross(*pair, dim=1) for pair in ((b, c), (c, a), (a, b))], dim=1)
    determinant = (a * cofactors[:, 0]).sum(dim=1)
    return cofactors / determinant[:, None, None]
