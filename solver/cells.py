"""The cells of a case and the materials that solve them, by finite elements or by Fourier's transform."""

from typing import Any, get_args

import numpy as np
from mpi4py import MPI

from meshes.cells import CellMesh, build_cell_mesh, build_voxel_grid, morphology
from meshes.cells.morphology import two_point_probability
from meshes.errors import MeshError
from rve.cell import Cell, build_cell
from rve.cell_material import CellMaterial
from rve.factorization import is_available
from rve.material import RveMaterial
from rve.newton_settings import DirectSolver, NewtonSettings
from rve.spectral.cell import SpectralCell, build_spectral_cell
from rve.spectral.grid import Integration
from solver.case.case import Case, cell_formulation
from solver.case.cell_case import CellCase
from solver.case.errors import KeyPath
from solver.case.rves import DEFAULT_INTEGRATION, RveSection

AnyCell = Cell | SpectralCell


def build_any_cell(case: Case | CellCase, path: KeyPath, section: RveSection, comm: MPI.Comm) -> AnyCell:
    """The cell of a section, which the case has at `path`; the same on every rank. Collective.

    Raises:
        BadInput: on all ranks: it cannot be made, or there is no device or library to solve it with.
    """
    laws = section.laws
    generator: Any = section.geometry.build_generator(case.source.parent)
    try:
        if section.method == "fft":
            _check_device(case, path, section)
            names, grid = build_voxel_grid(generator, case.dimension, tuple(laws), comm)
            ordered = {name: laws[name] for name in names}
            size = tuple(float(length) for length in grid.size)
            integration = Integration(section.integration or DEFAULT_INTEGRATION)
            return build_spectral_cell(grid.labels, ordered, case.measure, size, integration)
        _check_direct_solver(case)
        mesh = build_cell_mesh(generator, case.dimension, section.element, tuple(laws), comm)
        bbar = cell_formulation(section, case.physics) == "bbar"
        return build_cell(mesh, laws, case.measure, section.degree, section.boundary, bbar, section.quadrature_degree)
    except MeshError as error:
        raise case.bad_input((*path, "geometry"), str(error)) from None
    except ValueError as error:
        raise case.bad_input(path, str(error)) from None


def exact_material(
    cell: AnyCell, section: RveSection, settings: NewtonSettings, monolithic: bool = False
) -> CellMaterial:
    """The material that solves a cell at every point; only finite elements can be `monolithic`."""
    if isinstance(cell, SpectralCell):
        from rve.spectral.material import SpectralMaterial  # torch is optional, and slow to import

        return SpectralMaterial(cell, settings, section.device)
    return RveMaterial(cell, settings, monolithic)


def descriptors(cell: AnyCell) -> dict[str, Any]:
    """Numbers and curves that describe a cell; the distances between pieces of a phase need a mesh."""
    if isinstance(cell, Cell):
        return dict(cell.mesh.descriptors) | morphology(cell.mesh)
    curves = {
        name: two_point_probability(cell.labels == number, np.array(cell.grid.size))
        for number, name in enumerate(cell.phase_names)
    }
    return {**cell.descriptors, "two_point_probability": curves}


def mesh_of(cell: AnyCell, case: CellCase) -> CellMesh:
    """The mesh of a cell, made for a picture where the cell needs none."""
    if isinstance(cell, Cell):
        return cell.mesh
    generator = case.rve.geometry.build_generator(case.source.parent)
    return build_cell_mesh(generator, case.dimension, case.rve.element, tuple(case.rve.laws))


def _check_direct_solver(case: Case | CellCase) -> None:
    """PETSc has the library that the case asks for."""
    wanted = case.solver.cell.direct_solver
    if not is_available(wanted):
        there = [name for name in get_args(DirectSolver) if is_available(name)]
        text = f"PETSc has been built without {wanted} on this machine; it has {', '.join(there)}"
        raise case.bad_input(("solver", "cell", "direct_solver"), text)


def _check_device(case: Case | CellCase, path: KeyPath, section: RveSection) -> None:
    """There is torch, and the device that the case asks for."""
    try:
        import torch

        import rve.spectral.material  # noqa: F401 - its kernels are compiled with all others, once per node
    except ModuleNotFoundError:
        text = "fft needs torch, which is not installed: pip install 'fe2[surrogates]', or use method fem"
        raise case.bad_input((*path, "method"), text) from None
    if section.device == "cuda" and not torch.cuda.is_available():
        raise case.bad_input((*path, "device"), "torch finds no CUDA device on this machine; use cpu")
