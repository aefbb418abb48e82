"""The energy network in torch: flux and tangent in closed form, differentiable in the weights, also on a GPU."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from materials.measures import Physics
from surrogates.green_strain import strain_matrices, strain_measure
from surrogates.polynomials_torch import TorchPolynomials
from surrogates.torch_boundary import Module, Parameter, Tensor, as_tensor, buffer, torch

if TYPE_CHECKING:
    from surrogates.families.energy import EnergyNetwork

_NOT_TRAINED = ("invariant_scale", "energy_scale", "stiffness", "growth")


class _Features(NamedTuple):
    """Invariants, and last J − 1 at finite strain, at n states."""

    values: Tensor
    """(n, m)"""
    first: Tensor
    """(n, m, v)"""
    second: Tensor
    """(n, m, v, v)"""


class TorchEnergy(Module):
    """`surrogates.families.energy.EnergyNetwork` for training; its parameters bear the names of the arrays."""

    def __init__(self, family: "EnergyNetwork"):
        super().__init__()
        self._memory: list[tuple[Tensor, int, tuple[Tensor, _Features]]] = []
        measure = family.measure
        self.layers = len(family.hidden)
        self.convex = family.convexity == "polyconvex"
        self.sees_volume = family.sees_volume
        self.finite = measure.physics is Physics.FINITE_STRAIN
        for name, value in family.values.items():
            if name in _NOT_TRAINED:
                buffer(self, name, value)
            else:
                setattr(self, name, Parameter(as_tensor(value)))
        if self.finite:
            buffer(self, "matrices", strain_matrices(measure.dimension))
            buffer(self, "gradient_at_rest", measure.rest)
            buffer(self, "identity", strain_measure(measure).to_vector(np.eye(measure.dimension)))
            buffer(self, "units", strain_measure(measure).to_tensor(np.eye(len(self.identity))))
        invariants = family.invariants
        self.count = family.inputs
        self.register_buffer("free", torch.tensor(family.free))
        self.polynomials = TorchPolynomials(family.scaled_invariants())
        self.turned = invariants.rotation is not None
        if invariants.rotation is not None:
            buffer(self, "rotation", invariants.rotation)
        with torch.no_grad():
            self.register_buffer("first_at_rest", self._features(torch.zeros_like(self.stiffness[:1])).first[0])

    def forward(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Flux (n, g) and tangent (n, g, g)."""
        _, flux, tangent = self.response(gradient)
        return flux, tangent

    def response(self, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Free energy (n,), flux (n, g) and tangent (n, g, g)."""
        strain, features = self._seen(gradient)
        energy, stress, stiffness = self._conjugate_response(strain, features)
        if not self.finite:
            return energy, stress, stiffness
        b = torch.einsum("axy,ny->nax", self.matrices, gradient)
        flux = torch.einsum("na,nax->nx", stress, b)
        geometric = torch.einsum("na,axy->nxy", stress, self.matrices)
        return energy, flux, geometric + b.transpose(1, 2) @ stiffness @ b

    def _seen(self, gradient: Tensor) -> tuple[Tensor, _Features]:
        """Strain and invariants, which training asks for again and again at the same states: the last two are kept."""
        for known, version, result in self._memory:
            if known is gradient and known._version == version:
                return result
        strain = self._strain(gradient)
        result = strain, self._features(strain)
        if not gradient.requires_grad:
            self._memory = [*self._memory[-1:], (gradient, gradient._version, result)]
        return result

    def _strain(self, gradient: Tensor) -> Tensor:
        """What the energy depends on, (n, v)."""
        if not self.finite:
            return gradient
        rest = self.gradient_at_rest
        at_rest = torch.einsum("x,axy,y->a", rest, self.matrices, rest)
        return 0.5 * (torch.einsum("nx,axy,ny->na", gradient, self.matrices, gradient) - at_rest)

    def _conjugate_response(self, strain: Tensor, features: _Features) -> tuple[Tensor, Tensor, Tensor]:
        m = self.count
        seen, first = features.values[:, :m], features.first[:, :m]
        value, slope, curvature = self._network(seen)
        rest_value, rest_slope, _ = self._network(torch.zeros_like(seen[:1]))
        rest_stress = rest_slope[0] @ self.first_at_rest[:m]
        stress = (slope[:, None] @ first)[:, 0] - rest_stress
        stiffness = first.transpose(1, 2) @ curvature @ first + self.stiffness
        linear = strain @ self.stiffness
        energy = value - rest_value - strain @ rest_stress + 0.5 * (linear * strain).sum(1)
        if self.polynomials.curved:
            stiffness = stiffness + self._bent(slope, features.second[:, :m])
        if self.finite:
            growth, growth_slope, growth_curvature = self._growth(features.values[:, -1])
            if self.sees_volume:
                alpha = torch.linalg.eigvalsh(torch.einsum("v,vij->ij", rest_stress, self.units)).max()
                growth = growth + alpha * (strain @ self.identity - features.values[:, -1])
                growth_slope = growth_slope - alpha
                stress = stress + alpha * self.identity
            volume = features.first[:, -1]
            energy = energy + growth
            stress = stress + growth_slope[:, None] * volume
            bending = growth_curvature[:, None, None] * volume[:, :, None] * volume[:, None, :]
            stiffness = stiffness + bending + growth_slope[:, None, None] * features.second[:, -1]
        return energy, stress + linear, stiffness

    @staticmethod
    def _bent(slope: Tensor, second: Tensor) -> Tensor:
        """Σ_k slope_k ∂²z_k, (n, v, v)."""
        n, m, v, _ = second.shape
        return (slope[:, None] @ second.reshape(n, m, v * v)).reshape(n, v, v)

    def _weight(self, name: str) -> Tensor:
        """Weights as they multiply; see `EnergyNetwork.values`."""
        weight: Tensor = getattr(self, name)
        if self.convex:
            positive = _softplus(weight)
            weight = torch.where(self.free, weight, positive) if name == "weight_0" else positive
        if self.sees_volume and name == "weight_0":
            weight = weight / torch.cat([torch.ones_like(weight[0, 1:]), self.invariant_scale[-1:]])
        return weight

    def _network(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """N (n,), its gradient (n, m) and Hessian (n, m, m), derivatives carried through the layers."""
        weights = [self._weight(f"weight_{k}") for k in range(self.layers)]
        n, m = z.shape
        x, slopes = z, []
        jacobians = [weights[0].T[None].contiguous()]  # of the pre-activations, (n, m, width)
        for k, weight in enumerate(weights):
            y = x @ weight.T + getattr(self, f"bias_{k}")
            x, slope = _softplus(y), torch.sigmoid(y)
            slopes.append(slope)
            if k + 1 < self.layers:
                jacobians.append((slope[:, None] * jacobians[k]) @ weights[k + 1].T)
        adjoint = (self._weight("weight_out") * self.energy_scale).expand(n, -1)
        value = (x * adjoint).sum(1)
        hessian = torch.zeros((), dtype=z.dtype, device=z.device)
        for k in reversed(range(self.layers)):
            inner = adjoint * slopes[k]
            bend = inner - inner * slopes[k]
            if k > 0:
                hessian = hessian + _weighted_gram(bend, jacobians[k])
            adjoint = inner @ weights[k]
        outer = weights[0][:, :, None] * weights[0][:, None, :]
        return value, adjoint, hessian + (bend @ outer.reshape(-1, m * m)).reshape(n, m, m)

    def _growth(self, difference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """γ h², h = (J − 1)²/J, of J − 1, with derivatives, each (n,)."""
        j = 1.0 + difference
        ratio = difference / j
        h, dh, d2h = difference * ratio, ratio * (1.0 + 1.0 / j), 2.0 / j**3
        return self.growth * h * h, 2.0 * self.growth * h * dh, 2.0 * self.growth * (dh * dh + h * d2h)

    def _features(self, strain: Tensor) -> _Features:
        """Polynomials with their derivatives; nothing here depends on the weights."""
        local = strain @ self.rotation.T if self.turned else strain
        values, first, second = self.polynomials(local)
        if self.turned:
            first = first @ self.rotation
            second = self.rotation.T @ second @ self.rotation
        if not self.finite:
            return _Features(values, first, second)
        j = torch.sqrt(1.0 + values[:, -1])[:, None, None]  # det C − 1 becomes J − 1
        volume = first[:, -1:] / (2.0 * j)
        bent = (second[:, -1] / (2.0 * j) - volume.transpose(1, 2) @ volume / j)[:, None]
        difference = values[:, -1:] / (1.0 + j[:, :, 0])
        return _Features(
            torch.cat([values[:, :-1], difference], 1),
            torch.cat([first[:, :-1], volume], 1),
            torch.cat([second[:, :-1], bent], 1),
        )


def _softplus(x: Tensor) -> Tensor:
    return torch.nn.functional.softplus(x, threshold=40.0)  # e⁻⁴⁰ is lost in 40


def _weighted_gram(weight: Tensor, x: Tensor) -> Tensor:
    """Σ_h weight_h x_a x_b of `weight` (n, h) and `x` (n, m, h), as (n, m, m)."""
    if x.is_cuda:
        return (weight[:, None] * x) @ x.transpose(1, 2)
    # torch takes batches of matrices so small one by one on a CPU
    return ((weight[:, None] * x)[:, :, None] * x[:, None]).sum(3)
