"""A picture of what a surrogate makes of the paths of a dataset, beside what the cell answered."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from materials.measures import FloatArray, Measure, Physics
from solver.report.style import CYCLE, INK, figure_style
from surrogates.dataset import Dataset
from surrogates.store import Model

PATHS = 6
"""Most paths in the picture."""


def draw_responses(model: Model, dataset: Dataset, path: Path) -> None:
    """Write a PNG: each component of the flux along a few test paths, dots the data, lines the surrogate."""
    measure = dataset.measure
    wanted = "test" if dataset.states_of("test").any() else dataset.split[int(dataset.path[0])]
    numbers = np.unique(dataset.path[dataset.states_of(wanted)])
    numbers = numbers[np.unique(np.linspace(0, len(numbers) - 1, PATHS).astype(int))]
    columns = min(3, len(numbers))
    rows = -(-len(numbers) // columns)
    with figure_style():
        figure = Figure(figsize=(3.3 * columns, 2.6 * rows + 0.5), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=False)
        for axes, number in zip(grid.flat, numbers, strict=False):
            chosen = dataset.path == number
            gradient = np.vstack([measure.rest, dataset.gradient[chosen]])
            reference = np.vstack([np.zeros(measure.size), dataset.flux[chosen]])
            along = _length(measure, gradient)
            fine = np.linspace(0.0, along[-1], 200)
            between = np.stack([np.interp(fine, along, component) for component in gradient.T], axis=1)
            answer = model.family.evaluate(np.ascontiguousarray(between))[0]
            shown = _components(measure)
            for colour, (label, index) in zip(_colours(len(shown)), shown.items(), strict=True):
                axes.plot(fine, _scaled(measure, answer)[:, index], color=colour, label=label)
                axes.plot(along, _scaled(measure, reference)[:, index], "o", color=colour)
            axes.set_title(f"path {number}")
            axes.set_xlabel("length of the path")
            axes.set_ylabel(measure.flux_name.replace("_", " "))
        for axes in grid.flat[len(numbers) :]:
            axes.set_axis_off()
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        figure.suptitle(f"{model.family.name}: lines the surrogate, dots the cell", color=INK, fontsize=10)
        figure.savefig(path, dpi=130)


def _length(measure: Measure, gradient: FloatArray) -> FloatArray:
    """Length of the path up to each of its states, in the norm of the gradient."""
    tensors = measure.to_tensor(gradient).reshape(len(gradient), -1)
    steps = np.linalg.norm(np.diff(tensors, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _components(measure: Measure) -> dict[str, int]:
    """Label and position of each component of the flux."""
    symbol = {Physics.SMALL_STRAIN: "σ", Physics.FINITE_STRAIN: "P", Physics.HEAT: "q"}[measure.physics]
    subscripts = str.maketrans("123", "₁₂₃")
    return {
        symbol + "".join(str(i + 1) for i in pair).translate(subscripts): position
        for position, pair in enumerate(measure.index_pairs)
    }


def _scaled(measure: Measure, flux: FloatArray) -> FloatArray:
    """Plain components of the flux a user sees, in the order of the packing, (n, g)."""
    moved = np.moveaxis(measure.user_flux(flux), 0, -1)
    return np.stack([moved[pair] for pair in measure.index_pairs], axis=1)


def _colours(count: int) -> list[str]:
    return [CYCLE[i % len(CYCLE)] for i in range(count)]
