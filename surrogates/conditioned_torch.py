"""The blend of networks over descriptors in torch, differentiable in the weights of all members."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from materials.measures import FloatArray
from surrogates.torch_boundary import Module, Tensor, as_numpy, as_tensor, torch


class TorchConditioned(Module):
    """`surrogates.conditioned.Conditioned` for training; parameters of member k bear the names `k.name`.

    Args:
        members: torch form of each member.
        shares: φ_a at descriptors (n, k), (n, members).
    """

    def __init__(self, members: Sequence[Module], shares: Callable[[FloatArray], FloatArray]):
        super().__init__()
        for k, member in enumerate(members):
            self.add_module(str(k), member)
        self.shares = shares

    def forward(self, gradient: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        """Flux and tangent of states (n, …), or of paths (p, s, …).

        `rest`: what members take beside the gradient, then the descriptors (n, k) or (p, k).
        """
        flux, tangent = torch.zeros_like(gradient), gradient.new_zeros((*gradient.shape, gradient.shape[-1]))
        for member, rows, share, inputs in self._parts(gradient, *rest):
            own_flux, own_tangent = member(*inputs)
            flux = flux.index_add(0, rows, share * own_flux)
            tangent = tangent.index_add(0, rows, share[..., None] * own_tangent)
        return flux, tangent

    def flux(self, gradient: Tensor, *rest: Tensor) -> Tensor:
        """The flux alone, of members that have such a method."""
        flux = torch.zeros_like(gradient)
        for member, rows, share, inputs in self._parts(gradient, *rest):
            flux = flux.index_add(0, rows, share * member.flux(*inputs))
        return flux

    def _parts(self, *inputs: Tensor) -> Iterator[tuple[Any, Tensor, Tensor, list[Tensor]]]:
        """Members with a share: the rows that they have it in, its size there, and what to ask them."""
        *asked, descriptors = inputs
        shares = as_tensor(self.shares(as_numpy(descriptors)), descriptors.device)
        for k, member in enumerate(self.children()):
            rows = torch.nonzero(shares[:, k])[:, 0]
            if len(rows):
                share = shares[rows, k].reshape(-1, *(1,) * (asked[0].ndim - 1))
                yield member, rows, share, [value[rows] for value in asked]
