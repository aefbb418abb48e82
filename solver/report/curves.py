"""Curves of a report: probes, reactions, Newton convergence, time."""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from materials.measures import FloatArray
from solver.report.run_data import Columns
from solver.report.style import CYCLE, INK, MUTED, PARTS

DASHED = (0, (4, 2))
MARKED = 60
"""Curves with more points than this carry no markers."""


NOISE = 1e-9
"""A panel whose values are smaller than this share of the others is drawn on their scale: it shows round-off."""


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
    largest = max(_largest(columns[column]) for members in groups.values() for column in members)
    for panel, (name, members) in zip(panels, groups.items(), strict=False):
        members = _without_transposes(columns, members)
        if 0.0 < max(_largest(columns[column]) for column in members) < NOISE * largest:
            panel.set_ylim(-largest, largest)
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
    figure = Figure(figsize=(6.2, 2.9))
    axes = figure.add_subplot()
    axes.plot(x, y, marker=_marker(steps), color=CYCLE[0])
    axes.set_title("Reaction over displacement")
    axes.set_xlabel(f"displacement {x_name}")
    axes.set_ylabel(f"reaction {y_name}")
    return figure


def draw_convergence(iterations: Columns, tolerance: float | None) -> Figure:
    """Residual over iteration for every increment, and what iteration k + 1 makes of iteration k."""
    steps, counts = np.unique(iterations["step"], return_counts=True)
    repeated = bool((counts > 1).any())
    figure = Figure(figsize=(9.8 if repeated else 5.6, 3.4))
    panels = figure.subplots(1, 2 if repeated else 1, squeeze=False)[0]
    colours = mpl.colormaps["viridis"]
    norm = mpl.colors.Normalize(steps.min(), max(steps.max(), steps.min() + 1))
    for step in steps:
        of_step = iterations["step"] == step
        residual = np.where(iterations["residual"][of_step] > 0, iterations["residual"][of_step], np.nan)
        style = {"color": colours(norm(step)), "marker": "o"}
        panels[0].semilogy(iterations["iteration"][of_step], residual, linewidth=1.0, **style)
        if repeated:
            panels[1].loglog(residual[:-1], residual[1:], linestyle="none", markersize=3.0, **style)
    if tolerance is not None:
        panels[0].axhline(tolerance, color=MUTED, linestyle=DASHED, linewidth=1.0)
        place = {"transform": panels[0].get_yaxis_transform(), "ha": "right", "va": "bottom"}
        panels[0].text(0.99, tolerance, "tolerance", color=MUTED, fontsize=8, **place)
    panels[0].set_title("Residual of each increment")
    panels[0].set_xlabel("Newton iteration")
    panels[0].set_ylabel("relative residual")
    panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    if repeated:
        _draw_quadratic_guide(panels[1])
        panels[1].set_title("Order of convergence")
        panels[1].set_xlabel("relative residual of iteration k")
        panels[1].set_ylabel("of iteration k + 1")
    mappable = mpl.cm.ScalarMappable(norm, colours)
    bar = figure.colorbar(mappable, ax=panels[-1], pad=0.02, aspect=28, ticks=MaxNLocator(6, integer=True))
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
        axes.loglog(x, top * (x / high) ** 2, color=MUTED, linestyle=DASHED, linewidth=1.0, label="slope 2")
        axes.legend(loc="lower right", labelcolor=INK)


def _without_transposes(columns: Columns, members: list[str]) -> list[str]:
    """The components of a tensor, those below the diagonal left out when they repeat those above."""
    kept: list[str] = []
    for column in members:
        name, _, component = column.rpartition("_")
        transposed = f"{name}_{component[::-1]}"
        if transposed not in kept or not np.allclose(columns[column], columns[transposed], rtol=1e-9, atol=0.0):
            kept.append(column)
    return kept


def _from_rest(values: FloatArray, at_rest: bool) -> FloatArray:
    return np.concatenate([[0.0], values]) if at_rest else values


def _largest(values: FloatArray) -> float:
    return float(np.nanmax(np.abs(values), initial=0.0))


def _marker(values: FloatArray) -> str:
    return "o" if len(values) <= MARKED else ""
