"""The plan of a run as tables on the terminal."""

from rich.console import Console
from rich.table import Table

from solver.plan import EVALUATIONS_PER_INCREMENT, Plan

WIDTH = 160
"""Columns where the output goes to a file or a pipe: nobody's window is too narrow for a name."""


def print_plan(title: str, plan: Plan, plain: bool = False) -> None:
    """Print the plan on the standard output; `plain` leaves out the control sequences of terminals."""
    console = Console(highlight=False, force_terminal=False if plain else None)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    console.print(title, markup=False, soft_wrap=True)
    sizes = Table(show_header=False, box=None)
    sizes.add_column()
    sizes.add_column(justify="right")
    sizes.add_column()
    plural = "s" if plan.ranks > 1 else ""
    fullest, solves = (
        f"on {plan.ranks} rank{plural}, the fullest",
        f"{EVALUATIONS_PER_INCREMENT} per point and increment",
    )
    if plan.learns:
        fullest, solves = f"{fullest}, with an RVE at all points", f"at most, {solves}, as if nothing were learned"
    else:
        solves = f"estimated, {solves}"
    for name, value, note in (
        ("macro elements", f"{plan.cells:,}", f"{plan.element}, degree {plan.degree}, {plan.formulation}"),
        ("macro dofs", f"{plan.dofs:,}", ""),
        ("integration points", f"{plan.points:,}", ""),
        ("increments", f"{plan.increments:,}", "nominal"),
        (
            "state memory per rank",
            memory(plan.largest_rank_bytes),
            fullest,
        ),
        (
            "RVE solves",
            f"{plan.rve_solves:,}",
            solves,
        ),
    ):
        sizes.add_row(name, value, note)
    console.print(sizes)
    materials = Table(box=None)
    for heading in ("material", "response"):
        materials.add_column(heading, no_wrap=True)
    for heading in ("points", "RVE dofs", "points per RVE", "state per point"):
        materials.add_column(heading, justify="right")
    for material in plan.materials:
        counts = ["" if count is None else f"{count:,}" for count in (material.rve_dofs, material.rve_points)]
        materials.add_row(
            material.name, material.response, f"{material.points:,}", *counts, memory(material.bytes_per_point)
        )
    console.print(materials)


def memory(size: float) -> str:
    """Bytes in words, such as `3.2 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
