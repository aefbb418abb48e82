"""The page itself: chooses what to show of a run, and fills the template."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from ruamel.yaml import YAML

from solver.report.cell_pictures import cell_pictures
from solver.report.curves import (
    draw_convergence,
    draw_parts,
    draw_reaction_over_probe,
    draw_series,
    draw_steps,
    series_groups,
)
from solver.report.field_pictures import deformation_scale, draw_field
from solver.report.learning import learning
from solver.report.quantities import flux_field, primary_field
from solver.report.run_data import RunData, Snapshot, read_run
from solver.report.style import Picture, figure_style, pixel_image, vector_image
from solver.results import run_directory as names
from solver.results.atomic import write_text
from solver.results.narration import duration, grouped
from solver.version import program_version


def write_report(path: Path) -> Path:
    """Write report.html into the run directory `path` and return where it is.

    Raises BadInput when `path` is not a run directory. A run that still goes on, or failed, is shown as far as it came.
    """
    run = read_run(path)
    with figure_style():
        html = _template().render(**_content(run))
    target = path / names.REPORT
    write_text(target, html)
    return target


def _template() -> jinja2.Template:
    text = resources.files("solver.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(text)


def _content(run: RunData) -> dict[str, Any]:
    record = run.record
    case = YAML(typ="safe", pure=True).load(run.case_text) or {}
    heat = case.get("physics") == "heat"
    finite = case.get("physics") == "finite_strain"
    return {
        "title": record.get("title") or run.path.resolve().name,
        "status": record.get("status", "unknown"),
        "message": record.get("message", ""),
        "facts": _facts(run),
        "fields": list(_field_pictures(run.fields, finite)) if run.fields else [],
        "series": list(_series_pictures(run, case, heat)),
        "series_layout": "pair" if max(map(len, map(series_groups, (run.probes, run.reactions)))) < 2 else "stack",
        "learning": learning(run, finite),
        "convergence": list(_convergence_pictures(run, case)),
        "time": list(_time_pictures(run)),
        "history": _history_rows(run),
        "cells": list(cell_pictures(run.micro, finite)),
        "case_text": run.case_text,
        "versions": record.get("versions", {}),
        "machine": record.get("machine", {}),
        "statistics": record.get("statistics", {}),
        "version": program_version(),
    }


def _facts(run: RunData) -> dict[str, str]:
    record, progress, problem = run.record, run.record.get("progress", {}), run.record.get("problem", {})
    facts: dict[str, str] = {}
    if "physics" in record:
        facts["physics"] = f"{str(record['physics']).replace('_', ' ')}, {record.get('dimension')}D"
    if problem:
        facts["mesh"] = f"{grouped(problem['cells'])} {problem['element']}s of degree {problem['degree']}"
        facts["unknowns"] = grouped(problem["dofs"])
    if run.history:
        facts["integration points"] = grouped(int(run.history["n_points"][-1]))
    if progress:
        facts["reached"] = f"time {progress['time']:g} of {progress['end']:g}"
        facts["increments"] = grouped(progress["step"])
        facts["Newton iterations"] = grouped(progress["newton_iterations"])
        facts["cut-backs"] = grouped(progress["cutbacks"])
        if progress.get("rve_solves"):
            facts["RVE solves"] = grouped(progress["rve_solves"])
    if "wall_time" in record:
        facts["wall time"] = duration(record["wall_time"])
    if "ranks" in record:
        facts["ranks"] = str(record["ranks"])
    if "started" in record:
        facts["started"] = str(record["started"])[:16].replace("T", " ")
    if record.get("restarts"):
        facts["restarted after"] = ", ".join(f"increment {restart['step']}" for restart in record["restarts"])
    return facts


def _field_pictures(snapshot: Snapshot, finite: bool) -> Iterator[Picture]:
    scale = deformation_scale(snapshot, finite)
    deformed = "" if "displacement" not in snapshot.nodal else " Deformed mesh"
    if deformed:
        deformed += ", displacements drawn to scale." if scale == 1.0 else f", displacements × {scale:g}."
        if snapshot.dimension == 2:
            deformed += " Dashed: undeformed outline."
    at = f"at time {snapshot.time:g} (increment {snapshot.step})."
    for field in (primary_field(snapshot), flux_field(snapshot)):
        if field is not None:
            yield Picture(pixel_image(draw_field(snapshot, field, scale)), f"{_sentence(field.label)} {at}{deformed}")


def _series_pictures(run: RunData, case: dict[str, Any], heat: bool) -> Iterator[Picture]:
    asked = case.get("output", {}).get("probes", [])
    primary = "temperature" if heat else "displacement"
    moving = [str(probe["name"]) for probe in asked if probe.get("field", primary) == "displacement"]
    if run.probes:
        quantity = primary if all(probe.get("field", primary) == primary for probe in asked) else "value"
        places = "; ".join(f"{p['name']} at ({', '.join(f'{x:g}' for x in p['point'])})" for p in asked)
        yield Picture(
            vector_image(draw_series(run.probes, not heat, quantity)), f"Probes: {places}." if places else "Probes."
        )
    if run.reactions:
        quantity = "heat entering" if heat else "reaction"
        meaning = "Heat that enters through the boundary." if heat else "Force that the support exerts on the body."
        yield Picture(vector_image(draw_series(run.reactions, not heat, quantity)), meaning)
    if run.probes and run.reactions and moving:
        figure = draw_reaction_over_probe(run.probes, run.reactions, moving)
        if figure is not None:
            yield Picture(vector_image(figure), "The components that change most.")


def _convergence_pictures(run: RunData, case: dict[str, Any]) -> Iterator[Picture]:
    if not run.iterations:
        return
    tolerance = case.get("solver", {}).get("macro", {}).get("residual_tolerance")
    caption = "Largest residual component over the largest assembled absolute force, for the accepted attempts."
    if len(np.unique(run.iterations["step"])) < len(run.iterations["step"]):  # otherwise there is no order to show
        caption += " Points along the dashed line of slope 2 converge quadratically."
    yield Picture(vector_image(draw_convergence(run.iterations, tolerance)), caption)


def _time_pictures(run: RunData) -> Iterator[Picture]:
    seconds = {name: float(value) for name, value in run.record.get("timings", {}).items()}
    if not run.record.get("restarts"):
        seconds["other"] = max(float(run.record.get("wall_time", 0.0)) - sum(seconds.values()), 0.0)
    order = ("build", "macro", "micro", "surrogate", "train", "output", "other")
    seconds = {name: seconds[name] for name in order if name in seconds}
    if sum(seconds.values()) > 0.0:
        caption = "micro: cells · macro: assembly, linear solves and plain laws · output: everything in this folder"
        yield Picture(vector_image(draw_parts(seconds)), f"{caption} · other: compilation and waiting.")
    if run.history:
        yield Picture(
            vector_image(draw_steps(run.history)), "Rejected attempts are part of the time of their increment."
        )


def _history_rows(run: RunData) -> list[dict[str, str]]:
    history = run.history
    return [
        {
            "increment": f"{history['step'][k]:.0f}",
            "time": f"{history['time'][k]:.6g}",
            "load factor": f"{history['load_factor'][k]:.6g}",
            "iterations": f"{history['newton_iterations'][k]:.0f}",
            "cut-backs": f"{history['cutbacks'][k]:.0f}",
            "RVE points": grouped(int(history["n_rve"][k])),
            "seconds": f"{history['wall_time'][k]:.3g}",
        }
        for k in range(len(history.get("step", ())))
    ]


def _sentence(label: str) -> str:
    return label[0].upper() + label[1:]
