"""Linear heat conduction."""

from dataclasses import dataclass

import numpy as np

from materials.compilation import point_law
from materials.law import Law
from materials.measures import FloatArray, Measure, Physics
from materials.parameters import Finite, Positive
from materials.point_status import status_of


@point_law
def conductive(
    gradient: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    flux: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """Flux k ∇T, the opposite of the heat flux."""
    for i in range(3):
        flux[i] = 0.0
        for j in range(3):
            tangent[i, j] = parameters[3 * i + j]
            flux[i] += parameters[3 * i + j] * gradient[j]
    return status_of(flux)


@dataclass(frozen=True, kw_only=True)
class Conductive(Law):
    """Fourier's law with a constant conductivity."""

    name = "conductive"
    physics = Physics.HEAT
    linear_at_constant_state = True
    point = staticmethod(conductive)

    k: Positive | tuple[tuple[Finite, ...], ...]
    """Conductivity: a number, or a symmetric positive definite matrix, 3 × 3 or (in 2D only) 2 × 2."""

    def __post_init__(self) -> None:
        """Check that a matrix is one, symmetric and positive definite."""
        super().__post_init__()
        if not isinstance(self.k, tuple):
            return
        size = len(self.k)
        if size not in (2, 3) or any(len(row) != size for row in self.k):
            lengths = [len(row) for row in self.k]
            raise ValueError(f"k must be a number or a 2 × 2 or 3 × 3 matrix, got rows of length {lengths}")
        matrix = np.array(self.k)
        if not np.array_equal(matrix, matrix.T):
            raise ValueError(f"k must be a symmetric matrix, got {matrix.tolist()}")
        smallest = np.linalg.eigvalsh(matrix)[0]
        if smallest <= 0.0:
            raise ValueError(f"k must be positive definite, got the eigenvalue {smallest:g} in {matrix.tolist()}")

    def refusal(self, measure: Measure) -> str | None:
        """Why the law cannot be used: also because a 2 × 2 conductivity says nothing about the third direction."""
        if isinstance(self.k, tuple) and len(self.k) != 3 and measure.dimension == 3:
            return "law conductive needs k as a number or a 3 × 3 matrix in 3D, got a 2 × 2 matrix"
        return super().refusal(measure)

    def parameters(self) -> FloatArray:
        """The conductivity matrix, row by row, (9,)."""
        matrix = np.zeros((3, 3))
        if isinstance(self.k, tuple):
            matrix[: len(self.k), : len(self.k)] = self.k
        else:
            np.fill_diagonal(matrix, self.k)
        return matrix.ravel()
