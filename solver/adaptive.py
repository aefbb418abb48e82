"""`type: adaptive`: from a case to a router between cells and a surrogate, with what learns during the run."""

import logging
from pathlib import Path
from typing import Any

from mpi4py import MPI

from materials.learning import Learning
from materials.router import Router
from rve.cell import Cell
from rve.equilibrium import NewtonSettings
from rve.material import RveMaterial
from solver.case.case import Case
from solver.case.materials import AdaptiveMaterialSection
from solver.results.run_directory import learned
from solver.surrogate_training import check_dataset, check_recipe, read_dataset
from surrogates.audit import chosen
from surrogates.experience import Experience
from surrogates.families import FAMILIES
from surrogates.judged import JudgedSurrogate
from surrogates.learner import Learner
from surrogates.retraining import LearnerSettings
from surrogates.store import Model

log = logging.getLogger(__name__)


def build_router(
    case: Case, name: str, cell: Cell, model: Model | None, comm: MPI.Comm, directory: Path | None
) -> Router:
    """The router of the material `name`. Collective.

    Args:
        case: the case.
        name: of a material with `type: adaptive`.
        cell: its cell.
        model: the model to start from, if any.
        comm: the ranks of the run.
        directory: the run directory, for what is learned; None: nothing is kept.

    Raises:
        BadInput: on all ranks: the recipe does not suit the cell, or the model cannot say where it is to be trusted.
    """
    section: Any = case.materials[name]
    check_recipe(case, section.surrogate)
    if directory is not None:
        _check_apart(case, name, directory)
    settings = learner_settings(case, section)
    known = Experience(case.measure, cell.state_size > 0)
    if section.data is not None:
        path = case.file_path(section.data)
        dataset = read_dataset(path)
        check_dataset(case, section.surrogate, dataset, path)
        known.seed_from(dataset)
    if model is not None:
        problem = _untrusted(model, settings)
        if problem:
            raise case.bad_input(("materials", name, "model"), problem)
    learner = None
    if comm.rank == 0:
        folder, samples = (None, None) if directory is None else learned(directory, name)
        learner = Learner(settings, known, folder, model, samples)
    audit, remembers = section.audit, cell.state_size > 0
    learning = Learning(
        comm,
        learner,
        lambda model: JudgedSurrogate(model, name),
        lambda ids, step: chosen(ids, None if remembers else step, audit.fraction, audit.seed),
    )
    cell_settings = NewtonSettings(case.solver.cell.tolerance, case.solver.cell.max_iterations)
    return Router(
        lambda: RveMaterial(cell, cell_settings),
        learning,
        symmetric=bool(getattr(settings.family, "symmetric", False)),
        learns=section.retrain.every > 0,
        by_clock=not section.retrain.deterministic,
        watch=section.mode == "iterate",
    )


def _check_apart(case: Case, name: str, directory: Path) -> None:
    """A run does not start from what it is about to replace."""
    section: Any = case.materials[name]
    own = tuple(place.resolve() for place in learned(directory, name))
    for key in ("model", "data"):
        path = getattr(section, key)
        if path is not None and any(case.file_path(path).resolve().is_relative_to(place) for place in own):
            text = f"{path} is what an earlier run learned in {directory}, and would be replaced; choose another --out"
            raise case.bad_input(("materials", name, key), text)


def _untrusted(model: Model, settings: LearnerSettings) -> str:
    """Why a model cannot say where it is to be trusted as the settings ask, in words; empty if it can."""
    trust, calibration = model.trust, model.calibration
    if trust is None or calibration is None:
        return "the model has no calibrated trust; train it again"
    if (trust.name, calibration.tolerance, calibration.confidence) != (
        settings.trust,
        settings.tolerance,
        settings.confidence,
    ):
        found = f"by {trust.name}, tolerance {calibration.tolerance:g}, confidence {calibration.confidence:g}"
        return f"the trust of the model was calibrated otherwise ({found}); set `trust` to that"
    return ""


def learner_settings(case: Case, section: AdaptiveMaterialSection) -> LearnerSettings:
    """How a run learns one of its materials."""
    recipe, trust, retrain = case.surrogates[section.surrogate], section.trust, section.retrain
    return LearnerSettings(
        family=FAMILIES[recipe.family],
        options=recipe.network_options(),
        training=recipe.training_settings(),
        ensemble=recipe.ensemble,
        trust=trust.measure,
        tolerance=trust.tolerance,
        confidence=trust.confidence,
        every=max(retrain.every, 1),
        samples=retrain.samples,
        explored=retrain.explore,
        reach=retrain.reach,
        seed=recipe.sampling.seed,
    )
