"""The dissipative network in torch, along whole paths, differentiable in the weights.

On a CPU the flux alone, which is all that training needs, comes from compiled loops with their adjoint written out; on
a GPU, and with the tangent, from torch operations. Both are the same function.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from materials.measures import FloatArray, Measure, Physics
from surrogates import dissipative_kernel
from surrogates.green_strain import strain_matrices
from surrogates.torch_boundary import Module, Parameter, Tensor, as_numpy, as_tensor, buffer, torch


class TorchDissipative(Module):
    """`families.dissipative.DissipativeNetwork` for training; its parameters bear the names of the arrays."""

    root: Tensor

    def __init__(self, measure: Measure, values: Mapping[str, FloatArray], constant: tuple[str, ...]):
        """`constant` names the arrays that are not trained."""
        super().__init__()
        self.finite = measure.physics is Physics.FINITE_STRAIN
        for name, value in values.items():
            if name in constant:
                buffer(self, name, value)
            else:
                setattr(self, name, Parameter(as_tensor(value)))
        if self.finite:
            buffer(self, "matrices", strain_matrices(measure.dimension))
            buffer(self, "rest", measure.rest)

    def forward(self, gradient: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        """Flux (p, s, g) and consistent tangent (p, s, g, g) along paths from rest."""
        del dt  # the response does not depend on rate
        strain = self._strain(gradient)
        units = self._units()
        flow: list[tuple[Tensor, Tensor, Tensor]] = []
        relaxed = _relaxed(*units, strain, flow)
        direction, share, gain = (torch.stack(values, 1) for values in zip(*flow, strict=True))
        stiffness = self.root.T @ self.root
        stress = self.stress_scale * (strain @ stiffness - relaxed)
        along = torch.einsum("kai,pska->pski", units[0], direction)
        softened = torch.einsum("psk,kai,kaj->psij", share, units[0], units[0])
        softened = softened + torch.einsum("psk,pski,pskj->psij", gain - share, along, along)
        moduli = self.stress_scale / self.strain_scale * (stiffness - softened)
        if not self.finite:
            return stress, moduli
        b = self._derivative(gradient)
        flux = torch.einsum("psa,psax->psx", stress, b)
        return flux, torch.einsum("psa,axy->psxy", stress, self.matrices) + b.transpose(2, 3) @ moduli @ b

    def flux(self, gradient: Tensor, dt: Tensor) -> Tensor:
        """Flux (p, s, g) along paths from rest."""
        del dt
        strain = self._strain(gradient)
        relaxed = (_relaxed if gradient.is_cuda else _Compiled.apply)(*self._units(), strain)
        stress = self.stress_scale * (strain @ (self.root.T @ self.root) - relaxed)
        return torch.einsum("psa,psax->psx", stress, self._derivative(gradient)) if self.finite else stress

    def _strain(self, gradient: Tensor) -> Tensor:
        """What the units see, (p, s, m)."""
        if not self.finite:
            return gradient / self.strain_scale
        at_rest = torch.einsum("x,axy,y->a", self.rest, self.matrices, self.rest)
        strain = 0.5 * (torch.einsum("psax,psx->psa", self._derivative(gradient), gradient) - at_rest)
        return strain / self.strain_scale

    def _derivative(self, gradient: Tensor) -> Tensor:
        """dE/dF, (p, s, m, g)."""
        return torch.einsum("axy,psy->psax", self.matrices, gradient)

    def _units(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Maps, radii, kinematic and isotropic hardening in scaled units."""
        units, m, _ = self.maps.shape
        shares = torch.cat([self.maps.reshape(-1, m), self.remainder])
        lower = torch.linalg.cholesky(shares.T @ shares)
        shared = torch.linalg.solve_triangular(lower, shares.T, upper=False).T @ self.root
        zero = torch.zeros_like(self.radius)
        positive = [torch.logaddexp(value, zero) for value in (self.radius, self.kinematic, self.isotropic)]
        return shared[: units * m].reshape(units, m, m), positive[0], positive[1], positive[2]


def _relaxed(
    maps: Tensor,
    radius: Tensor,
    kinematic: Tensor,
    isotropic: Tensor,
    strain: Tensor,
    flow: list[tuple[Tensor, Tensor, Tensor]] | None = None,
) -> Tensor:
    """Σ Bᵀz (p, s, m) along paths of strain (p, s, m) from rest.

    `flow` collects by step its direction (p, K, m), Δα/‖t‖ and, where there is any, 1/(1 + h + H), (p, K).
    """
    driving = torch.einsum("kai,psi->spka", maps, strain)
    internal = torch.zeros_like(driving[0])
    slip = torch.zeros_like(internal[..., 0])
    factor = 1.0 + kinematic
    gain = 1.0 / (factor + isotropic)
    states = []
    for drive in driving:
        force = drive - factor[:, None] * internal
        norm = (force.square().sum(-1) + 1e-300).sqrt()  # differentiable at rest too
        limit = radius + isotropic * slip
        flows = norm > limit * dissipative_kernel.MARGIN
        increment = torch.where(flows, norm - limit, 0.0) * gain
        direction = force / norm[..., None]
        internal = internal + increment[..., None] * direction
        slip = slip + increment
        states.append(internal)
        if flow is not None:
            flow.append((direction, increment / norm, torch.where(flows, gain, 0.0)))
    return torch.einsum("kai,pska->psi", maps, torch.stack(states, 1))


class _Compiled(torch.autograd.Function):
    """`_relaxed` by compiled loops, differentiable in the units."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        """See `_relaxed`."""
        ctx.arrays = [as_numpy(value) for value in inputs]
        relaxed = np.empty_like(ctx.arrays[-1])
        dissipative_kernel.relax_paths(*ctx.arrays, relaxed)
        return as_tensor(relaxed)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients with respect to the units; the strain is data."""
        gradients = [np.empty_like(array) for array in ctx.arrays[:-1]]
        dissipative_kernel.relax_paths_adjoint(*ctx.arrays, as_numpy(upstream[0]), *gradients)
        return (*(as_tensor(gradient) for gradient in gradients), None)
