"""What a router asks of a surrogate, beyond what it asks of any material: where it may be trusted."""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from materials.interface import Material
from materials.measures import FloatArray


class JudgedMaterial(Material):
    """A surrogate that knows where it may be trusted."""

    @abstractmethod
    def trusted(self) -> NDArray[np.bool_]:
        """Whether the answer of the last evaluation at each point may be accepted, (n,)."""

    @abstractmethod
    def score(self) -> FloatArray:
        """Trust score of the committed state at each point over the largest trusted one, (n,); at most 1 is trusted."""

    @abstractmethod
    def estimate(self) -> FloatArray:
        """Relative flux error that the score of the committed state stands for, (n,); NaN where nothing is known."""

    @abstractmethod
    def error(self, flux: FloatArray, reference: FloatArray) -> FloatArray:
        """Relative error of fluxes (n, g) as the calibration of this surrogate measures it, (n,)."""
