"""The blend of networks over descriptors in torch, differentiable in the weights of all members."""

from collections.abc import Callable, Sequence

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
        *more, descriptors = rest
        shares = as_tensor(self.shares(as_numpy(descriptors)), gradient.device)
        flux, tangent = torch.zeros_like(gradient), gradient.new_zeros((*gradient.shape, gradient.shape[-1]))
        for k, member in enumerate(self.children()):
            rows = torch.nonzero(shares[:, k])[:, 0]
            if not len(rows):
                continue
            share = shares[rows, k].reshape(-1, *(1,) * (gradient.ndim - 1))
            own_flux, own_tangent = member(gradient[rows], *(value[rows] for value in more))
            flux = flux.index_add(0, rows, share * own_flux)
            tangent = tangent.index_add(0, rows, share[..., None] * own_tangent)
        return flux, tangent
