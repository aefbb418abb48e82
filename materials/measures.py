"""How the gradient and the flux of a physics are packed as vectors.

Strains and stresses are Mandel vectors, so that their scalar product is the double contraction and a tangent is a
plain matrix: (11, 22, 33, √2·23, √2·13, √2·12) in 3D and (11, 22, √2·12) in plane strain. The deformation gradient F
and the first Piola–Kirchhoff stress P are packed row by row. In heat conduction the gradient is ∇T and the flux is
k∇T, so that the tangent is positive definite; the sign of q = −k∇T turns at the user's edge (`user_flux`).
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SQRT2 = np.sqrt(2.0)

_MANDEL = {2: ((0, 0), (1, 1), (0, 1)), 3: ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))}


def _of(pair: tuple[int, ...]) -> tuple[EllipsisType | int, ...]:
    """Index of one tensor component in an array of tensors."""
    return (..., *pair)


class Physics(StrEnum):
    """What the macroscale solves for."""

    SMALL_STRAIN = "small_strain"
    FINITE_STRAIN = "finite_strain"
    HEAT = "heat"


@dataclass(frozen=True)
class Measure:
    """The pair (gradient, flux) of one physics in one dimension, and its packing into vectors of length `size`."""

    physics: Physics
    dimension: int

    @cached_property
    def index_pairs(self) -> tuple[tuple[int, ...], ...]:
        """Tensor indices of each vector component; one index for heat, two for mechanics."""
        d = self.dimension
        if self.physics is Physics.SMALL_STRAIN:
            return _MANDEL[d]
        if self.physics is Physics.FINITE_STRAIN:
            return tuple((i, j) for i in range(d) for j in range(d))
        return tuple((i,) for i in range(d))

    @cached_property
    def size(self) -> int:
        """Number g of vector components."""
        return len(self.index_pairs)

    @cached_property
    def block_size(self) -> int:
        """Unknowns per node: the dimension for mechanics, 1 for heat."""
        return 1 if self.physics is Physics.HEAT else self.dimension

    @cached_property
    def rest(self) -> FloatArray:
        """Gradient of the undeformed state, (g,): the identity for F, zero otherwise."""
        if self.physics is Physics.FINITE_STRAIN:
            return np.eye(self.dimension).ravel()
        return np.zeros(self.size)

    @cached_property
    def in_space(self) -> "Measure":
        """The three-dimensional measure that point laws are written in."""
        return Measure(self.physics, 3)

    @cached_property
    def components_in_space(self) -> NDArray[np.int64]:
        """Positions (g,) of this measure's components in the three-dimensional packing."""
        pairs = self.in_space.index_pairs
        return np.array([pairs.index(pair) for pair in self.index_pairs], dtype=np.int64)

    @property
    def gradient_name(self) -> str:
        """Name of the gradient in case files and results."""
        return {
            Physics.SMALL_STRAIN: "strain",
            Physics.FINITE_STRAIN: "deformation_gradient",
            Physics.HEAT: "temperature_gradient",
        }[self.physics]

    @property
    def flux_name(self) -> str:
        """Name of the flux in case files and results."""
        return {
            Physics.SMALL_STRAIN: "stress",
            Physics.FINITE_STRAIN: "first_piola_kirchhoff",
            Physics.HEAT: "heat_flux",
        }[self.physics]

    @property
    def primary_name(self) -> str:
        """Name of the unknown field."""
        return "temperature" if self.physics is Physics.HEAT else "displacement"

    @property
    def out_of_plane_name(self) -> str | None:
        """Name of the extra output in plane strain, such as `stress_33`; None in 3D and for heat."""
        return "stress_33" if self.dimension == 2 and self.physics is not Physics.HEAT else None

    @cached_property
    def _weights(self) -> FloatArray:
        if self.physics is Physics.SMALL_STRAIN:
            return np.array([1.0 if i == j else SQRT2 for i, j in self.index_pairs])
        return np.ones(self.size)

    def to_vector(self, tensor: FloatArray) -> FloatArray:
        """Pack (..., d, d) tensors, or (..., d) vectors for heat, into (..., g)."""
        tensor = np.asarray(tensor, dtype=float)
        return np.stack([tensor[_of(pair)] for pair in self.index_pairs], axis=-1) * self._weights

    def to_tensor(self, vector: FloatArray) -> FloatArray:
        """Unpack (..., g) into (..., d, d) tensors, or (..., d) vectors for heat."""
        vector = np.asarray(vector, dtype=float)
        rank = len(self.index_pairs[0])
        tensor = np.zeros((*vector.shape[:-1], *(self.dimension,) * rank))
        for position, pair in enumerate(self.index_pairs):
            component = vector[..., position] / self._weights[position]
            tensor[_of(pair)] = component
            if self.physics is Physics.SMALL_STRAIN:
                tensor[_of(pair[::-1])] = component
        return tensor

    def tangent_to_tensor(self, tangent: FloatArray) -> FloatArray:
        """Unpack tangents (..., g, g) into d flux_ij / d gradient_kl, (..., d, d, d, d), or (..., d, d) for heat."""
        tangent = np.asarray(tangent, dtype=float)
        columns = self.to_tensor(np.swapaxes(tangent, -1, -2))  # (..., kl, i, j)
        rank = len(self.index_pairs[0])
        moved = np.moveaxis(columns, -1 - rank, -1)  # (..., i, j, kl)
        return self.to_tensor(moved)

    def user_flux(self, flux: FloatArray) -> FloatArray:
        """The flux a user sees, (..., d, d) or (..., d): σ, P, or the heat flux q = −k∇T."""
        tensor = self.to_tensor(flux)
        return -tensor if self.physics is Physics.HEAT else tensor
