"""`mode: iterate`: the run is repeated, and the surrogate learns in between, until nothing is beyond its trust.

All points are left to the surrogate. Where it was beyond its trust, cells are solved afterwards, it is trained on what
they answer, and the run begins again at rest. The first surrogate is the one that the case names, or it is trained on
the data that the case names, or on the paths of its recipe. The results in the folder are those of the last pass.
"""

import logging
from pathlib import Path

import numpy as np
from mpi4py import MPI

from materials.measures import FloatArray
from materials.router import Router
from materials.watching_router import WatchingRouter
from solver.build import build
from solver.case.case import Case
from solver.case.materials import AdaptiveMaterialSection
from solver.driver import Driver
from solver.results.narration import log as narration
from solver.results.on_root import on_root
from solver.results.results import Results
from solver.results.run_directory import forget
from solver.sampled_cells import path_kinds
from surrogates.paths import draw_path

log = logging.getLogger(__name__)


def iterates(case: Case) -> bool:
    """Whether some region of the case asks for repetitions."""
    return any(section.mode == "iterate" for section in _sections(case).values())


def run_iterated(case: Case, comm: MPI.Comm, directory: Path, *, quiet: bool) -> int:
    """Run the case again and again; how many points of the last pass were beyond trust. Collective.

    Args:
        case: the case.
        comm: the ranks.
        directory: the run directory.
        quiet: show nothing.

    Raises:
        BadInput: on all ranks: what `build` raises, or there is no first surrogate.
        NotConverged: a pass did not come to its end.
        Interrupted: the user stopped it.
    """
    passes = max(section.passes for section in _sections(case).values() if section.mode == "iterate")
    unseen = 0
    for number in range(1, passes + 1):
        results = Results(case, comm, directory, quiet=quiet, number=number)
        with results.timing("build"):
            driver = build(case, comm, directory)
        if number == 1:
            on_root(comm, lambda: forget(directory))
        course = _Pass(case, driver, number, number == passes)
        results.run(driver, course.first, course.last)
        unseen = course.unseen
        if not unseen or number == passes:
            results.say_where()
            break
    return unseen


class _Pass:
    """What comes before and after one of the runs."""

    def __init__(self, case: Case, driver: Driver, number: int, final: bool):
        self._case, self._number, self._final = case, number, final
        self._comm = driver.problem.comm
        materials = driver.problem.materials
        self._routers = {name: router for name, router in materials.items() if isinstance(router, Router)}
        self._watching = [router for router in self._routers.values() if isinstance(router, WatchingRouter)]
        self.unseen = 0
        """Points that were beyond trust; states, where the cell does not remember."""

    def first(self) -> None:
        """Have a surrogate."""
        self._tell("pass %d", self._number)
        for name, router in self._routers.items():
            if self._number > 1:
                router.take_up()
            elif isinstance(router, WatchingRouter) and not router.begin(_paths(self._case, name)):
                text = "the states of its recipe make no surrogate, see log.txt; sample more, or name a `model`"
                raise self._case.bad_input(("materials", name, "surrogate"), text)

    def last(self) -> None:
        """Learn where the surrogate was beyond trust."""
        self.unseen = sum(router.strays() for router in self._watching)
        if self.unseen and not self._final:
            self._tell("pass %d ends with %d points beyond trust", self._number, self.unseen)
            for router in self._watching:
                router.catch_up(self._number)
        elif self.unseen:
            if self._comm.rank == 0:
                text = "after %d passes there are still %d points beyond trust: set `passes` to more"
                log.warning(text, self._number, self.unseen)
        else:
            self._tell("pass %d ends with no point beyond trust", self._number)

    def _tell(self, text: str, *values: int) -> None:
        if self._comm.rank == 0:
            narration.info(text, *values)


def _sections(case: Case) -> dict[str, AdaptiveMaterialSection]:
    """Adaptive materials that some region has."""
    used = {name: case.materials[name] for name in case.regions.values()}
    return {name: section for name, section in used.items() if isinstance(section, AdaptiveMaterialSection)}


def _paths(case: Case, material: str) -> FloatArray:
    """The paths that `fe2 sample` solves for the recipe of a material, (p, s, g)."""
    recipe = case.surrogates[_sections(case)[material].surrogate]
    sampling, kinds = recipe.sampling, path_kinds(case, recipe)
    drawn = [
        draw_path(case.measure, kinds[i % len(kinds)], sampling.steps, sampling.range, sampling.seed, i)
        for i in range(sampling.paths)
    ]
    return np.stack(drawn)
