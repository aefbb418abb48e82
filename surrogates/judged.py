"""A surrogate that a router may ask where it can be trusted."""

import math

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.judged import JudgedMaterial
from materials.measures import FloatArray
from surrogates.calibration import flux_errors
from surrogates.family import ModelError
from surrogates.material import SurrogateMaterial
from surrogates.store import Model


class JudgedSurrogate(SurrogateMaterial, JudgedMaterial):
    """Points that share one network, each trusted up to the calibrated score.

    Args:
        model: a network with trust and calibration.
        name: what to call it in messages.

    Raises:
        ModelError: the model has no trust, or was not calibrated.
    """

    def __init__(self, model: Model, name: str = "surrogate"):
        if model.trust is None or model.calibration is None:
            raise ModelError("the model was not calibrated; train it with this version")
        self._trust, self._calibration = model.trust, model.calibration
        super().__init__(model, name)

    def bind(self, point_ids: IntArray) -> None:
        """Take on these points, at rest."""
        super().bind(point_ids)
        self._gradient = np.tile(self.measure.rest, (len(point_ids), 1))

    def commit(self) -> None:
        """Take over gradient and state of the last evaluation, at points that something else answered for, too."""
        if self._trial is not None:
            self._gradient, self._committed = self._trial
        self._trial = None

    def trusted(self) -> NDArray[np.bool_]:
        """Whether the score of the last evaluation at each point is within the threshold, (n,)."""
        if self._trial is None:
            raise RuntimeError("nothing was evaluated since the last commit")
        gradient, state = self._trial
        if math.isinf(self._calibration.tolerance):
            return self._answered
        if not self._calibration.threshold >= 0.0:
            return np.zeros(len(gradient), dtype=bool)
        return self._answered & self._trust.within(gradient, state, self._calibration.threshold)

    def score(self) -> FloatArray:
        """Score of the committed states over the threshold, (n,)."""
        scores = self._trust.scores(self._gradient, self._committed)
        threshold = self._calibration.threshold
        if threshold > 0.0:
            return np.asarray(scores / threshold)
        return np.where(scores <= threshold, 0.0, np.inf)

    def estimate(self) -> FloatArray:
        """Error that calibration states of that score had, (n,)."""
        return self._calibration.estimate(self._trust.scores(self._gradient, self._committed))

    def error(self, flux: FloatArray, reference: FloatArray) -> FloatArray:
        """Relative flux errors as `surrogates/calibration.py` defines them, (n,)."""
        return flux_errors(flux, reference, self._calibration.floor)
