"""`type: adaptive`: from a case to a router between cells and a surrogate, with what learns during the run."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from materials.interface import Status
from materials.learning import Learning
from materials.measures import FloatArray
from materials.router import Router
from materials.watching_router import WatchingRouter
from rve.cell_material import CellMaterial
from solver.case.case import Case
from solver.case.materials import AdaptiveMaterialSection
from solver.cells import AnyCell, exact_material
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
    case: Case, name: str, cell: AnyCell, model: Model | None, comm: MPI.Comm, directory: Path | None
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
    cell_settings = case.solver.cell.settings()

    def exact(monolithic: bool = False) -> CellMaterial:
        return exact_material(cell, case.rves[section.rve], cell_settings, monolithic)

    known = Experience(case.measure, cell.state_size > 0, tangent_at_rest=_tangent_at_rest(exact()))
    if section.data is not None:
        path = case.file_path(section.data)
        dataset = read_dataset(path)
        check_dataset(case, section.surrogate, dataset, path)
        known.seed_from(dataset)
    if model is not None:
        check_trust(case, name, model)
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
    kind = WatchingRouter if section.mode == "iterate" else Router
    return kind(
        exact,
        learning,
        symmetric=bool(getattr(settings.family, "symmetric", False)),
        learns=section.retrain.every > 0,
        by_clock=not section.retrain.deterministic,
        make_iterated=lambda: exact(monolithic=case.solver.scheme == "monolithic"),
    )


def _tangent_at_rest(material: CellMaterial) -> FloatArray | None:
    """Tangent of the undeformed cell, (g, g), if it has one."""
    material.bind(np.zeros(1, dtype=np.int64))
    response = material.evaluate(material.measure.rest[None], 1.0)
    return response.tangent[0] if response.status[0] == Status.OK else None


def _check_apart(case: Case, name: str, directory: Path) -> None:
    """A run does not start from what it is about to replace."""
    section: Any = case.materials[name]
    own = tuple(place.resolve() for place in learned(directory, name))
    for key in ("model", "data"):
        path = getattr(section, key)
        if path is not None and any(case.file_path(path).resolve().is_relative_to(place) for place in own):
            text = f"{path} is what an earlier run learned in {directory}, and would be replaced; choose another --out"
            raise case.bad_input(("materials", name, key), text)


def check_trust(case: Case, name: str, model: Model) -> None:
    """The model of an adaptive material can say where it is to be trusted, as the case asks.

    Raises:
        BadInput: it cannot.
    """
    section: Any = case.materials[name]
    trust, calibration, wanted = model.trust, model.calibration, section.trust
    if trust is None or calibration is None:
        raise case.bad_input(("materials", name, "model"), "the model has no calibrated trust; train it again")
    if (trust.name, calibration.tolerance, calibration.confidence) != (
        wanted.measure,
        wanted.tolerance,
        wanted.confidence,
    ):
        found = f"by {trust.name}, tolerance {calibration.tolerance:g}, confidence {calibration.confidence:g}"
        text = f"the trust of the model was calibrated otherwise ({found}); set `trust` to that"
        raise case.bad_input(("materials", name, "model"), text)


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
