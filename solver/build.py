"""From a case to a run: the only module that turns names in a case file into objects, and so knows every type."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from materials.interface import Material
from materials.law_material import LawMaterial
from meshes.errors import MeshError
from meshes.macro import MacroMesh, build_macro_mesh
from solver.adaptive import build_router
from solver.case.boundary_conditions import BoundaryCondition
from solver.case.case import Case
from solver.case.closest import unknown
from solver.case.expression import Expression
from solver.case.foreign_networks import declaration
from solver.case.resolved import resolved
from solver.cells import AnyCell, build_any_cell, exact_material
from solver.driver import Driver
from solver.increments import Stepping
from solver.loading import LoadFactor
from solver.macro_problem import MacroProblem
from solver.newton_settings import NewtonSettings
from surrogates.family import ModelError
from surrogates.material import SurrogateMaterial
from surrogates.onnx_reading import read_foreign
from surrogates.store import Model, read_model

log = logging.getLogger(__name__)


def build(case: Case, comm: MPI.Comm, directory: Path | None = None) -> Driver:
    """Everything that a case needs to run: mesh, materials, supports and loads, solvers. Collective.

    Args:
        case: the case.
        comm: the ranks.
        directory: the run directory, for materials that learn; None: what they learn is not kept.

    Raises:
        BadInput: on all ranks, for what only the mesh can tell: a name that it does not have, a mesh or a cell that
            cannot be made, a body that is not held.
    """
    problem = build_problem(case, comm, directory)
    settings, load = case.solver.macro, case.load
    newton = NewtonSettings(
        residual_tolerance=settings.residual_tolerance,
        correction_tolerance=settings.correction_tolerance,
        max_iterations=settings.max_iterations,
        line_search=settings.line_search,
    )
    stepping = Stepping(load.end, load.steps, load.min_step, load.max_step)
    try:
        return Driver(
            problem,
            LoadFactor(load.factor_table),
            stepping,
            newton,
            case.solver.linear_solver,
            case.solver.petsc_options,
        )
    except ValueError as error:
        raise case.bad_input(("solver", "petsc_options"), str(error)) from None


def build_problem(case: Case, comm: MPI.Comm, directory: Path | None = None) -> MacroProblem:
    """The macro problem of a case, with its materials, supports and loads. Collective; raises like `build`."""
    macro = build_mesh(case, comm)
    check_names(case, macro)
    element = macro.mesh.topology.cell_name()
    used = dict.fromkeys(case.regions.values())
    cells = {name: build_cell_of(case, name, comm) for name in _cells_of(case, used)}
    with_model = [name for name in used if _source_of(case.materials[name]) is not None]
    models = {name: load_model_of(case, name, comm) for name in with_model}
    try:
        problem = MacroProblem(
            macro,
            case.measure,
            case.mesh.degree,
            {name: _material(case, name, cells, models, comm, directory) for name in used},
            case.regions,
            case.mesh.quadrature_degree,
            case.macro_formulation(element) == "bbar",
        )
    except ValueError as error:
        raise case.bad_input(("regions",), str(error)) from None
    for index, condition in enumerate(case.boundary_conditions):
        try:
            _apply(problem, condition)
        except ValueError as error:
            raise case.bad_input(("boundary_conditions", index), str(error)) from None
    _check_supports(case, problem)
    overlaps = comm.allreduce(problem.prescribed.overlaps)
    if overlaps and comm.rank == 0:
        log.warning("%d unknowns where boundaries meet are prescribed twice: the later condition holds", overlaps)
    return problem


def build_mesh(case: Case, comm: MPI.Comm) -> MacroMesh:
    """The macroscale mesh of a case. Collective."""
    section: Any = case.mesh
    try:
        if hasattr(section, "file"):
            return build_macro_mesh(comm, case.file_path(section.file), section.element)
        return build_macro_mesh(comm, section.build_generator(), section.element)
    except MeshError as error:
        raise case.bad_input(("mesh",), str(error)) from None


def build_cell_of(case: Case, name: str, comm: MPI.Comm) -> AnyCell:
    """The cell `name` of a case, the same on every rank. Collective."""
    return build_any_cell(case, ("rves", name), case.rves[name], comm)


def load_model_of(case: Case, material: str, comm: MPI.Comm) -> Model:
    """The trained model of a material, the same on every rank. Collective.

    Raises:
        BadInput: on all ranks: the model is damaged, or not for the physics or the dimension of the case; an ONNX file
            cannot be used as it is declared.
    """
    section: Any = case.materials[material]
    model, problem = None, ""
    onnx = getattr(section, "onnx", None)
    if comm.rank == 0 and onnx is not None:
        try:
            model = read_foreign(case.file_path(onnx), case.measure, declaration(section))
        except ModelError as error:
            problem = str(error)
    elif comm.rank == 0:
        folder = case.file_path(section.model)
        try:
            model = read_model(folder)
        except ModelError as error:
            remedy = "" if folder.exists() else "; `fe2 train` makes one, paths are relative to the case file"
            problem = f"{error}{remedy}"
    model, problem = comm.bcast((model, problem))
    if model is not None and model.measure != case.measure:
        found, wanted = (
            f"{measure.physics} in dimension {measure.dimension}" for measure in (model.measure, case.measure)
        )
        problem = f"the model is for {found}, the case is {wanted}; train one for it"
    if model is None or problem:
        raise case.bad_input(("materials", material, "model" if onnx is None else "onnx"), problem)
    _check_descriptors(case, material, model)
    return model


def _source_of(section: Any) -> str | None:
    """The model folder, or the ONNX file, of a material."""
    source: str | None = getattr(section, "model", None) or getattr(section, "onnx", None)
    return source


def _check_descriptors(case: Case, material: str, model: Model) -> None:
    """The case says of which microstructure a model answers where it can do so for several."""
    section: Any = case.materials[material]
    given: Mapping[str, Any] = getattr(section, "descriptors", {})
    wanted, path = model.family.descriptors, ("materials", material, "descriptors")
    for name in given:
        if name not in wanted:
            text = unknown("descriptor", name, wanted) if wanted else "the model is for one microstructure"
            raise case.bad_input((*path, name), f"{text}; remove the key" if not wanted else text)
    missing = [name for name in wanted if name not in given]
    if missing:
        text = f"the model is for many microstructures, add {', '.join(f'{name}: …' for name in missing)}"
        raise case.bad_input(path, text)


def _cells_of(case: Case, materials: Iterable[str]) -> list[str]:
    """Names of the cells behind some materials, each once."""
    names = (getattr(case.materials[material], "rve", None) for material in materials)
    return list(dict.fromkeys(name for name in names if name is not None))


def _material(
    case: Case, name: str, cells: dict[str, AnyCell], models: dict[str, Model], comm: MPI.Comm, directory: Path | None
) -> Material:
    """The material of a case by its name."""
    section: Any = case.materials[name]
    if section.type == "law":
        return LawMaterial(section.build(), case.measure)
    if section.type == "rve":
        monolithic = case.solver.scheme == "monolithic"
        return exact_material(cells[section.rve], case.rves[section.rve], case.solver.cell.settings(), monolithic)
    if section.type == "surrogate":
        fields = {descriptor: Expression(source) for descriptor, source in section.descriptors.items()}
        foreign = _of_another_cell(case, models[name])
        if foreign and comm.rank == 0:
            log.warning("%s: the model was trained for another cell than the case has under rves", name)
        return SurrogateMaterial(models[name], name, fields, of_another_cell=foreign)
    return build_router(case, name, cells[section.rve], models.get(name), comm, directory)


def _of_another_cell(case: Case, model: Model) -> bool:
    """Whether the case has cells, and the model was trained for none of them."""
    cell = (model.information.get("data") or {}).get("cell")
    return cell is not None and bool(case.rves) and cell not in resolved(case)["rves"].values()


def _apply(problem: MacroProblem, condition: BoundaryCondition) -> None:
    """Apply one condition of the case."""
    value: Any = condition.value
    values = value if isinstance(value, tuple) else (value,)
    if condition.kind == "body_force":
        problem.load_body(values, condition.constant)
    elif condition.kind in ("displacement", "temperature"):
        problem.prescribe(str(condition.boundary), values, condition.constant)
    else:
        problem.load_boundary(str(condition.boundary), values, condition.constant)


def check_names(case: Case, macro: MacroMesh) -> None:
    """Every region and boundary that the case names is in the mesh."""
    regions, boundaries = ", ".join(macro.regions) or "none", ", ".join(macro.boundaries) or "none"
    for name in case.regions:
        if name != "all" and name not in macro.regions:
            raise case.bad_input(("regions", name), f"no such region, the mesh has {regions}; or use all")
    for index, condition in enumerate(case.boundary_conditions):
        if condition.boundary is not None and condition.boundary not in macro.boundaries:
            text = f"no boundary '{condition.boundary}', the mesh has {boundaries}"
            raise case.bad_input(("boundary_conditions", index, "boundary"), text)
    for index, name in enumerate(case.output.reactions):
        if name not in macro.boundaries:
            text = f"no boundary '{name}', the mesh has {boundaries}"
            raise case.bad_input(("output", "reactions", index), text)


def _check_supports(case: Case, problem: MacroProblem) -> None:
    """The body cannot move, or change its temperature, as a whole."""
    held = problem.prescribed.fixed[: problem.n_owned].reshape(-1, problem.block_size).any(axis=0)
    anywhere = np.empty_like(held)
    problem.comm.Allreduce(held, anywhere, MPI.LOR)
    if anywhere.all():
        return
    if problem.block_size == 1:
        text = "no boundary has a temperature, so it is not determined: add one {boundary: …, temperature: …}"
    else:
        axis = "xyz"[int(np.argmin(anywhere))]
        text = f"nothing holds the body in {axis}: add {{boundary: …, displacement: […]}} with a number for {axis}"
    raise case.bad_input(("boundary_conditions",), text)
