"""The section of a report on what a run learned: when, how well, at what cost."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from materials.interface import Kind
from materials.measures import FloatArray
from solver.report.field_pictures import Field, deformation_scale, draw_field
from solver.report.learning_curves import draw_audit, draw_share
from solver.report.run_data import RunData, Snapshot
from solver.report.style import COLOUR_MAPS, Picture, pixel_image, vector_image
from solver.results.narration import duration, grouped

SOURCES = ("surrogate", "both", "cell", "law")
"""What answers in an element."""
REPEATED = ("surrogate answers", "cells for audits", "states learned from", "trainings", "trust narrowed")
"""Facts that mean something for the last pass of a run that was repeated: cells are solved between passes."""


class Learned(NamedTuple):
    """What one material learned."""

    material: str
    facts: dict[str, str]
    versions: list[dict[str, str]]
    """Rows of a table."""
    pictures: list[Picture]


def learning(run: RunData, finite: bool) -> dict[str, Any]:
    """Pictures of the whole run, and what each of its materials learned; empty where nothing learns."""
    told: dict[str, dict[str, Any]] = run.record.get("learning", {})
    if not told or not run.history:
        return {}
    return {
        "pictures": list(_pictures(run, told, finite)),
        "layout": "pair" if "pass" in run.record else "learning",
        "materials": [_learned(run, *entry) for entry in told.items()],
    }


def _pictures(run: RunData, told: dict[str, dict[str, Any]], finite: bool) -> Iterator[Picture]:
    if "pass" not in run.record:
        yield _share_picture(run, told)
    if run.fields is not None:
        scale = deformation_scale(run.fields, finite)
        for field, caption in _fields(run.fields):
            yield Picture(pixel_image(draw_field(run.fields, field, scale)), caption)


def _share_picture(run: RunData, told: dict[str, dict[str, Any]]) -> Picture:
    trained: dict[int, str] = {}
    for material in told.values():
        for entry in material["versions"]:
            name = f"v{entry['version']}" if len(told) == 1 else ""
            trained[entry["step"]] = ", ".join(filter(None, (trained.get(entry["step"]), name)))
    caption = "Dashed: a version of the surrogate comes into force."
    return Picture(vector_image(draw_share(run.history, trained)), caption)


def _fields(snapshot: Snapshot) -> Iterator[tuple[Field, str]]:
    """What answers in each element, and how near to the limit of its trust."""
    at = f"at time {snapshot.time:g} (increment {snapshot.step})."
    cellwise = snapshot.cellwise
    if "kind" in cellwise:
        yield Field("what answers", *_sources(cellwise["kind"])), f"What answers {at}"
    trust = cellwise.get("trust")
    if trust is not None and np.isfinite(trust).any() and (snapshot.dimension == 2 or np.isfinite(trust).all()):
        field = Field("trust score over the largest trusted one", trust, False, COLOUR_MAPS["trust"])
        yield field, f"Trust score {at} 1 is the limit; white: elements with a cell at some point."


def _sources(kind: FloatArray) -> tuple[FloatArray, bool, str, tuple[str, ...]]:
    """The rest of a field of `SOURCES`, of those that occur, from the mean kind of the points of each element."""
    nearly = 1e-6  # of a mean of equal numbers
    law, cell, surrogate = (np.abs(kind - one) < nearly for one in (Kind.LAW, Kind.RVE, Kind.SURROGATE))
    place = np.select([surrogate, cell, law], [0, 2, 3], 1)
    found, place = np.unique(place, return_inverse=True)
    return place.astype(float), False, "viridis", tuple(SOURCES[one] for one in found)


def _learned(run: RunData, name: str, told: dict[str, Any]) -> Learned:
    versions, pictures = told["versions"], []
    if any(entry["audit"]["mean"] for entry in versions):
        caption = (
            "Relative flux errors at surrogate points that cells solved again; nothing was trained on them. "
            "Left: root mean square. Right: mean with its interval (band), and the largest error (line)."
        )
        pictures.append(Picture(vector_image(draw_audit(run.history, versions)), caption))
    when, facts = "increment", _facts(told)
    if "pass" in run.record:
        when, facts = "pass", {"pass": str(run.record["pass"])} | {key: facts[key] for key in REPEATED}
    return Learned(name, facts, [_version_row(entry, when) for entry in versions], pictures)


def _facts(told: dict[str, Any]) -> dict[str, str]:
    costs = told["costs"]
    done = costs["evaluations"]
    facts = {
        "cell answers": grouped(done["exact"]),
        "surrogate answers": grouped(done["surrogate"]),
        "cells for change-overs": grouped(done["arrivals"] + done["recalled"]),
        "cells for audits": grouped(done["audited"]),
        "cells ahead of trainings": grouped(done["explored"]),
        "states learned from": grouped(told["states"]),
        "trainings": f"{told['trainings']}, {duration(told['training_seconds'])}",
        "time saved": duration(costs["seconds_saved"]) if costs["seconds_saved"] > 0.0 else "none",
        "time spent on it": duration(costs["seconds_spent"]),
        "pays from": "not yet told"
        if costs["break_even_points"] is None
        else f"{grouped(costs['break_even_points'])} points",
        "largest flux jump": percent(told["largest_flux_jump"]),
        "trust narrowed": f"{len(told['narrowings'])} ×",
    }
    if told["switched_off"]:
        facts["switched off"] = "it did not pay"
    return facts


def _version_row(entry: dict[str, Any], when: str) -> dict[str, str]:
    audit = entry["audit"]
    loss = entry.get("loss")
    origin = {"given": "given", "fresh": "trained anew", "warm": "trained on"}[entry["start"]]
    lower, upper = audit["exceeding_interval"]
    return {
        "version": str(entry["version"]),
        f"after {when}": str(entry["step"]),
        "network": "kept, trusted anew" if entry.get("kept") else origin,
        "states": grouped(sum(entry["split"].values())) if "split" in entry else "",
        "error": percent(np.sqrt(loss)) if loss is not None else "",
        "trusted": percent(entry["trusted"]),
        "audited": grouped(audit["answers"]),
        "audit error": percent(audit["mean"]) if audit["mean"] is not None else "",
        "beyond tolerance": f"{percent(audit['exceeding'])} ({percent(lower)} to {percent(upper)})"
        if audit["answers"]
        else "",
    }


def percent(share: float) -> str:
    """A share in percent, three digits at most."""
    return f"{100.0 * share:.3g} %" if 100.0 * share < 999.5 else f"{100.0 * share:.0f} %"
