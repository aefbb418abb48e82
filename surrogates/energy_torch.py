"""The energy network in torch: flux and tangent in closed form, differentiable in the weights, also on a GPU."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from materials.measures import Physics
from surrogates.green_strain import strain_matrices
from surrogates.polynomials import FACTORS
from surrogates.torch_boundary import Module, Parameter, Tensor, as_tensor, buffer, torch

if TYPE_CHECKING:
    from surrogates.families.energy import EnergyNetwork

_NOT_TRAINED = ("invariant_scale", "energy_scale", "stiffness", "growth")


class _Features(NamedTuple):
    """Invariants, and last det C − 1 at finite strain, at n states."""

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
        self.finite = measure.physics is Physics.FINITE_STRAIN
        for name, value in family.values.items():
            if name in _NOT_TRAINED:
                buffer(self, name, value)
            else:
                setattr(self, name, Parameter(as_tensor(value)))
        if self.finite:
            buffer(self, "matrices", strain_matrices(measure.dimension))
            buffer(self, "gradient_at_rest", measure.rest)
        invariants = family.invariants
        self.count = invariants.count
        buffer(self, "linear", invariants.linear.astype(np.float64))
        table = family.scaled_invariants()
        self.size = table.size
        owners = np.zeros((len(table.owners), table.count))
        owners[np.arange(len(table.owners)), table.owners] = table.coefficients
        buffer(self, "owners", owners)
        slots = np.zeros((len(table.owners), FACTORS, table.size))
        np.put_along_axis(slots, table.variables[:, :, None], 1.0, axis=2)
        buffer(self, "slots", slots)
        self.used = [i for i in range(FACTORS) if table.exponents[:, i].any()]
        self.bent = [i for i in self.used if (table.exponents[:, i] > 1).any()]
        self.register_buffer("variables", torch.tensor(table.variables))
        self.register_buffer("exponents", torch.tensor(table.exponents))
        self.turned = invariants.rotation is not None
        if invariants.rotation is not None:
            buffer(self, "rotation", invariants.rotation)

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
        value, slope, curvature = self._network(features.values[:, :m])
        rest_value, rest_slope, _ = self._network(torch.zeros_like(features.values[:1, :m]))
        taken = rest_slope * self.linear
        value = value - rest_value - (features.values[:, :m] * taken).sum(1)
        slope = slope - taken
        if self.finite:
            growth, growth_slope, growth_curvature = self._growth(features.values[:, m])
            value = value + growth
            slope = torch.cat([slope, growth_slope[:, None]], 1)
            curvature = torch.nn.functional.pad(curvature, (0, 1, 0, 1))
            corner = torch.zeros_like(curvature)
            corner[:, m, m] = growth_curvature
            curvature = curvature + corner
        stress = torch.einsum("nk,nkv->nv", slope, features.first)
        stiffness = features.first.transpose(1, 2) @ curvature @ features.first
        stiffness = stiffness + torch.einsum("nk,nkvw->nvw", slope, features.second)
        linear = strain @ self.stiffness
        energy = value + 0.5 * (linear * strain).sum(1)
        return energy, stress + linear, stiffness + self.stiffness

    def _network(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """N (n,), its gradient (n, m) and Hessian (n, m, m), derivatives carried through the layers."""
        x = z
        jacobians, slopes, curvatures = [], [], []
        through: Tensor | None = None  # Jacobian of the activations
        for k in range(self.layers):
            weight = getattr(self, f"weight_{k}")
            y = x @ weight.T + getattr(self, f"bias_{k}")
            jacobian = weight.expand(len(z), -1, -1) if through is None else weight @ through
            x, slope = torch.logaddexp(y, torch.zeros_like(y)), torch.sigmoid(y)
            through = slope[:, :, None] * jacobian
            jacobians.append(jacobian)
            slopes.append(slope)
            curvatures.append(slope * torch.sigmoid(-y))
        adjoint = (self.weight_out * self.energy_scale).expand(len(z), -1)
        value = (x * adjoint).sum(1)
        hessian = torch.zeros((), dtype=z.dtype, device=z.device)
        for k in reversed(range(self.layers)):
            bend = adjoint * curvatures[k]
            hessian = hessian + jacobians[k].transpose(1, 2) @ (bend[:, :, None] * jacobians[k])
            adjoint = (adjoint * slopes[k]) @ getattr(self, f"weight_{k}")
        return value, adjoint, hessian

    def _growth(self, difference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """γ h², h = (J − 1)²/J, of det C − 1, with derivatives, each (n,)."""
        d = 1.0 + difference
        j = torch.sqrt(d)
        h = (j - 1.0) ** 2 / j
        dh = (1.0 - 1.0 / d) / (2.0 * j)
        d2h = (1.5 / d - 0.5) / (2.0 * j * d)
        return self.growth * h * h, 2.0 * self.growth * h * dh, 2.0 * self.growth * (dh * dh + h * d2h)

    def _features(self, strain: Tensor) -> _Features:
        """Polynomials with their derivatives; nothing here depends on the weights."""
        local = strain @ self.rotation.T if self.turned else strain
        at = local[:, self.variables]  # (n, t, FACTORS)
        factors = [self._factors(at, order) for order in range(3)]
        f = factors[0]
        values = f.prod(2) @ self.owners
        n, v = strain.shape
        first = torch.zeros((n, self.owners.shape[1], v), dtype=strain.dtype, device=strain.device)
        second = torch.zeros((*first.shape, v), dtype=strain.dtype, device=strain.device)
        for i in self.used:
            others = math.prod(f[:, :, k] for k in self.used if k != i)
            at_i = torch.einsum("tk,tv->tkv", self.owners, self.slots[:, i])
            first = first + torch.einsum("nt,tkv->nkv", factors[1][:, :, i] * others, at_i)
            if i in self.bent:
                twice = torch.einsum("tkv,tw->tkvw", at_i, self.slots[:, i])
                second = second + torch.einsum("nt,tkvw->nkvw", factors[2][:, :, i] * others, twice)
            for j in self.used:
                if j != i:
                    rest = math.prod(f[:, :, k] for k in self.used if k not in (i, j))
                    both = torch.einsum("tkv,tw->tkvw", at_i, self.slots[:, j])
                    mixed = factors[1][:, :, i] * factors[1][:, :, j] * rest
                    second = second + torch.einsum("nt,tkvw->nkvw", mixed, both)
        if self.turned:
            first = first @ self.rotation
            second = self.rotation.T @ second @ self.rotation
        return _Features(values, first, second)

    def _factors(self, x: Tensor, order: int) -> Tensor:
        """The derivative of an order of each factor x^e, (n, t, FACTORS)."""
        falling = math.prod((self.exponents - i for i in range(order)), start=torch.ones_like(self.exponents))
        return falling * x ** torch.clamp(self.exponents - order, min=0)
