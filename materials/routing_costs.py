"""What routing costs and what it saves, in evaluations of the exact material and in seconds."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from mpi4py import MPI

from materials.measures import FloatArray

TRIAL = 5
"""Increments with a surrogate before it is asked whether it pays."""


class RoutingCosts:
    """The books of one router, on one rank.

    Counts are evaluations of a point: `exact` and `surrogate` inside the iteration; `arrivals` and `recalled` to bring
    points to the exact material; `audited`; `explored` ahead of a training. The last four are spent for routing.
    """

    SPENT = ("arrivals", "recalled", "audited", "explored")

    def __init__(self) -> None:
        self.count: defaultdict[str, int] = defaultdict(int)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """Wall time by the same parts, and of `judging` and `training`."""
        self.increments = 0
        """Accepted with a surrogate."""

    @contextmanager
    def spend(self, part: str, count: int = 0) -> Iterator[None]:
        """Count the time of the body, and `count` evaluations."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - began
            self.count[part] += count

    def carried(self, comm: MPI.Comm) -> FloatArray:
        """The books of all ranks together as numbers, for `resume`. Collective."""
        parts = ("exact", "surrogate", *self.SPENT)
        mine = np.array([self.count[part] for part in parts] + [self.seconds[part] for part in (*parts, "judging")])
        total = np.empty_like(mine, dtype=float)
        comm.Allreduce(mine.astype(float), total)
        training = comm.allreduce(self.seconds["training"], MPI.MAX)
        return np.append(total, [training, self.increments])

    def resume(self, carried: FloatArray, first: bool) -> None:
        """Go on from what `carried` returned; the first rank takes the numbers of all."""
        parts = ("exact", "surrogate", *self.SPENT)
        count, seconds = carried[: len(parts)], carried[len(parts) : -1]
        self.count.clear()
        self.seconds.clear()
        if first:
            self.count.update(zip(parts, map(int, count), strict=True))
            self.seconds.update(zip((*parts, "judging", "training"), map(float, seconds), strict=True))
        self.increments = int(carried[-1])

    def pays(self, comm: MPI.Comm, by_clock: bool) -> bool:
        """Whether more is saved than spent so far; True until that can be told. Collective.

        Args:
            comm: the ranks.
            by_clock: compare seconds, training included, which differ from run to run; otherwise evaluations.
        """
        if self.increments < TRIAL:
            return True
        book = self.total(comm)
        if by_clock:
            return bool(book["seconds_saved"] >= book["seconds_spent"])
        return bool(book["surrogate"] >= sum(book[part] for part in self.SPENT))

    def total(self, comm: MPI.Comm) -> dict[str, float]:
        """The books of all ranks together. Collective.

        `seconds_saved` are those that the exact material would have taken at the surrogate's points; ranks wait for
        each other while one of them trains, and that counts once.
        """
        parts = ("exact", "surrogate", *self.SPENT)
        carried = list(map(float, self.carried(comm)))
        book: dict[str, float] = dict(zip(parts, carried, strict=False))
        seconds = dict(zip((*parts, "judging"), carried[len(parts) :], strict=False))
        training = carried[-2] * comm.size
        each = seconds["exact"] / book["exact"] if book["exact"] else 0.0
        spent = sum(seconds[part] for part in self.SPENT) + seconds["judging"] + training
        saved = book["surrogate"] * each - seconds["surrogate"]
        return book | {"seconds_per_exact": each, "seconds_saved": saved, "seconds_spent": spent, "training": training}

    def report(self, comm: MPI.Comm, points: int) -> dict[str, Any]:
        """The books in plain JSON, and the number of points from which on it pays. Collective.

        There are `points` on this rank. Exploration and training cost the same however many points there are;
        everything else grows with them.
        """
        book, n = self.total(comm), comm.allreduce(points)
        explored = float(comm.allreduce(self.seconds["explored"]))
        fixed = explored + book["training"]
        per_point = (book["seconds_saved"] - (book["seconds_spent"] - fixed)) / n if n else 0.0
        evaluations = {part: int(book[part]) for part in ("exact", "surrogate", *self.SPENT)}
        return {
            "evaluations": evaluations,
            "seconds_per_exact_evaluation": book["seconds_per_exact"],
            "seconds_saved": round(book["seconds_saved"], 3),
            "seconds_spent": round(book["seconds_spent"], 3),
            "break_even_points": int(np.ceil(fixed / per_point)) if per_point > 0.0 else None,
        }
