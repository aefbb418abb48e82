"""A material led along macroscopic paths from rest: how a point that changes its material learns its past."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray, Material, Status
from materials.measures import FloatArray


class Trajectory(NamedTuple):
    """What p points answered on the s states of their paths, with g gradient components."""

    flux: FloatArray
    """(p, s, g)"""
    tangent: FloatArray
    """(p, s, g, g)"""
    known: NDArray[np.bool_]
    """Whether there is an answer, (p, s); a path ends at its first state without one."""


def follow(material: Material, point_ids: IntArray, gradient: FloatArray, dt: FloatArray) -> Trajectory:
    """Bind `material` to points at rest and lead them along `gradient` (p, s, g), increments of duration `dt` (s,)."""
    material.bind(point_ids)
    return lead(material, np.tile(material.measure.rest, (len(point_ids), 1)), gradient, dt)


def lead(material: Material, start: FloatArray, gradient: FloatArray, dt: FloatArray) -> Trajectory:
    """Lead the points of a material from its committed state, at the gradients `start` (p, g), along (p, s, g).

    The material is left with the committed state at the end of the paths. A point without an answer stays where it
    was and asks for the same state again, so that the others go on.
    """
    p, s, g = gradient.shape
    flux, tangent, known = np.zeros((p, s, g)), np.zeros((p, s, g, g)), np.zeros((p, s), dtype=bool)
    alive = np.ones(p, dtype=bool)
    reached = start
    for step in range(s):
        target = np.where(alive[:, None], gradient[:, step], reached)
        response = material.evaluate(np.ascontiguousarray(target), float(dt[step]))
        answered = _answered(response.flux, response.tangent, response.status)
        if not answered[alive].all():
            alive &= answered
            target = np.where(alive[:, None], target, reached)
            response = material.evaluate(np.ascontiguousarray(target), float(dt[step]))
        material.commit()
        reached = target
        known[:, step] = alive
        flux[alive, step], tangent[alive, step] = response.flux[alive], response.tangent[alive]
    return Trajectory(flux, tangent, known)


def approach(material: Material, point_ids: IntArray, gradient: FloatArray, cuts: int = 4) -> Trajectory:
    """Bind a material that does not remember to points, and bring it to `gradient` (n, g); the answer there (s = 1).

    Points that have no answer at once get there in ever more equal steps from rest, 2^`cuts` at most.
    """
    found = follow(material, point_ids, gradient[:, None], np.ones(1))
    for cut in range(1, cuts + 1):
        if found.known.all():
            break
        shares = np.arange(1, 2**cut + 1) / 2**cut
        rest = material.measure.rest
        rays = rest + shares[:, None] * (gradient - rest)[:, None]
        last = follow(material, point_ids, rays, np.ones(len(shares)))
        found = Trajectory(last.flux[:, -1:], last.tangent[:, -1:], last.known[:, -1:])
    return found


def _answered(flux: FloatArray, tangent: FloatArray, status: NDArray[np.int8]) -> NDArray[np.bool_]:
    finite = np.isfinite(flux).all(axis=1) & np.isfinite(tangent).all(axis=(1, 2))
    return np.asarray((status == Status.OK) & finite)
