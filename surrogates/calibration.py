"""From scores and errors on states that were held out to the largest score at which answers are believed.

Error of a state: ‖flux − reference‖ / max(‖reference‖, floor), with the root mean square of ‖flux‖ over the training
states for a floor, so that states near rest do not divide by nothing. No answer is an infinite error.

The threshold is the largest of some τ for which the exact upper confidence bound (Clopper and Pearson 1934) of
P(error > tolerance | score ≤ τ) is at most 1 − confidence. Each bound holds at level (1 − confidence) / number of τ, so
that all hold together (Bonferroni) and the choice among them costs nothing. The τ are quantiles of the scores, up to
that of 95 %: 20, or as many as the number of states makes room for above the fewest that could pass without an error.

The promise is for states that are drawn like those of the calibration, independently of each other; see docs/trust.md.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from materials.measures import FloatArray

CANDIDATES = 20
"""Most thresholds that are tried."""
LARGEST = 0.95
"""Share of the states at or below the largest of them: of scores beyond, single states would speak for a wide range."""
CLASSES = 10
"""Most classes of scores that the curve tells apart."""


class Calibration(NamedTuple):
    """A threshold and what it was found from."""

    threshold: float
    """Largest score that is trusted; −inf: nothing is."""
    tolerance: float
    """Error above which an answer is wrong."""
    confidence: float
    floor: float
    """Of ‖reference‖ in the error, in units of flux."""
    states: int
    """Number of states it was found from."""
    trusted: float
    """Share of them at or below the threshold."""
    bound: float
    """Upper confidence bound of the share of wrong answers among the trusted; 1 where nothing is trusted."""
    curve: tuple[tuple[float, float], ...] = ()
    """Scores, rising, and the error that a share `confidence` of the states stays below whose score lies between the
    one before and this one, or that of lower scores where it is larger."""

    def estimate(self, scores: FloatArray) -> FloatArray:
        """Error from the curve at scores (n,), as (n,); infinite for larger ones than any that was seen."""
        upper, error = np.array([*self.curve, (math.inf, math.inf)]).T
        return np.asarray(error[np.searchsorted(upper[:-1], scores)])


def flux_errors(flux: FloatArray, reference: FloatArray, floor: float) -> FloatArray:
    """Relative error of each state, `flux` and `reference` (n, g), as (n,); infinite where there is no answer."""
    size = np.sqrt(np.sum(np.square(reference), axis=1))
    error = np.sqrt(np.sum(np.square(flux - reference), axis=1)) / np.maximum(size, floor)
    return np.where(np.isfinite(error), error, np.inf)


def exceedance_bound(wrong: int, states: int, level: float) -> float:
    """Upper bound of a probability, given `wrong` of `states` independent draws, that fails with probability `level`.

    Clopper and Pearson (1934): the p at which so few wrong ones, or fewer, have probability `level`.
    """
    return 1.0 if wrong >= states else float(betaincinv(wrong + 1, states - wrong, 1.0 - level))


def fewest_states(confidence: float, candidates: int = 1) -> int:
    """Smallest number of states, all of them right, at which something can be trusted."""
    wrong = 1.0 - confidence
    return math.ceil(math.log(wrong / candidates) / math.log(confidence))


def calibrate(scores: FloatArray, errors: FloatArray, tolerance: float, confidence: float, floor: float) -> Calibration:
    """The threshold for scores (n,) and errors (n,) of held-out states; see the module.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence:g}")
    n, allowed = len(scores), 1.0 - confidence
    scores = np.where(np.isnan(scores), np.inf, scores)
    ordered = np.sort(scores)
    wrong = ~(np.isfinite(errors) & (errors <= tolerance))
    curve = _curve(scores, errors, confidence)
    found = Calibration(-math.inf, tolerance, confidence, floor, n, 0.0, 1.0, curve)
    counts = _counts(n, confidence)
    for count in counts[::-1]:
        threshold = float(ordered[count - 1])
        if not math.isfinite(threshold):
            continue
        trusted = scores <= threshold
        states = int(np.count_nonzero(trusted))
        bound = exceedance_bound(int(np.count_nonzero(wrong & trusted)), states, allowed / len(counts))
        if bound <= allowed:
            return found._replace(threshold=threshold, trusted=states / n, bound=bound)
    return found


def _curve(scores: FloatArray, errors: FloatArray, confidence: float) -> tuple[tuple[float, float], ...]:
    """See `Calibration.curve`: classes of equal numbers of states."""
    order = np.argsort(scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    found, largest = {}, 0.0
    for part in np.array_split(order, min(CLASSES, len(order)) or 1):
        if len(part):
            largest = max(largest, float(np.quantile(errors[part], confidence, method="higher")))
            found[float(scores[part[-1]])] = largest
    return tuple(found.items())


def _counts(n: int, confidence: float) -> list[int]:
    """Ranks of the scores that are tried as thresholds: known from the number of states alone."""
    fewest = fewest_states(confidence)
    if n < fewest:
        return []
    last = max(fewest, math.ceil(LARGEST * n))
    tried = min(CANDIDATES, 1 + 3 * (last - fewest) // fewest)
    first = min(fewest_states(confidence, tried), last)
    return np.unique(np.rint(np.linspace(first, last, tried)).astype(int)).tolist()
