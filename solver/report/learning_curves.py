"""Curves of what a run learned: the share of cells, and what audits measured."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from solver.report.run_data import Columns
from solver.report.style import CYCLE, INK, PARTS

DASHED = (0, (4, 2))


def draw_share(history: Columns, trained: dict[int, str]) -> Figure:
    """Share of the points that cells answer at over the increments; `trained` names what came out of trainings."""
    figure = Figure(figsize=(9.8, 2.9))
    axes = figure.add_subplot()
    axes.bar(history["step"], 100.0 * history["n_rve"] / history["n_points"], color=PARTS["micro"], width=0.8)
    axes.set_title("Points that cells answer at")
    axes.set_ylabel("% of all points")
    axes.set_ylim(0, 112)
    axes.set_yticks([0, 25, 50, 75, 100])
    for step, name in trained.items():
        axes.axvline(step + 0.5, color=CYCLE[1], linestyle=DASHED, linewidth=1.0)
        axes.annotate(name, (step + 0.5, 110), (4, 0), textcoords="offset points", color=CYCLE[1], fontsize=8, va="top")
    _number_increments(axes)
    return figure


def draw_audit(history: Columns, versions: list[dict[str, Any]]) -> Figure:
    """Errors that audits measured, by increment and by version with the interval of the mean, under the tolerance."""
    figure = Figure(figsize=(9.8, 3.0))
    by_step, by_version = figure.subplots(1, 2, sharey=True)
    measured = history["audit_error"] > 0.0
    by_step.semilogy(history["step"][measured], history["audit_error"][measured], "o", color=CYCLE[0])
    by_step.set_xlim(0.5, float(history["step"][-1]) + 0.5)
    by_step.set_title("Audit of each increment")
    by_step.set_ylabel("relative flux error")
    _number_increments(by_step)
    audited = [entry for entry in versions if entry["audit"]["mean"]]
    for place, entry in enumerate(audited):
        audit = entry["audit"]
        lower, upper = audit["mean_interval"] or (audit["mean"], audit["mean"])
        floor = 0.3 * min(audit["mean"], audit["max"])  # of a logarithmic axis, for an interval that reaches zero
        by_version.plot([place, place], [max(lower, floor), upper], color=CYCLE[0], linewidth=5.0, alpha=0.35)
        by_version.plot(place, audit["mean"], "o", color=CYCLE[0], markersize=5.0)
        by_version.plot(place, audit["max"], "_", color=INK, markersize=9.0)
    by_version.set_xlim(-0.6, len(audited) - 0.4)
    by_version.set_xticks(range(len(audited)), [f"v{entry['version']}" for entry in audited])
    by_version.set_title("Audit of each version")
    by_version.set_xlabel("version", loc="right")
    by_version.grid(visible=False, axis="x")
    tolerances = {entry["audit"]["tolerance"] for entry in audited}
    for tolerance in tolerances:
        if tolerance:
            for axes in (by_step, by_version):
                axes.axhline(tolerance, color=CYCLE[1], linestyle=DASHED, linewidth=1.0)
            corner = {"transform": by_step.get_yaxis_transform(), "ha": "right", "va": "bottom"}
            by_step.text(0.99, tolerance, "tolerance", color=CYCLE[1], fontsize=8, **corner)
    by_step.set_ylim(top=2.0 * by_step.get_ylim()[1])  # room for the word
    return figure


def _number_increments(axes: Axes) -> None:
    axes.set_xlabel("increment", loc="right")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")
