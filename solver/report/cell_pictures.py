"""Pictures of localised cells: for the report, and beside their fields in localization/."""

from collections.abc import Iterator
from pathlib import Path

from solver.report.field_pictures import Field, deformation_scale, draw_field
from solver.report.quantities import flux_field, primary_field, state_field
from solver.report.run_data import Snapshot, read_snapshot
from solver.report.style import Picture, figure_style, pixel_image
from solver.results.sites import LARGEST

MAX_CELLS = 4
"""Localised cells in the report; the others are in the folder."""


def cell_pictures(cells: list[Snapshot], finite: bool) -> Iterator[Picture]:
    """Phases, flux and what has changed for good, of the first cells of a run."""
    for snapshot in cells[:MAX_CELLS]:
        phases = tuple(snapshot.about.get("phases", ()))
        where = ", ".join(f"{x:.4g}" for x in snapshot.about.get("point", ()))
        what = "with the largest flux" if snapshot.name == LARGEST else f"asked for as {snapshot.name}"
        scale = deformation_scale(snapshot, finite)
        drawn = ""
        if "displacement" in snapshot.nodal:
            drawn = ", displacements drawn to scale" if scale == 1.0 else f", displacements × {scale:g}"
        if phases:
            field = Field("phase", snapshot.cellwise["phase"], False, "viridis", phases)
            opened = " The octant in front is cut away." if snapshot.dimension == 3 else ""
            caption = f"Cell of material {snapshot.about.get('material')} at ({where}), {what}{drawn}.{opened}"
            yield Picture(pixel_image(draw_field(snapshot, field, scale, opened=True)), caption)
        for coloured in (flux_field(snapshot), state_field(snapshot)):
            if coloured is not None:
                label = coloured.label[0].upper() + coloured.label[1:]
                caption = f"{label} in the same cell at time {snapshot.time:g}."
                yield Picture(pixel_image(draw_field(snapshot, coloured, scale, opened=True)), caption)


def draw_localized(series: Path, step: int, path: Path) -> None:
    """Draw a cell of localization/ as a PNG: deformed, coloured by plastic strain where there is some, else by flux.

    Args:
        series: its HDF5 file.
        step: which.
        path: of the picture.
    """
    snapshot = read_snapshot(series, step)
    field = snapshot and (state_field(snapshot) or flux_field(snapshot) or primary_field(snapshot))
    if snapshot is None or field is None:
        return
    scale = deformation_scale(snapshot, finite="deformation_gradient" in snapshot.cellwise)
    with figure_style():
        figure = draw_field(snapshot, field, scale, opened=True)
        drawn = "" if scale == 1.0 else f"  (displacements × {scale:g})"
        figure.axes[0].set_title(f"{snapshot.name} at time {snapshot.time:g}{drawn}")
        figure.savefig(path, dpi=150)
