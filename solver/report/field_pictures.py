"""Pictures of fields on deformed meshes, in 2D with axes and in 3D with light."""

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.measures import FloatArray
from solver.report.patches import Patches, boundary_loops, lattice, patches_of
from solver.report.rasterizer import rasterize
from solver.report.run_data import Snapshot
from solver.report.style import INK, MUTED, PHASES

SUPERSAMPLING = 3


class Field(NamedTuple):
    """What to colour a mesh by."""

    label: str
    values: FloatArray
    """At the nodes or on the cells."""
    nodal: bool
    colour_map: str
    categories: tuple[str, ...] = ()
    """Names of the values 0, 1, … when they are not a quantity."""


def deformation_scale(snapshot: Snapshot, finite: bool) -> float:
    """Factor to draw displacements with: 1 at finite strain, else what makes them visible, as 1, 2 or 5 · 10ⁿ."""
    displacement = snapshot.nodal.get("displacement")
    if displacement is None or finite:
        return 1.0
    largest = float(np.linalg.norm(displacement, axis=1).max(initial=0.0))
    size = float(np.linalg.norm(np.ptp(snapshot.points, axis=0)))
    if largest <= 0.0 or largest > 0.05 * size:
        return 1.0
    wanted = 0.08 * size / largest
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(max(step * power for step in (1, 2, 5) if step * power <= wanted))


def draw_field(snapshot: Snapshot, field: Field, scale: float, *, opened: bool = False) -> Figure:
    """The mesh, displaced by `scale` times its displacement and coloured by `field`, with a colour bar.

    `opened` cuts away the octant of a body in 3D that faces the viewer.
    """
    displacement = snapshot.nodal.get("displacement", np.zeros_like(snapshot.points))
    positions = snapshot.points + scale * displacement
    cells, values = snapshot.cells, field.values
    if snapshot.dimension == 3 and opened:
        kept = _without_front_octant(snapshot.points, cells)
        cells, values = cells[kept], values if field.nodal else values[kept]
    patches = patches_of(cells, snapshot.element, snapshot.degree)
    extent = np.ptp(positions, axis=0)
    if snapshot.dimension == 3:
        figure = Figure(figsize=(6.2, 4.6))
        axes = figure.add_subplot()
        aspect = _draw_in_space(axes, patches, positions, field._replace(values=values))
        figure.set_size_inches(6.2, max(2.6, 0.5 + 5.0 * aspect))
    else:
        aspect = np.clip(extent[1] / max(extent[0], 1e-300), 0.25, 1.3)
        figure = Figure(figsize=(5.6, 1.1 + 4.2 * float(aspect)))
        axes = figure.add_subplot()
        _draw_in_plane(axes, patches, snapshot.points, positions, field._replace(values=values))
    _add_key(figure, axes, field._replace(values=values))
    return figure


def _draw_in_plane(axes: Axes, patches: Patches, undeformed: FloatArray, positions: FloatArray, field: Field) -> None:
    """Colours, element edges, and the outline of the undeformed mesh where it differs."""
    curved = patches.degree == 2 or field.nodal
    grid = lattice(patches.shape, patches.degree, 4 if curved else 1)
    sampled = np.einsum("pk,nkd->npd", grid.table, positions[patches.nodes])[..., :2]
    norm, colours = _colours(field)
    outlines = sampled[:, grid.outline]
    if field.nodal:
        values = field.values[patches.nodes] @ grid.table.T
        offsets = np.arange(len(patches.nodes))[:, None, None] * sampled.shape[1]
        triangles = (grid.triangles[None] + offsets).reshape(-1, 3)
        x, y = sampled.reshape(-1, 2).T
        axes.tripcolor(x, y, triangles, values.ravel(), shading="gouraud", norm=norm, cmap=colours, rasterized=True)
    else:
        filled = PolyCollection(list(outlines), array=field.values[patches.cell], norm=norm, cmap=colours)
        filled.set_linewidth(0.2)
        filled.set_edgecolor("face")
        axes.add_collection(filled)
    width = float(np.clip(12.0 / np.sqrt(max(len(patches.nodes), 1)), 0.15, 0.6))
    axes.add_collection(LineCollection(list(outlines), colors=INK, linewidths=width, alpha=0.45))
    moved = float(np.abs(positions - undeformed).max(initial=0.0))
    if moved > 1e-3 * float(np.ptp(undeformed, axis=0).max()):
        loops = undeformed[boundary_loops(patches)][..., :2]
        axes.add_collection(LineCollection(list(loops), colors=MUTED, linewidths=0.9, linestyles=(0, (4, 2))))
    both = np.concatenate([positions, undeformed])[:, :2]
    lower, upper = both.min(axis=0), both.max(axis=0)
    margin = 0.04 * float((upper - lower).max())
    axes.set_xlim(lower[0] - margin, upper[0] + margin)
    axes.set_ylim(lower[1] - margin, upper[1] + margin)
    axes.set_aspect("equal")
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.grid(visible=False)


def _draw_in_space(axes: Axes, patches: Patches, positions: FloatArray, field: Field) -> float:
    """Parallel projection, seen from the front, right and above, with z upwards; returns height over width."""
    grid = lattice(patches.shape, patches.degree, 4 if patches.degree == 2 or field.nodal else 2)
    sampled = np.einsum("pk,nkd->npd", grid.table, positions[patches.nodes])
    if field.nodal:
        values = field.values[patches.nodes] @ grid.table.T
    else:
        values = np.repeat(field.values[patches.cell][:, None], sampled.shape[1], axis=1)
    view = _view()
    projected = sampled @ view.T
    lower, upper = projected.min(axis=(0, 1)), projected.max(axis=(0, 1))
    columns, rows = 1000 * SUPERSAMPLING, 680 * SUPERSAMPLING
    zoom = 0.92 * min(columns / max(upper[0] - lower[0], 1e-300), rows / max(upper[1] - lower[1], 1e-300))
    pixels = (projected - 0.5 * (lower + upper)) * zoom
    pixels[..., 0] += columns / 2
    pixels[..., 1] = rows / 2 - pixels[..., 1]
    triangles = np.ascontiguousarray(pixels[:, grid.triangles].reshape(-1, 3, 3))
    corner_values = np.ascontiguousarray(values[:, grid.triangles].reshape(-1, 3))
    outline = pixels[:, grid.outline]
    segments = np.ascontiguousarray(np.stack([outline[:, :-1], outline[:, 1:]], axis=2).reshape(-1, 2, 3))
    raster = rasterize(triangles, corner_values, segments, (rows, columns), SUPERSAMPLING)

    norm, colours = _colours(field)
    seen = np.isfinite(raster.value)
    picture = np.ones((rows, columns, 3))
    picture[seen] = colours(norm(raster.value[seen]))[:, :3] * (0.6 + 0.4 * raster.shade[seen, None])
    picture[raster.edge] = 0.5 * picture[raster.edge] + 0.5 * np.array(mpl.colors.to_rgb(INK))
    blocks = (rows // SUPERSAMPLING, SUPERSAMPLING, columns // SUPERSAMPLING, SUPERSAMPLING)
    image = picture.reshape(*blocks, 3).mean(axis=(1, 3))
    used = np.flatnonzero(seen.reshape(blocks).any(axis=(1, 2, 3)))
    image = image[max(used[0] - 20, 0) : used[-1] + 20]
    axes.imshow(image, interpolation="antialiased")
    axes.set_axis_off()
    _draw_triad(axes, view)
    return float(image.shape[0] / image.shape[1])


def _view() -> FloatArray:
    """Rows: screen right, screen up, depth away from the viewer."""
    azimuth, elevation = np.deg2rad(-62.0), np.deg2rad(24.0)
    towards = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), -towards])


def _draw_triad(axes: Axes, view: FloatArray) -> None:
    corner = axes.inset_axes((0.0, 0.0, 0.18, 0.26))
    for axis, name in enumerate("xyz"):
        x, y = view[0, axis], view[1, axis]
        corner.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": MUTED, "lw": 1.0})
        corner.text(1.3 * x, 1.3 * y, name, ha="center", va="center", color=MUTED, fontsize=8)
    corner.set_xlim(-1.5, 1.5)
    corner.set_ylim(-1.5, 1.5)
    corner.set_aspect("equal")
    corner.set_axis_off()


def _without_front_octant(points: FloatArray, cells: IntArray) -> NDArray[np.bool_]:
    """Cells to keep so that one looks into the body: all but those in the octant that faces the viewer."""
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    middle = points[cells].mean(axis=1)
    return ~((middle[:, 0] > centre[0]) & (middle[:, 1] < centre[1]) & (middle[:, 2] > centre[2]))


def _colours(field: Field) -> tuple[Normalize, Colormap]:
    if field.categories:
        n = len(field.categories)
        return Normalize(-0.5, n - 0.5), ListedColormap([PHASES[i % len(PHASES)] for i in range(n)])
    finite = field.values[np.isfinite(field.values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # a uniform field is one colour, not round-off
        margin = 0.5 * max(abs(low), abs(high), 1e-300)
        low, high = low - margin, high + margin
    return Normalize(low, high), mpl.colormaps[field.colour_map]


def _add_key(figure: Figure, axes: Axes, field: Field) -> None:
    norm, colours = _colours(field)
    if field.categories:
        handles = [Patch(color=PHASES[i % len(PHASES)], label=name) for i, name in enumerate(field.categories)]
        figure.legend(handles=handles, loc="outside right upper")
        return
    short = ScalarFormatter(useMathText=True)
    short.set_powerlimits((-3, 4))
    mappable = mpl.cm.ScalarMappable(norm, colours)
    bar = figure.colorbar(mappable, ax=axes, shrink=0.8, pad=0.02, aspect=28, ticks=MaxNLocator(6), format=short)
    bar.ax.spines["outline"].set_visible(False)
    bar.set_label(field.label)
