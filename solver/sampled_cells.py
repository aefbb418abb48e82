"""The cells that a recipe is sampled on: the one it names, or several that differ in its descriptors."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from materials.measures import FloatArray, Physics
from solver.build import build_cell_of
from solver.case.case import Case
from solver.case.surrogates import SurrogateRecipe
from solver.cells import AnyCell
from solver.fingerprints import cell_hash
from surrogates.microstructures import cell_of_path, draw_cells
from surrogates.paths import draw_path


@dataclass(frozen=True)
class SampledCells:
    """Cells, and the paths that each of them is solved on."""

    case: Case
    recipe: SurrogateRecipe
    cells: tuple[AnyCell, ...]
    parameters: FloatArray
    """Values of the recipe's descriptors in each cell, (cells, k)."""
    hash: str
    """SHA-256 of all cells; see `cell_hash`."""

    def cell_of(self, path: int) -> int:
        """Number of the cell that a path is solved on."""
        return cell_of_path(path, len(self.cells), self.recipe.sampling.seed) if len(self.cells) > 1 else 0

    def path(self, number: int) -> FloatArray:
        """Gradients of a path, (steps, g)."""
        section, kinds = self.recipe.sampling, path_kinds(self.case, self.recipe)
        kind = kinds[number % len(kinds)]
        return draw_path(self.case.measure, kind, section.steps, section.range, section.seed, number)

    @property
    def descriptors(self) -> dict[str, float]:
        """Numbers that describe the cell where there is one; empty where there are several."""
        return dict(self.cells[0].descriptors) if len(self.cells) == 1 else {}

    @property
    def path_descriptors(self) -> dict[str, FloatArray]:
        """Where there are several cells, what describes that of each path, (paths,) by name: drawn, and measured."""
        if len(self.cells) == 1:
            return {}
        drawn = self.recipe.sampling.descriptors
        known = [
            {**{name: float(self.parameters[i, j]) for j, name in enumerate(drawn)}, **cell.descriptors}
            for i, cell in enumerate(self.cells)
        ]
        cells = [self.cell_of(number) for number in range(self.recipe.sampling.paths)]
        return {
            name: np.array([known[cell][name] for cell in cells])
            for name in known[0]
            if all(name in one for one in known)
        }


def build_cells(case: Case, recipe: SurrogateRecipe, comm: MPI.Comm) -> SampledCells:
    """Draw and mesh the cells of a recipe, the same on every rank. Collective.

    Raises:
        BadInput: on all ranks: one cannot be made.
    """
    section = recipe.sampling
    if not section.descriptors:
        cell = build_cell_of(case, recipe.rve, comm)
        return SampledCells(case, recipe, (cell,), np.zeros((1, 0)), cell_hash(case, recipe.rve, cell))
    parameters = draw_cells(tuple(section.descriptors.values()), section.cells, section.seed)
    cells, digest = [], hashlib.sha256()
    for values in parameters:
        variant = _with(case, recipe.rve, dict(zip(section.descriptors, values.tolist(), strict=True)))
        cells.append(build_cell_of(variant, recipe.rve, comm))
        digest.update(cell_hash(variant, recipe.rve, cells[-1]).encode())
    return SampledCells(case, recipe, tuple(cells), parameters, digest.hexdigest())


def path_kinds(case: Case, recipe: SurrogateRecipe) -> tuple[str, ...]:
    """Kinds of paths, dealt in turn: that of the recipe, or what suits the physics and the laws of the cell.

    Space-filling at finite strain and proportional otherwise; a cell that remembers gets random walks and cycles too.
    """
    if recipe.sampling.kind is not None:
        return (recipe.sampling.kind,)
    first = "space_filling" if case.physics is Physics.FINITE_STRAIN else "proportional"
    remembers = any(law.state_size > 0 for law in case.rves[recipe.rve].laws.values())
    return (first, "random_walk", "cyclic") if remembers else (first,)


def _with(case: Case, rve: str, parameters: Mapping[str, float]) -> Case:
    """The case with other parameters of the geometry of a cell."""
    return case.model_copy(update={"rves": case.rves | {rve: case.rves[rve].varied(parameters)}})
