"""Training from scratch to stated errors: sample, train, measure on unseen paths, run; measured beside target.

- `energy`: the fibre cell of Cook's membrane, about 300 training states (cases/cook_fibre_energy.yaml). Errors on the
  test split, and the tip of the membrane against the run with cells.
- `rnn`, `dissipative`: the elastoplastic cell of the plate with a hole (cases/plate_hole_rnn.yaml). Errors on cyclic
  paths of another seed, and what halving the steps changes there and on the paths of all kinds of the test split.

All data come from `fe2 sample`, all models from `fe2 train`, with the recipes of these cases. Errors are root mean
squares over the set, relative to that of the reference; also the 95th percentile and the maximum over states.

    OMP_NUM_THREADS=1 python3 benchmarks/train_surrogates.py [--only energy rnn dissipative] [--folder DIR] [--out FILE]
"""

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from solver.cli import DONE, execute
from surrogates.dataset import Dataset
from surrogates.evaluation import relative_error
from surrogates.physics_checks import step_halving
from surrogates.store import read_model
from surrogates.trajectories import follow

CASES = Path(__file__).parents[1] / "cases"
SEED = 99
"""Of the unseen cyclic paths."""


class Figure(NamedTuple):
    """A number, and what it should be at most."""

    what: str
    measured: float
    target: float | None = None


def fe2(*words: str) -> float:
    """Seconds that a command took; RuntimeError if it failed."""
    started = time.perf_counter()
    if execute([*words, "--quiet"]) != DONE:
        raise RuntimeError(f"fe2 {' '.join(words)} failed")
    return time.perf_counter() - started


def energy(folder: Path, overrides: Sequence[str] = ()) -> list[Figure]:
    """Figures of the energy network; `overrides` (`key=value`) make the case smaller."""
    case, data, model = CASES / "cook_fibre_energy.yaml", folder / "fibre.h5", folder / "fibre"
    options = _set(overrides)
    fe2("sample", str(case), "--out", str(data), *options)
    seconds = fe2("train", str(case), "--data", str(data), "--out", str(model), *options)
    test = Dataset.read(data).samples("test")
    flux, tangent = follow(read_model(model).family, test)
    cells = _set([*overrides, "materials.composite={type: rve, rve: cell}"])
    network = _set([*overrides, f"materials.composite={{type: surrogate, model: {model.resolve()}}}"])
    fe2("run", str(case), "--out", str(folder / "cook_cells"), *cells)
    fe2("run", str(case), "--out", str(folder / "cook_network"), *network)
    exact, answer = (_tip(folder / name) for name in ("cook_cells", "cook_network"))
    return [
        Figure("training states", float(Dataset.read(data).states_of("train").sum()), 300.0),
        *_errors("stress", relative_error(flux, test.flux), 0.01),
        *_errors("tangent", relative_error(tangent, test.tangent), 0.05),
        Figure("tip of the membrane", abs(answer - exact) / abs(exact), 0.005),
        Figure("seconds of training", seconds),
    ]


def history(family: str, folder: Path, overrides: Sequence[str] = (), unseen: int = 200) -> list[Figure]:
    """Figures of a family that remembers, on so many unseen cyclic paths; `overrides` make the case smaller."""
    case, data, model = CASES / "plate_hole_rnn.yaml", folder / "plate.h5", folder / family
    cyclic = folder / "cyclic.h5"
    options = _set(overrides)
    if not data.exists():
        fe2("sample", str(case), "--out", str(data), *options)
        sampling = {"kind": "cyclic", "paths": unseen, "seed": SEED}
        others = [f"surrogates.plate.sampling.{key}={value}" for key, value in sampling.items()]
        fe2("sample", str(case), "--out", str(cyclic), *_set([*overrides, *others]))
    own = _set([*overrides, f"surrogates.plate.family={family}"])
    seconds = fe2("train", str(case), "--data", str(data), "--out", str(model), *own)
    test = Dataset.read(cyclic).all_samples()
    trained = read_model(model).family
    flux, _ = follow(trained, test)
    return [
        Figure("training paths", float(Dataset.read(data).split.count("train")), 2000.0),
        *_errors("stress", relative_error(flux, test.flux), 0.03),
        Figure("halved steps change", step_halving(trained, test), 0.005),
        Figure("the same on the test split", step_halving(trained, Dataset.read(data).samples("test")), 0.005),
        Figure("seconds of training", seconds),
    ]


def _errors(name: str, error: dict[str, float], target: float) -> list[Figure]:
    others = (Figure(f"{name} error, {kind}", error[kind]) for kind in ("p95", "max"))
    return [Figure(f"{name} error, rms", error["rms"], target), *others]


def _set(overrides: Sequence[str]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def _tip(run: Path) -> float:
    """Vertical displacement of the tip at the end."""
    with (run / "probes.csv").open(encoding="utf-8") as file:
        return float(list(csv.DictReader(file))[-1]["tip_y"])


def main() -> None:
    """Measure and print a table for each family."""
    parser = argparse.ArgumentParser(description="Training from scratch to stated errors.")
    parser.add_argument("--only", nargs="+", default=["energy", "rnn", "dissipative"], metavar="FAMILY")
    parser.add_argument("--folder", type=Path, help="where data, models and runs are kept; a new folder")
    parser.add_argument("--out", help="write the numbers to this JSON file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = {name: energy(folder) if name == "energy" else history(name, folder) for name in arguments.only}
    for name, figures in found.items():
        table = Table(title=name)
        for column in ("figure", "measured", "target"):
            table.add_column(column, justify="left" if column == "figure" else "right")
        for figure in figures:
            target = "" if figure.target is None else f"≤ {figure.target:g}"
            table.add_row(figure.what, f"{figure.measured:.3g}", target)
        Console(width=100).print(table)
    if arguments.out:
        numbers = {name: {figure.what: figure.measured for figure in figures} for name, figures in found.items()}
        Path(arguments.out).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
