"""`fe2 sample`: solves cells along the macroscopic paths of a recipe and writes what they answered as a dataset.

The paths are dealt to the ranks, each of which has the cells to itself. Every finished path goes to a journal beside
the dataset, so that the same command takes up an interrupted sampling, on any number of ranks. A path's answer depends
neither on the rank that solved it nor on the paths before it, and the dataset is in the order of paths.
"""

import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from mpi4py import MPI

from materials.compilation import prepare
from materials.interface import Status
from materials.measures import FloatArray
from rve.cell_material import CellMaterial
from rve.homogenize import PathFailure, homogenize
from solver.case.case import Case
from solver.case.closest import unknown
from solver.case.errors import BadInput
from solver.cells import exact_material
from solver.results.atomic import replacing
from solver.results.on_root import on_root
from solver.sampled_cells import SampledCells, build_cells
from solver.sampling_display import SamplingDisplay, create_display
from solver.sampling_journal import Journal, JournalFolder, PathResult
from solver.sampling_result import DURATION, assembled, nothing_sampled, summary
from solver.sampling_start import Start, begin, check_place, identity_of
from surrogates.dataset import Dataset

_PROGRESS = 17
"""Tag of the messages by which ranks tell the first one that they finished a path."""


class NothingSampled(Exception):
    """No path has a single state with an equilibrium."""


def sample(case: Case, name: str, comm: MPI.Comm, out: Path, date: str, stream: TextIO | None = None) -> list[str]:
    """Sample the cells of the recipe `name` into the dataset `out`. Collective.

    Args:
        case: the case.
        name: of a recipe; see `chosen_recipe`.
        comm: ranks that share the work; all see the folder of `out`.
        out: the dataset; a folder beside it holds what an interrupted sampling has reached.
        date: when, for the provenance.
        stream: where rank 0 shows progress.

    Returns:
        A summary of the dataset, line by line.

    Raises:
        BadInput: on all ranks, if `out` cannot be written, or holds something else than this recipe gives.
        NothingSampled: on all ranks.
    """
    on_root(comm, lambda: check_place(out))
    recipe = case.surrogates[name]
    sampled = build_cells(case, recipe, comm)
    prepare(comm)
    identity = identity_of(sampled)
    section, settings = case.rves[recipe.rve], case.solver.cell.settings()
    materials = [exact_material(cell, section, settings) for cell in sampled.cells]
    tangents_at_rest = [_rest(material) for material in materials]
    start = on_root(comm, lambda: begin(out, identity))
    if start.finished:
        return on_root(comm, lambda: [f"{out} is complete already, nothing to do", *summary(Dataset.read(out))])
    done = set(start.done)
    left = [number for number in range(recipe.sampling.paths) if number not in done]
    with create_display(stream if comm.rank == 0 else None, recipe.sampling.paths, len(done)) as display:
        display.advanced(len(done), start.failed)
        _solve(sampled, comm, materials, left, out, start, display)

    def finish() -> list[str]:
        results = {result.path: result for result in JournalFolder(out).results()}
        tangent_at_rest = tangents_at_rest[0] if len(tangents_at_rest) == 1 else None
        made = assembled(sampled, name, results, tangent_at_rest, identity, date)
        with replacing(out) as unfinished:
            made.write(unfinished)
        JournalFolder(out).remove()
        return [f"Written: {out}", *summary(made)]

    reason = on_root(comm, lambda: nothing_sampled(out))
    if reason is not None:
        raise NothingSampled(reason)
    return on_root(comm, finish)


def chosen_recipe(case: Case, name: str | None) -> str:
    """Name of the recipe to use: the one asked for, or the only one there is.

    Raises:
        BadInput: there is none, there are several to choose from, or none of this name.
    """
    names = list(case.surrogates)
    if name is not None and name in case.surrogates:
        return name
    if not names:
        text = (
            "the case has no recipe, add one: surrogates: {NAME: {rve: …, family: …, sampling: {paths: …, range: …}}}"
        )
        raise BadInput(f"{case.located(())}: surrogates: {text}")
    if name is not None:
        raise case.bad_input(("surrogates",), f"{unknown('recipe', name, names)}; choose with --surrogate")
    if len(names) > 1:
        text = f"the case has the recipes {', '.join(names)}; choose one with --surrogate"
        raise case.bad_input(("surrogates",), text)
    return names[0]


def _rest(material: CellMaterial) -> FloatArray:
    """Tangent of the cell at rest, (g, g).

    Also makes the answers of a rank independent of the path that it happens to begin with: the solver takes its
    measure of rounding from the first stiffness that it sees.
    """
    material.bind(np.zeros(1, dtype=np.int64))
    response = material.evaluate(material.measure.rest[np.newaxis], DURATION)
    if response.status[0] != Status.OK:
        raise NothingSampled(f"the cell has no answer at rest: {material.failure(0)}")
    return response.tangent[0]


def _solve(
    sampled: SampledCells,
    comm: MPI.Comm,
    materials: Sequence[CellMaterial],
    left: list[int],
    out: Path,
    start: Start,
    display: SamplingDisplay,
) -> None:
    """Solve the paths that are left, each rank every so manyth of them. Collective."""
    paths = sampled.recipe.sampling.paths
    done, failed = len(start.done), start.failed
    requests: list[MPI.Request] = []
    with _open_journal(comm, out, start.number) as journal:
        for number in left[comm.rank :: comm.size]:
            result = _follow(materials[sampled.cell_of(number)], number, sampled.path(number))
            journal.add(result)
            if comm.rank != 0:
                requests.append(comm.isend(bool(result.failure), 0, _PROGRESS))
                continue
            done, failed = done + 1, failed + bool(result.failure)
            while comm.iprobe(tag=_PROGRESS):
                failed += comm.recv(tag=_PROGRESS)
                done += 1
            display.advanced(done, failed)
    while comm.rank == 0 and done < paths:
        if not comm.iprobe(tag=_PROGRESS):
            clock.sleep(0.02)
            continue
        failed += comm.recv(tag=_PROGRESS)
        done += 1
        display.advanced(done, failed)
    MPI.Request.waitall(requests)


def _open_journal(comm: MPI.Comm, out: Path, start: int) -> Journal:
    """A journal for this rank. Collective: fails on all ranks or on none."""
    journal, problem = None, None
    try:
        journal = JournalFolder(out).journal(start, comm.rank)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}, every rank must be able to write there"
    problems = [text for text in comm.allgather(problem) if text is not None]
    if journal is None or problems:
        raise BadInput(problems[0])
    return journal


def _follow(material: CellMaterial, number: int, path: FloatArray) -> PathResult:
    """Solve the cell along one path, as far as it goes."""
    g = material.measure.size
    flux, tangent, failure = np.empty((len(path), g)), np.empty((len(path), g, g)), ""
    reached, began = 0, clock.perf_counter()
    try:
        for step in homogenize(material, path, DURATION):
            flux[reached], tangent[reached] = step.flux, step.tangent
            reached += 1
    except PathFailure as error:
        failure = str(error)
    return PathResult(number, flux[:reached], tangent[:reached], clock.perf_counter() - began, failure)
