"""`fe2 sample`: solves a cell along the macroscopic paths of a recipe and writes what it answered as a dataset.

The paths are dealt to the ranks, each of which has the cell to itself. Every finished path goes to a journal beside
the dataset, so that the same command takes up an interrupted sampling, on any number of ranks. A path's answer depends
neither on the rank that solved it nor on the paths before it, and the dataset is in the order of paths.
"""

import time as clock
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from mpi4py import MPI

from materials.compilation import prepare
from materials.interface import Status
from materials.measures import FloatArray, Physics
from rve.cell import Cell
from rve.equilibrium import NewtonSettings
from rve.homogenize import PathFailure, homogenize
from rve.material import RveMaterial
from solver.build import build_cell_of
from solver.case.case import Case
from solver.case.closest import unknown
from solver.case.errors import BadInput
from solver.case.resolved import resolved
from solver.case.surrogates import SurrogateRecipe
from solver.fingerprints import case_hash, cell_hash
from solver.results.atomic import replacing
from solver.results.environment import versions
from solver.results.narration import duration, grouped
from solver.results.on_root import on_root
from solver.sampling_display import SamplingDisplay, create_display
from solver.sampling_journal import Journal, JournalFolder, PathResult
from surrogates.dataset import SPLITS, Dataset, DatasetError, split_paths
from surrogates.paths import draw_path

DURATION = 1.0
"""Pseudo-time of an increment, as `fe2 homogenize` has it."""

_PROGRESS = 17
"""Tag of the messages by which ranks tell the first one that they finished a path."""


class NothingSampled(Exception):
    """No path has a single state with an equilibrium."""


class _Start(NamedTuple):
    """What rank 0 found when the sampling began."""

    finished: bool
    number: int
    """Of the start, from 0."""
    done: tuple[int, ...]
    """Paths that an earlier start finished."""
    failed: int
    """How many of them ended early."""


def sample(case: Case, name: str, comm: MPI.Comm, out: Path, date: str, stream: TextIO | None = None) -> list[str]:
    """Sample the cell of the recipe `name` into the dataset `out`. Collective.

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
    on_root(comm, lambda: _check_place(out))
    recipe = case.surrogates[name]
    cell = build_cell_of(case, recipe.rve, comm)
    prepare(comm)
    identity = _identity(case, recipe, cell)
    material = RveMaterial(cell, NewtonSettings(case.solver.cell.tolerance, case.solver.cell.max_iterations))
    tangent_at_rest = _rest(material)
    start = on_root(comm, lambda: _begin(out, identity))
    if start.finished:
        return on_root(comm, lambda: [f"{out} is complete already, nothing to do", *summary(Dataset.read(out))])
    done = set(start.done)
    left = [number for number in range(recipe.sampling.paths) if number not in done]
    with create_display(stream if comm.rank == 0 else None, recipe.sampling.paths, len(done)) as display:
        display.advanced(len(done), start.failed)
        _solve(case, recipe, comm, material, left, out, start, display)

    def finish() -> list[str]:
        results = {result.path: result for result in JournalFolder(out).results()}
        made = _dataset(case, name, cell, results, tangent_at_rest, identity, date)
        with replacing(out) as unfinished:
            made.write(unfinished)
        JournalFolder(out).remove()
        return [f"Written: {out}", *summary(made)]

    reason = on_root(comm, lambda: _nothing(out))
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


def path_kinds(case: Case, recipe: SurrogateRecipe) -> tuple[str, ...]:
    """Kinds of paths, dealt in turn: that of the recipe, or what suits the physics and the laws of the cell.

    Space-filling at finite strain and proportional otherwise; a cell that remembers gets random walks and cycles too.
    """
    if recipe.sampling.kind is not None:
        return (recipe.sampling.kind,)
    first = "space_filling" if case.physics is Physics.FINITE_STRAIN else "proportional"
    remembers = any(law.state_size > 0 for law in case.rves[recipe.rve].laws.values())
    return (first, "random_walk", "cyclic") if remembers else (first,)


def summary(dataset: Dataset) -> list[str]:
    """What a dataset holds, in lines for a terminal."""
    counts = [int(dataset.states_of(split).sum()) for split in SPLITS]
    shares = ", ".join(f"{grouped(count)} {split}" for count, split in zip(counts, SPLITS, strict=True))
    lines = [f"{grouped(dataset.n_states)} states on {grouped(dataset.n_paths)} paths: {shares}"]
    measure = dataset.measure
    tensors = measure.to_tensor(dataset.gradient)
    spans = []
    for pair in measure.index_pairs:
        component: tuple[slice | int, ...] = (slice(None), *pair)
        values = tensors[component]
        spans.append(f"{''.join(str(i + 1) for i in pair)} {values.min():.3g} to {values.max():.3g}")
    lines.append(f"{measure.gradient_name.replace('_', ' ')}: {', '.join(spans)}")
    failures: Sequence[Mapping[str, Any]] = dataset.provenance.get("failures", ())
    if failures:
        first = failures[0]
        count = "1 path ended" if len(failures) == 1 else f"{grouped(len(failures))} paths ended"
        lines.append(f"{count} early, its steps before that are kept; path {first['path']}: {first['reason']}")
    seconds = dataset.provenance.get("seconds_per_state")
    if seconds is not None:
        total = duration(seconds * dataset.n_states)
        lines.append(f"{seconds:.3g} s per state, {total} of cell solves in all")
    return lines


def _check_place(out: Path) -> None:
    if not out.parent.is_dir():
        raise BadInput(f"{out}: the folder {out.parent} does not exist, create it or choose another for --out")
    if out.is_dir():
        raise BadInput(f"{out}: is a folder, name a file for --out")


def _identity(case: Case, recipe: SurrogateRecipe, cell: Cell) -> dict[str, Any]:
    """What the numbers of a dataset depend on, as plain JSON."""
    sampling = recipe.sampling.model_dump(mode="json") | {"kind": list(path_kinds(case, recipe))}
    return {
        "sampling": sampling,
        "solver": {"cell": case.solver.cell.model_dump(mode="json")},
        "rve": resolved(case)["rves"][recipe.rve],
        "cell_hash": cell_hash(case, recipe.rve, cell),
    }


def _begin(out: Path, identity: dict[str, Any]) -> _Start:
    """Look for what earlier starts left; refuse what belongs to another recipe."""
    total = identity["sampling"]["paths"]
    if out.exists():
        try:
            found = Dataset.read(out)
        except DatasetError as error:
            raise BadInput(f"{error}; remove it or choose another name for --out") from None
        changes = _changes(found.provenance.get("identity", {}), identity)
        if changes:
            text = f"holds a dataset of another recipe ({changes}), remove it or choose another name for --out"
            raise BadInput(f"{out}: {text}")
        JournalFolder(out).remove()
        return _Start(True, 0, tuple(range(total)), 0)
    folder = JournalFolder(out)
    begun_with = identity | {"versions": versions()}
    earlier = folder.recipe()
    if earlier is None:
        folder.create(begun_with)
        return _Start(False, 0, (), 0)
    changes = _changes(earlier, begun_with)
    if changes:
        text = f"an interrupted sampling is here, but something changed ({changes})"
        raise BadInput(f"{folder.path}: {text}; undo the change, remove the folder, or choose another name for --out")
    results = {result.path: result for result in folder.results()}
    failed = sum(bool(result.failure) for result in results.values())
    return _Start(False, folder.starts(), tuple(sorted(results)), failed)


def _changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs, in words; empty if nothing does."""
    before, after = dict(_leaves(earlier)), dict(_leaves(now))
    keys = [key for key in (*after, *before) if before.get(key) != after.get(key)]
    if keys != ["cell_hash"]:
        keys = [key for key in dict.fromkeys(keys) if key != "cell_hash"]
    told = [
        "the mesh of the cell differs" if key == "cell_hash" else f"{key} is {after.get(key)}, was {before.get(key)}"
        for key in keys
    ]
    return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")


def _leaves(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, with its dotted key."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _rest(material: RveMaterial) -> FloatArray:
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
    case: Case,
    recipe: SurrogateRecipe,
    comm: MPI.Comm,
    material: RveMaterial,
    left: list[int],
    out: Path,
    start: _Start,
    display: SamplingDisplay,
) -> None:
    """Solve the paths that are left, each rank every so manyth of them. Collective."""
    kinds, section = path_kinds(case, recipe), recipe.sampling
    done, failed = len(start.done), start.failed
    requests: list[MPI.Request] = []
    with _open_journal(comm, out, start.number) as journal:
        for number in left[comm.rank :: comm.size]:
            kind = kinds[number % len(kinds)]
            path = draw_path(case.measure, kind, section.steps, section.range, section.seed, number)
            result = _follow(material, number, path)
            journal.add(result)
            if comm.rank != 0:
                requests.append(comm.isend(bool(result.failure), 0, _PROGRESS))
                continue
            done, failed = done + 1, failed + bool(result.failure)
            while comm.iprobe(tag=_PROGRESS):
                failed += comm.recv(tag=_PROGRESS)
                done += 1
            display.advanced(done, failed)
    while comm.rank == 0 and done < section.paths:
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


def _follow(material: RveMaterial, number: int, path: FloatArray) -> PathResult:
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


def _nothing(out: Path) -> str | None:
    """Why there is no dataset to write, None if there is one; then nothing is left of the attempt either."""
    failure = ""
    for result in JournalFolder(out).results():
        if len(result.flux):
            return None
        failure = failure or f"path {result.path}: {result.failure}"
    JournalFolder(out).remove()
    return f"no state of any path has an equilibrium; {failure}"


def _dataset(
    case: Case,
    name: str,
    cell: Cell,
    results: Mapping[int, PathResult],
    tangent_at_rest: FloatArray,
    identity: Mapping[str, Any],
    date: str,
) -> Dataset:
    """All results in the order of paths."""
    recipe, measure = case.surrogates[name], case.measure
    section, kinds = recipe.sampling, path_kinds(case, recipe)
    ordered = [results[number] for number in range(section.paths)]
    gradients = [
        draw_path(measure, kinds[r.path % len(kinds)], section.steps, section.range, section.seed, r.path)
        for r in ordered
    ]
    lengths = [len(result.flux) for result in ordered]
    n = sum(lengths)
    provenance = {
        "title": case.title or case.source.stem,
        "surrogate": name,
        "identity": identity,
        "case_hash": case_hash(case),
        "cell_hash": identity["cell_hash"],
        "seed": section.seed,
        "versions": versions(),
        "date": date,
        "seconds_per_state": sum(result.seconds for result in ordered) / n,
        "failures": [
            {"path": result.path, "step": length + 1, "reason": result.failure}
            for result, length in zip(ordered, lengths, strict=True)
            if result.failure
        ],
    }
    return Dataset(
        measure=measure,
        gradient=np.concatenate([path[:length] for path, length in zip(gradients, lengths, strict=True)]),
        flux=np.concatenate([result.flux for result in ordered]),
        tangent=np.concatenate([result.tangent for result in ordered]),
        dt=np.full(n, DURATION),
        path=np.repeat(np.arange(section.paths), lengths),
        step=np.concatenate([np.arange(1, length + 1) for length in lengths]).astype(np.int64),
        split=split_paths(section.paths, section.split, section.seed),
        descriptors=dict(cell.mesh.descriptors),
        provenance=provenance,
        tangent_at_rest=tangent_at_rest,
    )
