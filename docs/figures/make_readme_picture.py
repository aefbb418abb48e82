"""The picture at the top of the README, from a run of `cases/cook_fibre.yaml` on finer meshes.

    fe2 run cases/cook_fibre.yaml --out runs/readme \
        --set 'mesh.divisions=[8, 8]' --set rves.cell.geometry.resolution=14 \
        --set 'output.fields=[displacement, deformation_gradient, stress]' \
        --set 'output.localize=[{point: [2, 42]}, {point: [17, 18]}, {point: [43, 57]}]'
    python3 docs/figures/make_readme_picture.py runs/readme docs/figures/two-scales.png

Left the part, right three of its cells, all deformed to scale. A cell is drawn with its periodic images, which are
translations by the columns of the macroscopic deformation gradient.
"""

import argparse
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle, ConnectionPatch
from numpy.typing import NDArray
from PIL import Image

from solver.report.patches import boundary_loops, lattice, patches_of
from solver.report.run_data import Snapshot, read_run, read_snapshot
from solver.report.style import INK, MUTED, figure_style

FloatArray = NDArray[np.float64]

COLOURS = "RdBu_r"
LENS = 0.95
"""Radius of what is shown of a cell and its images, in edge lengths of the cell."""
SIZE = (10.0, 5.9)
"""Of the figure, in inches."""
PLACES = ((0.135, 0.76), (0.855, 0.27), (0.775, 0.76))
"""Centres of the lenses in the figure: clamped corner, lower edge, tip."""
DIAMETER = 0.262
"""Of a lens, in widths of the figure."""


def mean_stress(snapshot: Snapshot) -> FloatArray:
    """In-plane mean Cauchy stress (σ₁₁ + σ₂₂)/2 of every element."""
    if "stress" in snapshot.cellwise:
        σ = snapshot.cellwise["stress"].reshape(-1, 3, 3)
    else:
        P, F = (snapshot.cellwise[k].reshape(-1, 3, 3) for k in ("first_piola_kirchhoff", "deformation_gradient"))
        σ = np.einsum("nik,njk->nij", P[:, :2, :2], F[:, :2, :2]) / np.linalg.det(F)[:, None, None]
    return 0.5 * (σ[:, 0, 0] + σ[:, 1, 1])


def at_nodes(snapshot: Snapshot, values: FloatArray) -> FloatArray:
    """Element values averaged to the nodes of each element within its phase, (cells, k)."""
    phase = snapshot.cellwise.get("phase", np.zeros(len(values)))
    node = snapshot.cells
    if "phase" in snapshot.cellwise:  # a cell: its periodic images are one node
        _, joined = np.unique(np.round(snapshot.points % 1.0, 9) % 1.0, axis=0, return_inverse=True)
        node = joined.ravel()[node]
    nodal = np.empty(node.shape)
    for index in np.unique(phase):
        here = phase == index
        total, count = np.zeros(len(snapshot.points)), np.zeros(len(snapshot.points))
        np.add.at(total, node[here], values[here, None])
        np.add.at(count, node[here], 1.0)
        nodal[here] = total[node[here]] / count[node[here]]
    return nodal


def paint(axes: Axes, snapshot: Snapshot, shift: FloatArray, norm: TwoSlopeNorm, edges: float) -> None:
    """Draw the deformed mesh with its colours, element edges of a given opacity, and phase boundaries."""
    positions = (snapshot.points + snapshot.nodal["displacement"])[:, :2] + shift
    patches = patches_of(snapshot.cells, snapshot.element, snapshot.degree)
    grid = lattice(patches.shape, patches.degree, 4)
    sampled = np.einsum("pk,nkd->npd", grid.table, positions[patches.nodes])
    values = at_nodes(snapshot, mean_stress(snapshot)) @ grid.table.T
    triangles = (grid.triangles[None] + (np.arange(len(sampled)) * sampled.shape[1])[:, None, None]).reshape(-1, 3)
    x, y = sampled.reshape(-1, 2).T
    axes.tripcolor(x, y, triangles, values.ravel(), shading="gouraud", norm=norm, cmap=COLOURS, rasterized=True)
    outline = LineCollection(list(sampled[:, grid.outline]), colors=INK, linewidths=0.35, alpha=edges)
    axes.add_collection(outline)
    phase = snapshot.cellwise.get("phase", np.zeros(len(snapshot.cells)))
    for index in np.unique(phase)[1:]:
        inside = patches_of(snapshot.cells[phase == index], snapshot.element, snapshot.degree)
        loops = _fine(positions[boundary_loops(inside)])
        axes.add_collection(LineCollection(list(loops), colors=INK, linewidths=1.1))


def _fine(edges: FloatArray) -> FloatArray:
    """Quadratic edges (n, 3, 2) as polylines."""
    t = np.linspace(0.0, 1.0, 5)
    table = np.stack([(1 - t) * (1 - 2 * t), 4 * t * (1 - t), t * (2 * t - 1)], axis=1)
    return np.einsum("pk,nkd->npd", table, edges)


def macroscopic_gradient(snapshot: Snapshot) -> FloatArray:
    """F̄ of a cell: its volume average of F, from the displacements of the corners, which are periodic images."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = [int(np.argmin(np.linalg.norm(snapshot.points[:, :2] - corner, axis=1))) for corner in corners]
    u = snapshot.nodal["displacement"][found, :2]
    return np.eye(2) + np.stack([u[1] - u[0], u[2] - u[0]], axis=1)


def draw_lens(figure: Figure, cell: Snapshot, centre: tuple[float, float], norm: TwoSlopeNorm) -> Axes:
    """One cell with its periodic images through a round window."""
    width, height = DIAMETER, DIAMETER * SIZE[0] / SIZE[1]
    axes = figure.add_axes((centre[0] - width / 2, centre[1] - height / 2, width, height))
    F = macroscopic_gradient(cell)
    positions = (cell.points + cell.nodal["displacement"])[:, :2]
    corner = positions[int(np.argmin(np.linalg.norm(cell.points[:, :2], axis=1)))]
    middle = corner + F @ np.array([0.5, 0.5])
    for i in range(-3, 4):
        for j in range(-3, 4):
            paint(axes, cell, F @ np.array([i, j], dtype=float) - middle, norm, edges=0.0)
    frame = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) - 0.5
    axes.plot(*(frame @ F.T).T, color=INK, linewidth=1.3, linestyle=(0, (4, 2)))
    window = Circle((0.0, 0.0), LENS, facecolor="none", edgecolor=INK, linewidth=1.6)
    axes.add_patch(window)
    for artist in (*axes.collections, *axes.lines):
        artist.set_clip_path(window)
    axes.set_xlim(-1.02 * LENS, 1.02 * LENS)
    axes.set_ylim(-1.02 * LENS, 1.02 * LENS)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return axes


def draw_part(axes: Axes, part: Snapshot, norm: TwoSlopeNorm) -> None:
    """The deformed part over its undeformed outline."""
    patches = patches_of(part.cells, part.element, part.degree)
    loops = part.points[boundary_loops(patches)][..., :2]
    axes.add_collection(LineCollection(list(loops), colors=MUTED, linewidths=1.0, linestyles=(0, (5, 3))))
    paint(axes, part, np.zeros(2), norm, edges=0.35)
    positions = (part.points + part.nodal["displacement"])[:, :2]
    for edge in _fine(positions[boundary_loops(patches)]):
        axes.plot(*edge.T, color=INK, linewidth=1.1, solid_capstyle="round")
    axes.plot([0, 0], [-1, 45], color=INK, linewidth=2.5)
    for y in np.arange(-1, 45, 2.0):
        axes.plot([0, -1.6], [y + 1.6, y], color=INK, linewidth=0.8)
    axes.set_xlim(-3, 50)
    axes.set_ylim(-2, 82)
    axes.set_aspect("equal")
    axes.set_axis_off()


def key(figure: Figure, place: tuple[float, float, float, float], norm: TwoSlopeNorm) -> None:
    """One colour bar for both scales."""
    axes = figure.add_axes(place)
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, COLOURS), cax=axes, orientation="horizontal", extend="both")
    bar.ax.spines["outline"].set_visible(False)
    bar.set_ticks([norm.vmin, 0.0, norm.vmax])
    bar.ax.tick_params(length=0, labelsize=11)
    bar.set_label("mean stress (σ₁₁ + σ₂₂) / 2\nin the part and in its cells", fontsize=11, labelpad=6)


def symmetric(values: FloatArray) -> TwoSlopeNorm:
    """A scale about zero that leaves the outermost two per cent of the values to the ends of the bar."""
    largest = float(np.quantile(np.abs(values), 0.98))
    step = 10.0 ** np.floor(np.log10(largest)) / 2.0
    largest = step * np.ceil(largest / step)
    return TwoSlopeNorm(0.0, -largest, largest)


def position_in(part: Snapshot, point: FloatArray) -> FloatArray:
    """Deformed position of a point (2,), from the nodes around it."""
    distance = np.linalg.norm(part.points[:, :2] - point, axis=1)
    near = np.argsort(distance)[:6]
    weight = 1.0 / (distance[near] + 1e-9)
    return point + weight @ part.nodal["displacement"][near, :2] / weight.sum()


def draw(run: Path) -> Figure:
    """The whole picture."""
    part = read_run(run).fields
    cells = [read_snapshot(file) for file in sorted((run / "localization").glob("point_*.h5"))]
    if part is None or len(cells) != len(PLACES) or None in cells:
        raise SystemExit(f"{run}: not the run that the head of this file describes")
    inside = [cell for cell in cells if cell is not None]
    norm = symmetric(np.concatenate([mean_stress(snapshot) for snapshot in (part, *inside)]))
    figure = Figure(figsize=SIZE, layout="none")
    left = figure.add_axes((0.26, 0.02, 0.40, 0.96))
    draw_part(left, part, norm)
    for cell, centre in zip(inside, PLACES, strict=True):
        lens = draw_lens(figure, cell, centre, norm)
        target = position_in(part, np.array(cell.about["point"]))
        connect(figure, left, target, lens)
    key(figure, (0.03, 0.19, 0.21, 0.022), norm)
    return figure


def connect(figure: Figure, part: Axes, target: FloatArray, lens: Axes) -> None:
    """The two tangents from a point of the part to its lens."""
    part.plot(*target, marker="o", markersize=4.5, markerfacecolor="white", markeredgecolor=INK, zorder=5)
    seen = lens.transData.inverted().transform(part.transData.transform(target))
    distance = float(np.linalg.norm(seen))
    towards, opening = np.arctan2(seen[1], seen[0]), np.arccos(min(LENS / distance, 1.0))
    for angle in (towards - opening, towards + opening):
        rim = (LENS * np.cos(angle), LENS * np.sin(angle))
        ends = {"coordsA": "data", "coordsB": "data", "axesA": part, "axesB": lens}
        line = ConnectionPatch(tuple(target), rim, **ends, color=INK, linewidth=0.8, alpha=0.8)
        figure.add_artist(line)


def main() -> None:
    """Draw RUN_DIR into FILE.png."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("picture", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    pixels = io.BytesIO()
    with figure_style():
        draw(arguments.run).savefig(pixels, dpi=140)
    Image.open(pixels).convert("RGB").quantize(256).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
