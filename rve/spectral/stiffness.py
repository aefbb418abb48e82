"""The stiffness of the cells of a batch as an operator on nodal fields: on the host, or by torch on any device."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from materials.measures import FloatArray
from rve.spectral.cell import SpectralCell
from rve.spectral.linearization import gradient_matrices
from rve.spectral.stencil import tangent_forces


class Stiffness(Protocol):
    """Linearised forces and fluxes of c cells with k nodal fields each."""

    def hold(self, tangents: Sequence[FloatArray]) -> None:
        """Take the tangents C of the cells, each (q, N / width, kept, width); arrays on the host are not copied."""
        ...

    def forces(self, fields: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """∫ Bᵀ C (ḡ + B u), like `fields` u (c, k, block size, nx, ny, nz), and ∫ C (ḡ + B u), like ḡ (c, k, g)."""
        ...


class HostStiffness:
    """By the compiled stencil."""

    def __init__(self, cell: SpectralCell, real: type[np.floating[Any]] = np.float64) -> None:
        """`real` is the precision: that of the fields it is applied to."""
        grid, packing = cell.grid, cell.packing
        scale = np.zeros(3)
        scale[grid.first_axis :] = 0.25 / grid.spacing
        self._real = np.dtype(real)
        self._arguments = (
            grid.first_axis,
            grid.points.astype(real),
            scale.astype(real),
            real(grid.point_volume),
            packing.first,
            packing.second,
            packing.factor.astype(real),
            packing.position,
        )
        self._tangents: list[NDArray[np.floating[Any]]] = []

    def hold(self, tangents: Sequence[FloatArray]) -> None:
        """See `Stiffness`."""
        self._tangents = [tangent.astype(self._real, copy=False) for tangent in tangents]

    def forces(self, fields: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """See `Stiffness`."""
        forces, fluxes = torch.empty_like(fields), torch.empty_like(gradients)
        arrays = (gradients.numpy(), fields.numpy(), forces.numpy(), fluxes.numpy())
        for tangent, gradient, field, force, flux in zip(self._tangents, *arrays, strict=True):
            tangent_forces[self._real](*self._arguments, tangent, gradient, field, force, flux)
        return forces, fluxes


class TorchStiffness:
    """By gathering the corners of all voxels, in torch."""

    def __init__(self, cell: SpectralCell, device: torch.device, real: torch.dtype = torch.float64) -> None:
        """`real` is the precision: that of the fields it is applied to."""
        self._matrices = torch.tensor(gradient_matrices(cell), device=device, dtype=real)
        self._position = torch.tensor(cell.packing.position, device=device)
        self._corners = [tuple(int(offset) for offset in corner) for corner in cell.grid.corners]
        self._point_volume = cell.grid.point_volume
        self._tangent = torch.empty(0, device=device, dtype=real)

    def hold(self, tangents: Sequence[FloatArray]) -> None:
        """See `Stiffness`."""
        held = torch.from_numpy(np.stack(tangents)).to(self._tangent)
        self._tangent = held.movedim(3, 2).flatten(3)

    def forces(self, fields: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """See `Stiffness`."""
        box = fields.shape[-3:]
        corners = torch.cat([fields.roll([-o for o in corner], (-3, -2, -1)) for corner in self._corners], dim=2)
        local = corners.flatten(3)
        forces, fluxes = torch.zeros_like(local), torch.zeros_like(gradients)
        for q, matrix in enumerate(self._matrices):
            strain = gradients[..., None] + matrix @ local
            tangent = self._tangent[:, q, self._position]
            stress = self._point_volume * torch.einsum("crsn,cksn->ckrn", tangent, strain)
            fluxes += stress.sum(dim=-1)
            forces += matrix.T @ stress
        by_corner = forces.unflatten(2, (len(self._corners), -1)).unflatten(-1, box)
        shifted = [by_corner[:, :, a].roll(corner, (-3, -2, -1)) for a, corner in enumerate(self._corners)]
        return torch.stack(shifted).sum(dim=0), fluxes
