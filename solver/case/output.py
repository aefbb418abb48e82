"""`output`: fields, probes, reactions, localised cells, restart points."""

from typing import Annotated

from pydantic import Field

from solver.case.section import Count, Section, Vector

ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w\-]*$", max_length=60)]
"""Name of columns in probes.csv and reactions.csv."""


class Probe(Section):
    """A point whose field value is recorded at every accepted increment."""

    name: ColumnName
    """Name of its columns in probes.csv."""
    point: Vector
    """Coordinates in the reference configuration; must lie in the mesh."""
    field: str | None = None
    """The unknown, which is the default, or a field of the integration points, taken from the nearest one."""


class LocalizedPoint(Section):
    """A macroscopic point whose cell's micro-fields are written."""

    point: Vector
    """Coordinates; the nearest integration point is taken."""
    every: Count | None = None
    """Accepted increments between two writes; the last one is always written. By default as `every` of the output."""
    steps: tuple[Count, ...] = ()
    """Numbers of the accepted increments to write and draw, instead of `every`."""


class OutputSection(Section):
    """What a run writes besides history.csv."""

    fields: tuple[str, ...] | None = None
    """Fields for ParaView; by default the unknown, its gradient, the flux and, in mechanics, stress and von_mises."""
    every: Count = 1
    """Accepted increments between two writes of the fields; the last one is always written."""
    probes: tuple[Probe, ...] = ()
    """Points whose values are recorded in probes.csv."""
    reactions: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Boundaries whose total reaction is recorded."""
    localize: tuple[LocalizedPoint, ...] = ()
    """Points whose cells are written to localization/."""
    checkpoint_every: Annotated[int, Field(ge=0)] | None = None
    """Accepted increments between two restart points; 0 writes one at the end or when interrupted only. By default
    after every increment, unless writing would take more than a twentieth of the wall time."""
