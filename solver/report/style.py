"""How every figure of a report looks, and how it gets into the page."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

INK = "#1f2933"
MUTED = "#7b8794"
RULE = "#d9e2ec"
CYCLE = ("#2b5c8a", "#c8553d", "#3a7d44", "#d9a441", "#6c5b7b", "#4f9da6")
PHASES = ("#cfd8e3", "#2b5c8a", "#c8553d", "#d9a441", "#3a7d44", "#6c5b7b")
PARTS = {
    "micro": "#2b5c8a",
    "macro": "#7fa6c9",
    "surrogate": "#3a7d44",
    "train": "#d9a441",
    "build": "#9aa5b1",
    "output": "#cbd2d9",
    "other": "#e4e7eb",
}
COLOUR_MAPS = {
    "displacement": "viridis",
    "temperature": "inferno",
    "flux": "magma",
    "state": "viridis",
    "trust": "cividis",
}

_SETTINGS: dict[str, Any] = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=CYCLE),
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.fonttype": "path",
    "figure.constrained_layout.use": True,
}


class Picture(NamedTuple):
    """An image of the page."""

    source: str
    """Address with the content in it."""
    caption: str


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw figures in the style of the report."""
    with mpl.rc_context(_SETTINGS):
        yield


def vector_image(figure: Figure) -> str:
    """A figure as the address of an embedded SVG, for curves."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode()


def pixel_image(figure: Figure, dpi: int = 170) -> str:
    """A figure as the address of an embedded PNG, for fields."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
