"""How a sampling begins: afresh, where an earlier start stopped, or not at all because it is complete."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from solver.case.errors import BadInput
from solver.case.resolved import resolved
from solver.results.environment import versions
from solver.sampled_cells import SampledCells, path_kinds
from solver.sampling_journal import JournalFolder
from surrogates.dataset import Dataset, DatasetError


class Start(NamedTuple):
    """What rank 0 found when the sampling began."""

    finished: bool
    number: int
    """Of the start, from 0."""
    done: tuple[int, ...]
    """Paths that an earlier start finished."""
    failed: int
    """How many of them ended early."""


def check_place(out: Path) -> None:
    """Refuse a place where no dataset can be written."""
    if not out.parent.is_dir():
        raise BadInput(f"{out}: the folder {out.parent} does not exist, create it or choose another for --out")
    if out.is_dir():
        raise BadInput(f"{out}: is a folder, name a file for --out")


def identity_of(sampled: SampledCells) -> dict[str, Any]:
    """What the numbers of a dataset depend on, as plain JSON."""
    case, recipe = sampled.case, sampled.recipe
    sampling = recipe.sampling.model_dump(mode="json") | {"kind": list(path_kinds(case, recipe))}
    if not recipe.sampling.descriptors:
        del sampling["descriptors"], sampling["cells"]
    return {
        "sampling": sampling,
        "solver": {"cell": case.solver.cell.model_dump(mode="json")},
        "rve": resolved(case)["rves"][recipe.rve],
        "cell_hash": sampled.hash,
    }


def begin(out: Path, identity: dict[str, Any]) -> Start:
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
        return Start(True, 0, tuple(range(total)), 0)
    folder = JournalFolder(out)
    begun_with = identity | {"versions": versions()}
    earlier = folder.recipe()
    if earlier is None:
        folder.create(begun_with)
        return Start(False, 0, (), 0)
    changes = _changes(earlier, begun_with)
    if changes:
        text = f"an interrupted sampling is here, but something changed ({changes})"
        raise BadInput(f"{folder.path}: {text}; undo the change, remove the folder, or choose another name for --out")
    results = {result.path: result for result in folder.results()}
    failed = sum(bool(result.failure) for result in results.values())
    return Start(False, folder.starts(), tuple(sorted(results)), failed)


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
