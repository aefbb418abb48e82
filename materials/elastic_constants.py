"""Elastic constants of isotropic solids, and the parameters that isotropic hyperelastic laws share."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from materials.law import Law
from materials.measures import FloatArray, Physics
from materials.parameters import Finite, PoissonRatio, Positive


class ElasticConstants(NamedTuple):
    """Lamé's constants λ and μ of an isotropic solid, in units of stress."""

    lmbda: float
    mu: float

    @property
    def bulk_modulus(self) -> float:
        """κ = λ + 2μ/3."""
        return self.lmbda + 2.0 * self.mu / 3.0

    @classmethod
    def from_young(cls, E: float, nu: float) -> "ElasticConstants":
        """From Young's modulus and Poisson's ratio."""
        return cls(lmbda=E * nu / ((1.0 + nu) * (1.0 - 2.0 * nu)), mu=E / (2.0 * (1.0 + nu)))


@dataclass(frozen=True, kw_only=True)
class IsotropicHyperelastic(Law):
    """Base of finite strain laws with two constants: either E and nu, or mu and lmbda."""

    physics = Physics.FINITE_STRAIN

    E: Positive | None = None
    """Young's modulus at rest."""
    nu: PoissonRatio | None = None
    """Poisson's ratio at rest."""
    mu: Positive | None = None
    """Shear modulus at rest."""
    lmbda: Finite | None = None
    """Lamé's first constant at rest."""

    def __post_init__(self) -> None:
        """Check that there is exactly one pair of constants, and that it is stable."""
        super().__post_init__()
        given = tuple(name for name in ("E", "nu", "mu", "lmbda") if getattr(self, name) is not None)
        if given not in (("E", "nu"), ("mu", "lmbda")):
            found = ", ".join(given) or "nothing"
            raise ValueError(f"law {self.name} takes either E and nu, or mu and lmbda; got {found}")
        if self.constants.bulk_modulus <= 0.0:
            raise ValueError(
                f"lmbda = {self.lmbda} and mu = {self.mu} give the bulk modulus {self.constants.bulk_modulus:g}; "
                f"it must be positive: lmbda > -2/3 mu"
            )

    @property
    def constants(self) -> ElasticConstants:
        """λ and μ, whichever pair was given."""
        if self.E is not None and self.nu is not None:
            return ElasticConstants.from_young(self.E, self.nu)
        assert self.mu is not None
        assert self.lmbda is not None
        return ElasticConstants(self.lmbda, self.mu)

    def parameters(self) -> FloatArray:
        """(λ, μ)."""
        return np.array(self.constants)
