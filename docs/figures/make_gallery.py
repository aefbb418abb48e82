"""The thumbnails of the README: each case of `cases/` at its end, and its cell with the largest flux.

    for case in cases/*.yaml; do fe2 run "$case" --out "runs/$(basename "$case" .yaml)"; done
    python3 docs/figures/make_gallery.py runs docs/figures

Drawn by the renderer of `fe2 report`.
"""

import argparse
import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image, ImageChops

from solver.report.field_pictures import Field, deformation_scale, draw_field
from solver.report.quantities import flux_field
from solver.report.run_data import RunData, Snapshot, read_run
from solver.report.style import COLOUR_MAPS, figure_style

CASES = Path(__file__).parents[2] / "cases"
BOXES = ((330, 230), (230, 230))
"""Width and height in pixels that the part and the cell have."""
MARGIN = 16


def field_of(snapshot: Snapshot) -> Field:
    """What a mesh is coloured by: temperature in the part, stress or heat flux otherwise."""
    if "temperature" in snapshot.nodal and "phase" not in snapshot.cellwise:
        return Field("temperature", snapshot.nodal["temperature"], True, COLOUR_MAPS["temperature"])
    field = flux_field(snapshot)
    if field is None:
        raise SystemExit(f"{snapshot.name} has no flux to be coloured by")
    return field


def thumbnail(run: RunData) -> Image.Image:
    """Part and cell side by side, each in the middle of its box; a run without cells shows the part."""
    finite = run.record["physics"] == "finite_strain"
    sheet = Image.new("RGB", (sum(width for width, _ in BOXES), BOXES[0][1]), "white")
    x = 0
    if run.fields is None:
        raise SystemExit(f"{run.path} has no fields")
    for snapshot, (width, height) in zip((run.fields, *run.micro[:1]), BOXES, strict=False):
        figure = draw_field(snapshot, field_of(snapshot), deformation_scale(snapshot, finite), opened=True)
        picture = _pixels(figure, width - MARGIN, height - MARGIN)
        sheet.paste(picture, (x + (width - picture.width) // 2, (height - picture.height) // 2))
        x += width
    return sheet.quantize(128)


def _pixels(figure: Figure, width: int, height: int) -> Image.Image:
    """The mesh alone, as large as fits."""
    axes, *keys = figure.axes
    for key in keys:
        key.set_visible(False)
    axes.set_axis_off()
    for triad in axes.child_axes:
        triad.set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=160)
    image = Image.open(stream).convert("RGB")
    image = image.crop(ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox())
    factor = min(height / image.height, width / image.width)
    return image.resize((round(factor * image.width), round(factor * image.height)), Image.Resampling.LANCZOS)


def main() -> None:
    """Draw FOLDER/NAME.png from RUNS/NAME for every case NAME."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("runs", type=Path, metavar="RUNS")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    for case in sorted(CASES.glob("*.yaml")):
        with figure_style():
            image = thumbnail(read_run(arguments.runs / case.stem))
        image.save(arguments.folder / f"{case.stem}.png", optimize=True)


if __name__ == "__main__":
    main()
