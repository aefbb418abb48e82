"""The cells of family `rnn` in torch: flux and consistent tangent along whole paths, differentiable in the weights.

Formulas and names are those of `surrogates/recurrent_kernel.py`.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

from materials.measures import FloatArray, Measure, Physics
from surrogates.green_strain import strain_matrices
from surrogates.recurrent_kernel import TINY
from surrogates.torch_boundary import Module, Parameter, Tensor, as_tensor, buffer, torch


class TorchCell(Module):
    """A cell for training; its parameters bear the names of the arrays of `surrogates.families.rnn.Recurrent`."""

    held: tuple[str, ...] = ("strain_scale", "stress_scale")
    """Arrays that are not trained."""

    def __init__(self, measure: Measure, values: Mapping[str, FloatArray]):
        super().__init__()
        self.finite = measure.physics is Physics.FINITE_STRAIN
        for name, value in values.items():
            if name in self.held:
                buffer(self, name, value)
            else:
                setattr(self, name, Parameter(as_tensor(value)))
        if self.finite:
            buffer(self, "matrices", strain_matrices(measure.dimension))
            buffer(self, "rest", measure.rest)

    def forward(self, gradient: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        """Flux (p, s, g) and consistent tangent (p, s, g, g) along the paths `gradient` (p, s, g) from rest."""
        del dt  # the response does not depend on the rate
        if not self.finite:
            return self._response(gradient)
        strain, b = self._objective(gradient)
        stress, stiffness = self._response(strain)
        geometric = torch.einsum("psa,axy->psxy", stress, self.matrices)
        return torch.einsum("psa,psax->psx", stress, b), geometric + b.transpose(2, 3) @ stiffness @ b

    def flux(self, gradient: Tensor, dt: Tensor) -> Tensor:
        """The flux of `forward`."""
        del dt
        if not self.finite:
            return self.stress_scale * self._walk(gradient / self.strain_scale).stress
        strain, b = self._objective(gradient)
        return torch.einsum("psa,psax->psx", self.stress_scale * self._walk(strain / self.strain_scale).stress, b)

    def _objective(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """E (p, s, m) and its derivative (p, s, m, g)."""
        b = torch.einsum("axy,psy->psax", self.matrices, gradient)
        at_rest = torch.einsum("x,axy,y->a", self.rest, self.matrices, self.rest)
        return 0.5 * (torch.einsum("psax,psx->psa", b, gradient) - at_rest), b

    def _response(self, strain: Tensor) -> tuple[Tensor, Tensor]:
        """Stress (p, s, m) and its derivative (p, s, m, m)."""
        walk = self._walk(strain / self.strain_scale)
        return self.stress_scale * walk.stress, (self.stress_scale / self.strain_scale) * walk.stiffness()

    @abstractmethod
    def _walk(self, strain: Tensor) -> "Walk":
        """The answer along paths of strain (p, s, m), in units of the scales."""


class Walk(NamedTuple):
    """Answer of a cell along paths, in units of the scales."""

    stress: Tensor
    """(p, s, m)"""
    stiffness: Callable[[], Tensor]
    """Its derivative with respect to the strain at the end of each increment, (p, s, m, m)."""


def _increments(strain: Tensor) -> Tensor:
    """Of paths from rest, (p, s, m)."""
    return torch.diff(strain, dim=1, prepend=torch.zeros_like(strain[:, :1]))


class TorchMinimal(TorchCell):
    """The minimal cell."""

    held = (*TorchCell.held, "stiffness")

    def _walk(self, strain: Tensor) -> Walk:
        sharpness, growth = torch.exp(self.sharpness), torch.exp(self.growth)
        drive = sharpness[:, None, None] * self.drive
        answer = self.answer / sharpness[:, None, None]
        direct = self.stiffness - torch.einsum("kia,kaj->ij", self.answer, self.drive)
        d = torch.einsum("kaj,psj->aspk", drive, _increments(strain))
        q, radius = torch.zeros_like(d[:, 0]), torch.ones_like(d[0, 0])
        places, radii = [q], [radius]
        for step in d.unbind(1):
            q, radius = moved(slide(q, radius, growth, step), q, radius, step)
            places.append(q)
            radii.append(radius)

        def stiffness() -> Tensor:
            q, radius = torch.stack(places[:-1], dim=1), torch.stack(radii[:-1])
            of_q, of_d = torch.einsum("kia,aspk->ispk", answer, q), torch.einsum("kia,aspk->ispk", answer, d)
            along_q, along_d = torch.einsum("kaj,aspk->jspk", drive, q), torch.einsum("kaj,aspk->jspk", drive, d)
            by_a, by_b, identity = slopes(slide(q, radius, growth, d), growth)
            found = direct + torch.einsum("spk,kij->psij", identity, answer @ drive)
            for along, (x, y) in ((2.0 * along_d, by_a), (along_q, by_b)):
                found = found + torch.einsum("ispk,jspk->psij", x * of_q + y * of_d, along)
            return found

        stress = strain @ direct.T + torch.einsum("kia,aspk->psi", answer, torch.stack(places[1:], dim=1))
        return Walk(stress, stiffness)


class TorchGated(TorchCell):
    """The gated recurrent unit."""

    def _walk(self, strain: Tensor) -> Walk:
        row = self.at_end + self.of_increment
        inputs = torch.einsum("lkj,psj->pslk", self.at_end, strain)
        inputs = inputs + torch.einsum("lkj,psj->pslk", self.of_increment, _increments(strain))
        hidden = torch.zeros_like(inputs[:, 0, 0])
        states, slopes = [], []
        for layer in inputs.unbind(1):
            recurrent = torch.einsum("lkj,pj->plk", self.recurrent, hidden)
            gates = torch.sigmoid(layer[:, :2] + recurrent[:, :2] + self.bias)
            update, reset = gates.unbind(1)
            value = torch.tanh(layer[:, 2] + reset * recurrent[:, 2])
            by_update = update * (1.0 - update) * (hidden - value)
            by_value = (1.0 - update) * (1.0 - value * value)
            by_reset = by_value * recurrent[:, 2] * reset * (1.0 - reset)
            slopes.append(torch.stack([by_update, by_reset, by_value], dim=1))
            hidden = update * hidden + (1.0 - update) * value
            states.append(hidden)
        stress = strain @ self.stiffness.T + torch.stack(states, dim=1) @ self.answer.T

        def stiffness() -> Tensor:
            layers = torch.stack(slopes, dim=1)
            return self.stiffness + torch.einsum("ik,pslk,lkj->psij", self.answer, layers, row)

        return Walk(stress, stiffness)


class Slide(NamedTuple):
    """Way of stops along their drive, (…,) each; letters as in the formulas of the kernel."""

    slides: Tensor
    """Whether the ball is met. Where it is not, all else holds numbers that keep values and derivatives finite."""
    a: Tensor
    b: Tensor
    c: Tensor
    s: Tensor
    w: Tensor
    t: Tensor
    radius: Tensor
    grown: Tensor
    cosine: Tensor
    gone: Tensor
    """1 − e"""
    g: Tensor
    x: Tensor
    z: Tensor
    """Second part of y."""


def slide(q: Tensor, radius: Tensor, growth: Tensor, d: Tensor) -> Slide:
    """The way of stops q (m, …) in balls of a radius (…,) along the drive d (m, …)."""
    a, b = (d * d).sum(0), (q * d).sum(0)
    c = ((q * q).sum(0) - radius * radius).clamp(max=0.0)
    slides = a + 2.0 * b + c > 0.0
    a, b, c = torch.where(slides, a, 1.0), torch.where(slides, b, 0.0), torch.where(slides, c, -0.25)
    s, w = torch.sqrt(a), torch.sqrt((b * b - a * c).clamp(min=TINY * TINY))
    t = torch.where(b > 0.0, -c / (b.abs() + w), (w - b) / a)
    cosine, length = w / (radius * s), (1.0 - t) * s
    grown = radius + growth * length
    gone = -torch.expm1(-torch.log1p(growth * length / radius) / growth)
    e = 1.0 - gone
    g = 1.0 + e * e + gone * (1.0 + e) * cosine
    x = 2.0 * grown * e / (radius * g)
    z = grown * gone * (1.0 + e + gone * cosine) / (s * g)
    return Slide(slides, a, b, c, s, w, t, radius, grown, cosine, gone, g, x, z)


def moved(way: Slide, q: Tensor, radius: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Where the way of stops ends, (m, …), and the radius there, (…,)."""
    x, y = torch.where(way.slides, way.x, 1.0), torch.where(way.slides, way.x * way.t + way.z, 1.0)
    return x * q + y * d, torch.where(way.slides, way.grown, radius)


def slopes(way: Slide, growth: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
    """Derivatives of (x, y) with respect to a, those with respect to b, and y; where a stop is free, 0, 0 and 1."""
    slides, a, b, c, s, w, t, radius, grown, cosine, gone, g, x, z = way
    e = 1.0 - gone
    found = []
    for ds, dw, rate in ((0.5 / s, -0.5 * c / w, t), (torch.zeros_like(s), b / w, torch.ones_like(t))):
        dt = (dw - rate) / a
        dlength = (1.0 - t) * ds - s * dt
        dcosine = dw / (radius * s) - cosine * ds / s
        de = -e * dlength / grown
        dg = (2.0 * e * de * (1.0 - cosine) + gone * (1.0 + e) * dcosine) / g
        dv = gone * gone * dcosine - 2.0 * de * (e + gone * cosine)
        dx = x * ((growth - 1.0) * dlength / grown - dg)
        dy = dx * t + x * dt + z * (growth * dlength / grown - ds / s - dg) + grown * dv / (s * g)
        found.append((torch.where(slides, dx, 0.0), torch.where(slides, dy, 0.0)))
    return found[0], found[1], torch.where(slides, x * t + z, 1.0)
