"""Pictures of what a surrogate makes of the paths of a dataset, and of what its answers come from."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from materials.interface import IntArray
from materials.measures import FloatArray, Measure, Physics
from solver.report.style import CYCLE, INK, figure_style
from surrogates.dataset import Dataset
from surrogates.family import Family, Samples
from surrogates.store import Model
from surrogates.trajectories import follow, one_cell

PATHS = 6
"""Most paths in the picture."""


def draw_responses(model: Model, dataset: Dataset, path: Path) -> None:
    """Write a PNG: the flux along a few test paths, dots the data, lines the surrogate.

    Against the length of the path for a reversible response; against the gradient, component by component, for one that
    remembers, so that loops are seen.
    """
    numbers = _shown_paths(dataset)
    columns = min(3, len(numbers))
    rows = -(-len(numbers) // columns)
    remembers = model.family.state_size > 0
    with figure_style():
        figure = Figure(figsize=(3.3 * columns, 2.6 * rows + 0.5), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, number in zip(grid.flat, numbers, strict=False):
            samples = dataset.all_samples().at(dataset.path == number)
            (_draw_loops if remembers else _draw_along)(axes, *one_cell(model.family, samples))
            axes.set_title(f"path {number}")
            axes.locator_params(axis="x", nbins=5)
            axes.set_ylabel(dataset.measure.flux_name.replace("_", " "))
        for axes in grid.flat[len(numbers) :]:
            axes.set_axis_off()
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        figure.suptitle(f"{model.family.name}: lines the surrogate, dots the cell", color=INK, fontsize=10)
        figure.savefig(path, dpi=130)


def draw_attribution(model: Model, contributions: ArrayLike, path: Path) -> None:
    """Write a PNG: how much of each component of the flux comes from each component of the gradient.

    Args:
        model: the surrogate.
        contributions: of `surrogates.attribution.attribution`, a full tensor.
        path: of the picture.
    """
    measure = model.measure
    pairs = measure.index_pairs
    full = np.asarray(contributions, dtype=np.float64)
    table = np.array([[full[(*i, *j)] for j in pairs] for i in pairs])
    if measure.physics is Physics.SMALL_STRAIN:  # both halves of a shear
        table *= np.array([1.0 if i == j else 2.0 for i, j in pairs])
    side = 1.6 + 0.62 * len(pairs)
    with figure_style():
        figure = Figure(figsize=(side + 0.6, side), layout="constrained")
        axes = figure.subplots()
        picture = axes.imshow(table, cmap="Blues", vmin=0.0)
        for (row, column), value in np.ndenumerate(table):
            shade = "white" if value > 0.6 * table.max() else INK
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=shade, fontsize=8)
        axes.set_xticks(range(len(pairs)), _labels(measure, _GRADIENT_SYMBOL[measure.physics]))
        axes.set_yticks(range(len(pairs)), _labels(measure, _FLUX_SYMBOL[measure.physics]))
        axes.set_xlabel("comes from")
        axes.grid(visible=False)
        axes.set_title(f"{model.family.name}: attribution")
        figure.colorbar(picture, ax=axes, format=lambda value, _: f"{100 * value:.0f} %", label="rms, of the flux")
        figure.savefig(path, dpi=130)


_FLUX_SYMBOL = {Physics.SMALL_STRAIN: "σ", Physics.FINITE_STRAIN: "P", Physics.HEAT: "q"}
_GRADIENT_SYMBOL = {Physics.SMALL_STRAIN: "ε", Physics.FINITE_STRAIN: "F", Physics.HEAT: "∂T"}


def _shown_paths(dataset: Dataset) -> IntArray:
    """Numbers of some test paths, or of some of all where there are none."""
    wanted = "test" if dataset.states_of("test").any() else dataset.split[int(dataset.path[0])]
    numbers = np.unique(dataset.path[dataset.states_of(wanted)])
    return numbers[np.unique(np.linspace(0, len(numbers) - 1, PATHS).astype(int))]


def _draw_along(axes: Axes, family: Family, samples: Samples) -> None:
    """Components of the flux against the length of a path; the surrogate also between its states."""
    measure = family.measure
    gradient = np.vstack([measure.rest, samples.gradient])
    along = _length(measure, gradient)
    fine = np.linspace(0.0, along[-1], 200)
    between = np.stack([np.interp(fine, along, component) for component in gradient.T], axis=1)
    answer = _scaled(measure, family.evaluate(np.ascontiguousarray(between))[0])
    reference = _scaled(measure, np.vstack([np.zeros(measure.size), samples.flux]))
    for index, label in enumerate(_labels(measure, _FLUX_SYMBOL[measure.physics])):
        axes.plot(fine, answer[:, index], color=_colour(index), label=label)
        axes.plot(along, reference[:, index], "o", color=_colour(index))
    axes.set_xlabel("length of the path")


def _draw_loops(axes: Axes, family: Family, samples: Samples) -> None:
    """Each component of the flux against the same component of the gradient, along a path from rest."""
    measure = family.measure
    nothing = np.zeros(measure.size)
    gradient = _plain(measure, measure.to_tensor(np.vstack([measure.rest, samples.gradient])))
    answer = _scaled(measure, np.vstack([nothing, follow(family, samples)[0]]))
    reference = _scaled(measure, np.vstack([nothing, samples.flux]))
    for index, label in enumerate(_labels(measure, _FLUX_SYMBOL[measure.physics])):
        axes.plot(gradient[:, index], answer[:, index], color=_colour(index), label=label)
        axes.plot(gradient[:, index], reference[:, index], "o", color=_colour(index))
    axes.set_xlabel(measure.gradient_name.replace("_", " "))


def _length(measure: Measure, gradient: FloatArray) -> FloatArray:
    """Length of the path up to each of its states, in the norm of the gradient."""
    tensors = measure.to_tensor(gradient).reshape(len(gradient), -1)
    steps = np.linalg.norm(np.diff(tensors, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _labels(measure: Measure, symbol: str) -> list[str]:
    """Name of each component."""
    subscripts = str.maketrans("123", "₁₂₃")
    return [symbol + "".join(str(i + 1) for i in pair).translate(subscripts) for pair in measure.index_pairs]


def _scaled(measure: Measure, flux: FloatArray) -> FloatArray:
    """Plain components of the flux a user sees, in the order of the packing, (n, g)."""
    return _plain(measure, measure.user_flux(flux))


def _plain(measure: Measure, tensors: FloatArray) -> FloatArray:
    """Components of full tensors in the order of the packing, (n, g)."""
    moved = np.moveaxis(tensors, 0, -1)
    return np.stack([moved[pair] for pair in measure.index_pairs], axis=1)


def _colour(index: int) -> str:
    return CYCLE[index % len(CYCLE)]
