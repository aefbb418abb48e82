"""Curves of a report: probes, reactions, Newton convergence, time."""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from materials.measures import FloatArray
from solver.report.run_data import Columns
from solver.report.style import CYCLE, INK, MUTED, PARTS

MARKED = 60
"""Curves with more points than this carry no markers."""


def series_groups(columns: Columns) -> dict[str, list[str]]:
    """Columns of a series by the probe or boundary NAME that they belong to."""
    groups: dict[str, list[str]] = {}
    for column in columns:
        if column not in ("step", "time"):
            name, _, component = column.rpartition("_")
            key = name if name and component and set(component) <= set("xyz") else column
            groups.setdefault(key, []).append(column)
    return groups


def draw_series(columns: Columns, at_rest: bool, quantity: str) -> Figure:
    """Every probe or boundary over pseudo-time, one panel each; `at_rest` adds the zero state at the start."""
    groups = series_groups(columns)
    n_columns = min(len(groups), 2)
    n_rows = -(-len(groups) // n_columns)
    figure = Figure(figsize=(4.9 * n_columns if n_columns > 1 else 6.2, 2.9 * n_rows))
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    time = _from_rest(columns["time"], at_rest)
    for panel, (name, members) in zip(panels, groups.items(), strict=False):
        for column in members:
            label = column.removeprefix(f"{name}_") if column != name else None
            panel.plot(time, _from_rest(columns[column], at_rest), marker=_marker(time), label=label)
        panel.set_title(name)
        panel.set_xlabel("pseudo-time")
        panel.set_ylabel(quantity)
        if len(members) > 1:
            panel.legend(title="component", ncols=min(len(members), 3))
    for panel in panels[len(groups) :]:
        panel.set_visible(False)
    return figure


def draw_reaction_over_probe(probes: Columns, reactions: Columns, displacement_probes: list[str]) -> Figure | None:
    """The largest reaction component over the largest displacement component; None when one of them stays zero."""
    moved = [c for name in displacement_probes for c in series_groups(probes).get(name, [])]
    held = [column for column in reactions if column not in ("step", "time")]
    if not moved or not held:
        return None
    x_name = max(moved, key=lambda column: _largest(probes[column]))
    y_name = max(held, key=lambda column: _largest(reactions[column]))
    if _largest(probes[x_name]) == 0.0 or _largest(reactions[y_name]) == 0.0:
        return None
    steps, here, there = np.intersect1d(probes["step"], reactions["step"], return_indices=True)
    x, y = _from_rest(probes[x_name][here], True), _from_rest(reactions[y_name][there], True)
    figure = Figure(figsize=(4.9, 3.2))
    axes = figure.add_subplot()
    axes.plot(x, y, marker=_marker(steps), color=CYCLE[0])
    axes.set_title("Reaction over displacement")
    axes.set_xlabel(f"displacement {x_name}")
    axes.set_ylabel(f"reaction {y_name}")
    return figure


def draw_convergence(iterations: Columns, tolerance: float | None) -> Figure:
    """Residual over iteration for every increment, and what iteration k+1 makes of iteration k."""
    figure = Figure(figsize=(9.8, 3.4))
    over_iteration, rate = figure.subplots(1, 2)
    steps = np.unique(iterations["step"])
    colours = mpl.colormaps["viridis"]
    norm = mpl.colors.Normalize(steps.min(), max(steps.max(), steps.min() + 1))
    for step in steps:
        residual = iterations["residual"][iterations["step"] == step]
        shown = np.where(residual > 0, residual, np.nan)
        colour = colours(norm(step))
        over_iteration.semilogy(np.arange(len(shown)), shown, marker="o", color=colour, linewidth=1.0)
        rate.loglog(shown[:-1], shown[1:], "o", color=colour, markersize=3.0)
    if tolerance is not None:
        over_iteration.axhline(tolerance, color=MUTED, linestyle=(0, (4, 2)), linewidth=1.0)
        over_iteration.text(0.99, tolerance, "tolerance", transform=over_iteration.get_yaxis_transform(),
                            ha="right", va="bottom", color=MUTED, fontsize=8)  # fmt: skip
    over_iteration.set_title("Residual of each increment")
    over_iteration.set_xlabel("Newton iteration")
    over_iteration.set_ylabel("relative residual")
    over_iteration.xaxis.set_major_locator(MaxNLocator(integer=True))
    _draw_quadratic_guide(rate)
    rate.set_title("Order of convergence")
    rate.set_xlabel("relative residual of iteration k")
    rate.set_ylabel("of iteration k + 1")
    mappable = mpl.cm.ScalarMappable(norm, colours)
    bar = figure.colorbar(mappable, ax=rate, pad=0.02, aspect=28, ticks=MaxNLocator(6, integer=True))
    bar.ax.spines["outline"].set_visible(False)
    bar.set_label("increment")
    return figure


def draw_steps(history: Columns) -> Figure:
    """Iterations and cut-backs of every increment, and where its time went."""
    figure = Figure(figsize=(9.8, 2.9))
    work, time = figure.subplots(1, 2)
    steps = history["step"]
    work.bar(steps, history["newton_iterations"], color=CYCLE[0], width=0.8, label="Newton iterations")
    if history["cutbacks"].any():
        work.bar(steps, -history["cutbacks"], color=CYCLE[1], width=0.8, label="cut-backs (downwards)")
        work.axhline(0, color=MUTED, linewidth=0.8)
    work.set_title("Work per increment")
    work.legend(ncols=2, loc="upper left", bbox_to_anchor=(0, -0.18))
    bottom = np.zeros(len(steps))
    for part in ("micro", "macro", "surrogate", "train"):
        seconds = history[f"t_{part}"]
        if seconds.any():
            time.bar(steps, seconds, bottom=bottom, color=PARTS[part], width=0.8, label=part)
            bottom += seconds
    time.set_title("Wall time per increment")
    time.set_ylabel("seconds")
    time.legend(ncols=4, loc="upper left", bbox_to_anchor=(0, -0.18))
    for axes in (work, time):
        axes.set_xlabel("increment", loc="right")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=False, axis="x")
    return figure


def draw_parts(seconds: dict[str, float]) -> Figure:
    """Wall time by part as one bar."""
    figure = Figure(figsize=(9.8, 1.35))
    axes = figure.add_subplot()
    total = sum(seconds.values())
    left = 0.0
    for part, value in seconds.items():
        if value > 0.0:
            label = f"{part}  {value:.3g} s ({100 * value / total:.0f} %)"
            axes.barh(0, value, left=left, color=PARTS.get(part, MUTED), label=label, height=0.7)
            left += value
    axes.set_xlim(0, max(left, 1e-300))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    axes.set_xlabel("seconds of wall time")
    figure.legend(loc="outside upper left", ncols=4)
    return figure


def _draw_quadratic_guide(axes: mpl.axes.Axes) -> None:
    """A line of slope 2 within what is shown."""
    low, high = axes.get_xlim()
    if not (np.isfinite([low, high]).all() and 0 < low < high):
        return
    _, top = axes.get_ylim()
    x = np.array([max(low, 1e-8), high])
    if x[0] < x[1]:
        axes.loglog(x, top * (x / high) ** 2, color=MUTED, linestyle=(0, (4, 2)), linewidth=1.0, label="slope 2")
        axes.legend(loc="lower right", labelcolor=INK)


def _from_rest(values: FloatArray, at_rest: bool) -> FloatArray:
    return np.concatenate([[0.0], values]) if at_rest else values


def _largest(values: FloatArray) -> float:
    return float(np.nanmax(np.abs(values), initial=0.0))


def _marker(values: FloatArray) -> str:
    return "o" if len(values) <= MARKED else ""
