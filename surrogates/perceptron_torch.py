"""The direct network in torch: values and Jacobian by one closed-form pass, differentiable in the weights."""

from collections.abc import Mapping

from materials.measures import FloatArray, Measure, Physics
from surrogates.green_strain import strain_matrices
from surrogates.torch_boundary import Module, Parameter, Tensor, as_tensor, buffer, torch


class TorchPerceptron(Module):
    """`surrogates.families.ann.DirectNetwork` for training; its parameters bear the names of the arrays."""

    def __init__(self, measure: Measure, layers: int, values: Mapping[str, FloatArray]):
        super().__init__()
        self.layers = layers
        self.finite = measure.physics is Physics.FINITE_STRAIN
        for name, value in values.items():
            if name.endswith("_scale"):
                buffer(self, name, value)
            else:
                setattr(self, name, Parameter(as_tensor(value)))
        if self.finite:
            buffer(self, "matrices", strain_matrices(measure.dimension))
            buffer(self, "rest", measure.rest)

    def forward(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Flux (n, g) and tangent (n, g, g)."""
        if not self.finite:
            return self._response(gradient)
        b = torch.einsum("axy,ny->nax", self.matrices, gradient)
        at_rest = torch.einsum("x,axy,y->a", self.rest, self.matrices, self.rest)
        stress, stiffness = self._response(0.5 * (torch.einsum("nax,nx->na", b, gradient) - at_rest))
        flux = torch.einsum("na,nax->nx", stress, b)
        geometric = torch.einsum("na,axy->nxy", stress, self.matrices)
        return flux, geometric + b.transpose(1, 2) @ stiffness @ b

    def _response(self, strain: Tensor) -> tuple[Tensor, Tensor]:
        """Stress (n, m) and its derivative (n, m, m)."""
        x = strain / self.strain_scale
        value, jacobian = self._hidden(x)
        rest, _ = self._hidden(torch.zeros_like(x[:1]))
        last = getattr(self, f"weight_{self.layers}")
        y = (value - rest) @ last.T + x @ self.skip.T
        slope = last @ jacobian + self.skip
        return self.stress_scale * y, self.stress_scale * slope / self.strain_scale

    def _hidden(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Last hidden layer (n, w) and its Jacobian (n, w, m) with respect to x."""
        value, jacobian = x, torch.eye(x.shape[1], dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
        for k in range(self.layers):
            weight = getattr(self, f"weight_{k}")
            value = torch.tanh(value @ weight.T + getattr(self, f"bias_{k}"))
            slope = 1.0 - value * value
            jacobian = slope[:, :, None] * (weight @ jacobian)
        return value, jacobian
