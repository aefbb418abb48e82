"""Audit: which answers of a surrogate are checked by the exact path, and what the checks say of each model version.

Errors of one point at several increments are alike, so that a point counts as a cluster. The interval of the share of
errors above the tolerance is that of Korn and Graubard (1998): the exact binomial one at the effective number of
answers n* = p(1 − p)/v, with v the variance of the share p between clusters, corrected for the few degrees of freedom
that v is known with; where no error or every error exceeds, v says nothing and n* is the number of clusters. The
interval of the mean is the cluster-robust one with Student's t. An audited answer teaches no model.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from materials.interface import IntArray
from materials.measures import FloatArray
from surrogates.draws import uniform

_STREAM = 0xA0D17
"""Sets the draws of audits apart from others with the same seed."""


def chosen(point_ids: IntArray, step: int | None, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which points (n,) are audited: each with probability `fraction`, whoever else is there.

    Args:
        point_ids: (n,)
        step: the increment; None: for the whole run, as points that remember are audited.
        fraction: between 0 and 1.
        seed: of the choice.
    """
    return np.asarray(uniform(seed, _STREAM, -1 if step is None else step, point_ids) < fraction)


class Findings(NamedTuple):
    """What audits found, n answers."""

    version: IntArray
    """Model version that answered, (n,)."""
    step: IntArray
    """Increment, (n,)."""
    point: IntArray
    """Point id, the cluster, (n,)."""
    error: FloatArray
    """Relative error of the flux, (n,); infinite where the model had no answer."""


class AuditRecord:
    """All audits of a run."""

    def __init__(self) -> None:
        integers = np.zeros(0, dtype=np.int64)
        self.findings = Findings(integers, integers, integers, np.zeros(0))

    def add(self, version: int, step: int, points: IntArray, errors: FloatArray) -> None:
        """Take in the relative errors (n,) of a version at some points (n,) in an increment."""
        order = np.argsort(points, kind="stable")
        n = len(points)
        new = Findings(
            np.full(n, version, dtype=np.int64),
            np.full(n, step, dtype=np.int64),
            np.asarray(points, dtype=np.int64)[order],
            np.where(np.isnan(errors), np.inf, errors)[order],
        )
        self.findings = Findings._make(np.concatenate(pair) for pair in zip(self.findings, new, strict=True))

    def of(self, version: int, after: int = -1) -> Findings:
        """The findings of a version in increments later than `after`."""
        return self._where((self.findings.version == version) & (self.findings.step > after))

    def truncated(self, step: int) -> "AuditRecord":
        """The record as it was after an increment."""
        made = AuditRecord()
        made.findings = self._where(self.findings.step <= step)
        return made

    def _where(self, rows: NDArray[np.bool_]) -> Findings:
        return Findings._make(values[rows] for values in self.findings)

    def to_json(self) -> dict[str, list[float | int | None]]:
        """All findings as plain JSON; null for infinity."""
        return {
            name: [value if np.isfinite(value) else None for value in values.tolist()]
            for name, values in self.findings._asdict().items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The record that `to_json` came from."""
        made = cls()
        made.findings = Findings._make(
            (
                np.array([np.inf if value is None else value for value in data[name]], dtype=empty.dtype)
                for name, empty in made.findings._asdict().items()
            )
        )
        return made


def summarised(findings: Findings, tolerance: float, confidence: float) -> dict[str, Any]:
    """Errors of some findings, as plain JSON; null where a number is not finite or there is nothing to tell it from.

    Args:
        findings: of one model version.
        tolerance: relative error that should not be exceeded.
        confidence: of the two-sided intervals `exceeding_interval` and `mean_interval`.
    """
    error = findings.error
    answered = error[np.isfinite(error)]
    lower, upper = share_interval(error > tolerance, findings.point, confidence)
    numbers = {
        "mean": float(np.mean(answered)) if len(answered) else None,
        "rms": float(np.sqrt(np.mean(np.square(answered)))) if len(answered) else None,
        "max": float(np.max(answered)) if len(answered) else None,
        "exceeding": float(np.mean(error > tolerance)) if len(error) else None,
    }
    return {
        "answers": len(error),
        "points": len(np.unique(findings.point)),
        "unanswered": len(error) - len(answered),
        **numbers,
        "mean_interval": _mean_interval(answered, findings.point[np.isfinite(error)], confidence),
        "exceeding_interval": [lower, upper],
        "tolerance": tolerance if np.isfinite(tolerance) else None,
        "confidence": confidence,
    }


def share_interval(exceeds: NDArray[np.bool_], cluster: IntArray, confidence: float) -> tuple[float, float]:
    """Two-sided interval of the probability that an answer exceeds, from n answers in clusters; see the module."""
    n = len(exceeds)
    if n == 0:
        return 0.0, 1.0
    _, index = np.unique(cluster, return_inverse=True)
    size, hits = np.bincount(index), np.bincount(index, weights=exceeds.astype(np.float64))
    clusters, share = len(size), float(np.mean(exceeds))
    effective = float(clusters)
    if 0.0 < share < 1.0 and clusters > 1:
        variance = clusters / (clusters - 1) * float(np.sum(np.square(hits - share * size))) / n**2
        quantile = 0.5 * (1.0 + confidence)
        few = (stats.t.ppf(quantile, n - 1) / stats.t.ppf(quantile, clusters - 1)) ** 2
        wanted = share * (1.0 - share) / variance if variance > 0.0 else float(n)
        effective = min(max(wanted * few, 1.0), float(n))
    elif 0.0 < share < 1.0:
        effective = 1.0
    tail, hit = 0.5 * (1.0 - confidence), share * effective
    lower = float(stats.beta.ppf(tail, hit, effective - hit + 1.0)) if share > 0.0 else 0.0
    upper = float(stats.beta.ppf(1.0 - tail, hit + 1.0, effective - hit)) if share < 1.0 else 1.0
    return lower, upper


def _mean_interval(error: FloatArray, cluster: IntArray, confidence: float) -> list[float] | None:
    """Two-sided interval of the mean error; None for fewer than two clusters."""
    _, index = np.unique(cluster, return_inverse=True)
    clusters = int(index.max(initial=-1)) + 1
    if clusters < 2:
        return None
    mean = float(np.mean(error))
    residual = np.bincount(index, weights=error - mean)
    deviation = np.sqrt(clusters / (clusters - 1) * np.sum(np.square(residual))) / len(error)
    half = float(stats.t.ppf(0.5 * (1.0 + confidence), clusters - 1) * deviation)
    return [max(mean - half, 0.0), mean + half]
