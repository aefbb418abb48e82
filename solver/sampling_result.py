"""What a sampling ends with: the dataset, in the order of paths, and what it holds in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from materials.measures import FloatArray
from solver.fingerprints import case_hash
from solver.results.environment import versions
from solver.results.narration import duration, grouped
from solver.sampled_cells import SampledCells
from solver.sampling_journal import JournalFolder, PathResult
from surrogates.dataset import SPLITS, Dataset, split_paths

DURATION = 1.0
"""Pseudo-time of an increment, as `fe2 homogenize` has it."""


def assembled(
    sampled: SampledCells,
    name: str,
    results: Mapping[int, PathResult],
    tangent_at_rest: FloatArray | None,
    identity: Mapping[str, Any],
    date: str,
) -> Dataset:
    """All results in the order of paths."""
    case, section = sampled.case, sampled.recipe.sampling
    ordered = [results[number] for number in range(section.paths)]
    gradients = [sampled.path(result.path) for result in ordered]
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
        measure=case.measure,
        gradient=np.concatenate([path[:length] for path, length in zip(gradients, lengths, strict=True)]),
        flux=np.concatenate([result.flux for result in ordered]),
        tangent=np.concatenate([result.tangent for result in ordered]),
        dt=np.full(n, DURATION),
        path=np.repeat(np.arange(section.paths), lengths),
        step=np.concatenate([np.arange(1, length + 1) for length in lengths]).astype(np.int64),
        split=split_paths(section.paths, section.split, section.seed),
        descriptors=sampled.descriptors,
        path_descriptors=sampled.path_descriptors,
        provenance=provenance,
        tangent_at_rest=tangent_at_rest,
    )


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
    for name in dataset.provenance.get("identity", {}).get("sampling", {}).get("descriptors", {}):
        values = dataset.path_descriptors[name]
        lines.append(f"{len(np.unique(values))} values of {name} from {values.min():.3g} to {values.max():.3g}")
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


def nothing_sampled(out: Path) -> str | None:
    """Why there is no dataset to write, None if there is one; then nothing is left of the attempt either."""
    failure = ""
    for result in JournalFolder(out).results():
        if len(result.flux):
            return None
        failure = failure or f"path {result.path}: {result.failure}"
    JournalFolder(out).remove()
    return f"no state of any path has an equilibrium; {failure}"
