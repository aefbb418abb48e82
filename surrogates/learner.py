"""What learns during a run: gathers states, decides when to train, keeps every version, goes back to any increment.

It lives on the first rank and knows nothing of ranks. What it is told must be in the order of point ids; then all that
it does is the same on any partition, bit for bit. The folder of a learner holds

    v001, v002, …   the models
    versions.json   what happened at which increment: versions, trainings, audits
    samples.h5      a dataset of all states (docs/data.md), which `fe2 train` reads and which can seed another run,
                    unless it is kept elsewhere

and is brought up to date whenever something was learned. Files other than these are replaced as a whole, so that an
interrupted run finds what belongs to its last accepted increment.
"""

import dataclasses
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from materials.interface import IntArray
from materials.measures import FloatArray, Measure
from surrogates.audit import AuditRecord, summarised
from surrogates.experience import SPLITS, Experience
from surrogates.exploration import companions, logarithmic_strain, paths_ahead, rays_ahead, rays_through
from surrogates.family import ModelError
from surrogates.normaliser import component_scale, overall_scale
from surrogates.retraining import LearnerSettings, retrain
from surrogates.store import Model, read_model, write_model
from surrogates.thinning import spread

log = logging.getLogger(__name__)

SAMPLES, VERSIONS = "samples.h5", "versions.json"
SCHEMA = "fe2-versions-1"

_HOW = {"fresh": "anew", "warm": "on"}
_RAY_STEPS = 5
_PATH_STEPS = (10, 40)
_EACH = 1_000_003
"""Sets the random streams of one increment apart from those of the next."""
_MARGIN = 1.3
"""Strains grow by up to this factor more than the load, as a rule."""
_BEYOND = 1.25
"""How far a ray goes through a state that was beyond trust, relative to that: four of its five states lead there."""
_COPIES = 5
"""Paths beside each other at most where one was beyond trust, itself included."""
_PLACES = 8
"""Places along a path that distances between paths are measured at."""
_KNOWN = 0.2
"""A ray whose end is nearer to a known state than this part of its length would teach nothing."""


class Learner:
    """Learns one material of a run; see the module.

    Args:
        settings: what to train, and when.
        experience: what is known before the first increment, often nothing.
        folder: where all of it is kept; None: nowhere.
        model: a model to begin with.
        samples: file of the dataset; by default in the folder.
    """

    def __init__(
        self,
        settings: LearnerSettings,
        experience: Experience,
        folder: Path | None = None,
        model: Model | None = None,
        samples: Path | None = None,
    ):
        self.settings = settings
        self.experience = experience
        self.folder = folder
        self._samples = samples if samples is not None or folder is None else folder / SAMPLES
        self.model: Model | None = None
        """The model in force; None: none yet."""
        self.version = 0
        """Its number."""
        self.audits = AuditRecord()
        self.versions: list[dict[str, Any]] = []
        """Of each model: version, step, start (given, fresh or warm), and what its training found."""
        self.trainings: list[dict[str, Any]] = []
        """Of each training: step, states known, version that came out, or null and why none did."""
        self.narrowings: list[dict[str, Any]] = []
        """Of each time that an audit narrowed the trust: step, version, threshold, number of trainings before."""
        self._models: dict[int, Model] = {}
        self._stored: set[int] = set()
        self._stored_states = 0
        self._explored_from = -1
        """Id of the first path that was asked for last."""
        if model is not None:
            self._take(0, model, {"start": "given"})

    @property
    def measure(self) -> Measure:
        """What is learned."""
        return self.experience.measure

    def record(
        self, step: int, dt: float, ids: IntArray, gradient: FloatArray, flux: FloatArray, tangent: FloatArray
    ) -> int:
        """Take in what the exact path answered in an accepted increment; how many states were new.

        Args:
            step: number of the increment, from 1.
            dt: its duration.
            ids: points, (n,).
            gradient: (n, g)
            flux: (n, g)
            tangent: (n, g, g)
        """
        before = len(self.experience)
        self.experience.add_states(step, dt, ids, gradient, flux, tangent)
        self._store()
        return len(self.experience) - before

    def record_paths(
        self, step: int, ids: IntArray, gradient: FloatArray, dt: FloatArray, flux: FloatArray, tangent: FloatArray
    ) -> int:
        """Take in whole paths from rest; how many states were new.

        Args:
            step: number of the accepted increment after which they became known.
            ids: points, or −1 − k for path k of the last `plan_ahead`, (p,).
            gradient: (p, s, g)
            dt: (p, s)
            flux: (p, s, g)
            tangent: (p, s, g, g)
        """
        before = len(self.experience)
        own = np.where(ids < 0, self._explored_from + 1 + ids, ids)
        self.experience.add_paths(step, own, gradient, dt, flux, tangent)
        self._store()
        return len(self.experience) - before

    def due(self, step: int) -> bool:
        """Whether to train after this increment.

        That is as soon as there are as many states as a training asks for and each split has some; then again when
        that many came in since, or any after an audit has narrowed the trust, but not before the increments between
        two trainings have gone by. Each training in a row that made no better network doubles the number.
        """
        known = len(self.experience)
        if not self.trainings:
            return known >= self.settings.samples and set(SPLITS) <= set(self.experience.split(self.experience.rows.id))
        last = self.trainings[-1]
        pressed = bool(self.narrowings) and self.narrowings[-1]["trainings"] == len(self.trainings)
        wanted = 1 if pressed else self.settings.samples * 2 ** self._kept_in_a_row()
        return step - last["step"] >= self.settings.every and known - last["states"] >= wanted

    def plan_ahead(self, step: int, gradient: FloatArray, growth: float = math.inf) -> FloatArray | None:
        """Paths (p, s, g) that the exact path should be asked for before training; None if there is nothing to ask.

        Args:
            step: number of the increment that was accepted.
            gradient: where all points of the run are, (n, g).
            growth: how many times its largest size so far the load still reaches, if that is known. What lies a good
                deal beyond is not asked for: it would only make the network worse where the run goes.
        """
        reach = min(self.settings.reach, _MARGIN * growth)
        self._explored_from = self.experience.new_id
        if not self.settings.explored:
            return None
        remembers = self.experience.remembers
        known = self.experience.rounded(gradient)
        paths = self._paths_ahead(step, reach) if remembers else self._rays_ahead(step, known, reach)
        if not len(paths):
            return None
        states = paths.shape[0] * paths.shape[1]
        log.info("cells are solved at %d states beyond those of the run", states)
        return paths

    def plan_unseen(self, step: int, paths: FloatArray) -> FloatArray:
        """What the exact path should be asked for since paths (p, s, g) were beyond trust: no more than it may be.

        That is some of them, spread over what there is of them, and others beside each. Where nothing is remembered, a
        path is one state, and what is asked for leads through it.
        """
        self._explored_from = self.experience.new_id
        paths = self.experience.rounded(paths)
        settings, places = self.settings, np.unique(np.linspace(0, paths.shape[1] - 1, _PLACES).astype(int))
        strain = logarithmic_strain(self.measure, paths[:, places].reshape(-1, self.measure.size))
        points = (strain / component_scale(strain)).reshape(len(paths), -1)
        states = len(paths)
        if not self.experience.remembers:
            paths = rays_through(self.measure, paths[:, 0], _BEYOND, _RAY_STEPS)
        most = max(settings.explored // paths.shape[1], 1) if settings.explored else len(paths)
        paths = paths[np.sort(spread(points, min(most, len(paths))))]
        asked = companions(self.measure, paths, min(most // len(paths), _COPIES), settings.seed + _EACH * step)
        log.info("cells are solved at %d states, since %d were beyond trust", asked.shape[0] * asked.shape[1], states)
        return asked

    def train(self, step: int) -> bool:
        """Train; whether another version is in force now. Waits for it: a few seconds for small networks."""
        training: dict[str, Any] = {"step": step, "states": len(self.experience), "version": None, "why": None}
        log.info("a surrogate is trained on %d states", len(self.experience))
        try:
            learned, validation, held_out = (self.experience.samples(split) for split in SPLITS)
            last = self.trainings[-1] if self.trainings else {}
            anew = last.get("start") == "warm" and last["kept"]
            splits = (learned, validation, held_out)
            found = retrain(self.measure, self.settings, self.model, *splits, self._floor(), anew)
        except ModelError as error:
            log.warning("after increment %d no surrogate could be trained: %s", step, error)
            training["why"] = str(error)
            found = None
        if found is not None:
            before = None if found.before is None else _number(found.before)
            course: dict[str, Any] = {"start": found.start, "loss_before": before, "loss": _number(found.after)}
            course |= {"kept": found.kept, "split": found.states}
            training |= course | {"seconds": round(found.seconds, 3)}
            model = found.model
            if found.kept:
                training["why"] = "no better than the network in force on states that neither was fitted to"
                model = self._as_narrow(model)
            training["version"] = self._take(step, model, course)
            log.info(
                "version %d: %s, error %.2g %%, trusted at %.0f %% of the held-out states, %.1f s",
                self.version,
                "the network in force, trusted anew" if found.kept else f"a network trained {_HOW[found.start]}",
                100.0 * math.sqrt(found.before if found.kept and found.before is not None else found.after),
                100.0 * self.versions[-1]["trusted"],
                found.seconds,
            )
        self.trainings.append(training)
        self._store()
        return training["version"] is not None

    def _floor(self) -> float | None:
        """Root mean square of ‖flux‖ over the states of points; None where there are none.

        Explored states do not count: in a plastic cell, strains that are a little off have stresses far above those
        that the run will ever see, beside which any error would be small.
        """
        rows = self.experience.rows
        flux = rows.flux[rows.id >= 0]
        return overall_scale(flux, "flux") if flux.any() else None

    def _kept_in_a_row(self) -> int:
        """Trainings since the last one that made a better network."""
        kept = [training.get("kept", False) for training in self.trainings]
        return len(kept) - max((i + 1 for i, one in enumerate(kept) if not one), default=0)

    def _as_narrow(self, model: Model) -> Model:
        """A model with the network in force, trusted no further than audits have narrowed that to."""
        if not any(entry["version"] == self.version for entry in self.narrowings):
            return model
        assert self.model is not None  # what was narrowed has a calibration
        assert self.model.calibration is not None
        assert model.calibration is not None
        return _narrowed(model, min(model.calibration.threshold, self.model.calibration.threshold))

    def audited(self, step: int, ids: IntArray, errors: FloatArray) -> bool:
        """Take in what an audit measured of the version in force; whether trust was narrowed.

        The threshold shrinks when the share of errors above the tolerance is larger than promised beyond doubt: when
        the lower end of its interval (`surrogates/audit.py`) is above 1 − confidence, over the audits since the
        version came into force, or since it was narrowed last.

        Args:
            step: number of the accepted increment.
            ids: audited points, (n,).
            errors: relative errors of their flux, (n,); NaN: no answer.
        """
        if self.model is None or not len(ids):
            return False
        self.audits.add(self.version, step, ids, errors)
        narrowed = [entry["step"] for entry in self.narrowings if entry["version"] == self.version]
        settings = self.settings
        findings = self.audits.of(self.version, after=max(narrowed, default=-1))
        told = summarised(findings, settings.tolerance, settings.confidence)
        too_many = told["exceeding_interval"][0] > 1.0 - settings.confidence
        log.info(
            "audit of version %d at %d points: largest error %.2g %%, %d beyond the tolerance",
            self.version,
            len(ids),
            100.0 * float(np.max(errors)),
            np.count_nonzero(~(errors <= settings.tolerance)),
        )
        if too_many and self.model.calibration is not None:
            threshold = self.model.calibration.threshold
            # no score is negative: what shrinks no further than 0 trusts nothing
            narrower = settings.narrowing * threshold if threshold > 0.0 else -np.inf
            entry = {"step": step, "version": self.version, "threshold": _number(narrower)}
            self.narrowings.append(entry | {"trainings": len(self.trainings), "exceeding": told["exceeding"]})
            self.model = _narrowed(self.model, narrower)
            log.warning(
                "version %d of the surrogate errs by more than %g at %.1f %% of the audited points: it is trusted less",
                self.version,
                settings.tolerance,
                100.0 * told["exceeding"],
            )
        self._store()
        return too_many

    def resume(self, step: int) -> None:
        """Go back to what was known after an increment: that of the folder where there is one, or of this object.

        Raises:
            ModelError: a model of the folder is damaged.
            DatasetError: its samples are.
        """
        if self.folder is not None and (self.folder / VERSIONS).exists():
            self._read(self.folder)
        self.experience = self.experience.truncated(step)
        self.audits = self.audits.truncated(step)
        for entries in (self.versions, self.trainings, self.narrowings):
            entries[:] = [entry for entry in entries if entry["step"] <= step]
        self.version = len(self.versions)
        self.model = self._models.get(self.version)
        for entry in self.narrowings:
            if entry["version"] == self.version and self.model is not None:
                self.model = _narrowed(self.model, -np.inf if entry["threshold"] is None else entry["threshold"])
        self._stored &= set(range(1, self.version + 1))
        self._stored_states = -1
        self._store()

    def summary(self) -> dict[str, Any]:
        """What happened, as plain JSON: each version with its audit, trainings, narrowings, states."""
        settings = self.settings
        versions = [
            entry | {"audit": summarised(self.audits.of(entry["version"]), settings.tolerance, settings.confidence)}
            for entry in self.versions
        ]
        return {
            "states": len(self.experience),
            "explored_states": int(np.count_nonzero(self.experience.rows.id < 0)),
            "trainings": len(self.trainings),
            "rolled_back": sum(entry.get("kept", True) for entry in self.trainings),
            "training_seconds": round(sum(entry.get("seconds", 0.0) for entry in self.trainings), 3),
            "narrowings": list(self.narrowings),
            "versions": versions,
        }

    def _take(self, step: int, model: Model, course: dict[str, Any]) -> int:
        """Put a model in force; its version."""
        self.version += 1
        self.model = self._models[self.version] = model
        calibration = model.calibration
        trusted = 0.0 if calibration is None else calibration.trusted
        threshold = None if calibration is None else _number(calibration.threshold)
        entry = {"version": self.version, "step": step, "trusted": trusted, "threshold": threshold}
        self.versions.append(entry | course)
        if trusted == 0.0:
            log.warning("version %d of the surrogate is trusted nowhere: more states may help", self.version)
        return self.version

    def _rays_ahead(self, step: int, gradient: FloatArray, reach: float) -> FloatArray:
        """Rays through the states of the run whose ends have no known state near them, (p, s, g)."""
        settings, count = self.settings, self.settings.explored // _RAY_STEPS
        rays = rays_ahead(self.measure, gradient, reach, count, _RAY_STEPS, settings.seed + _EACH * step)
        known = logarithmic_strain(self.measure, self.experience.rows.gradient)
        ends = logarithmic_strain(self.measure, rays[:, -1])
        if not len(known) or not len(ends):
            return rays
        distance, _ = cKDTree(known).query(ends)
        return rays[distance > _KNOWN * np.linalg.norm(ends, axis=1)]

    def _paths_ahead(self, step: int, reach: float) -> FloatArray:
        """Paths that go on from those of points, unless such have been asked for and most of their reach is left."""
        settings, rows = self.settings, self.experience.rows
        points, count = np.unique(rows.id[rows.id >= 0], return_counts=True)
        size = np.linalg.norm(logarithmic_strain(self.measure, rows.gradient), axis=1)
        reached, explored = (float(size[of].max(initial=0.0)) for of in (rows.id >= 0, rows.id < 0))
        if explored > 0.5 * (1.0 + reach) * reached:
            return np.zeros((0, 1, self.measure.size))
        longest = int(count.max(initial=0))
        observed = rows.gradient[np.isin(rows.id, points[count == longest])].reshape(-1, longest, self.measure.size)
        steps = int(np.clip(2 * longest, *_PATH_STEPS))
        asked, seed = max(settings.explored // steps, 1), settings.seed + _EACH * step
        return paths_ahead(self.measure, observed, reach, asked, steps, seed)

    def _store(self) -> None:
        """Bring the folder up to date."""
        if self.folder is None or self._samples is None:
            return
        for folder in (self.folder, self._samples.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for version, model in self._models.items():
            if version not in self._stored and version <= self.version:
                write_model(self.folder / f"v{version:03d}", model)
                self._stored.add(version)
        if not len(self.experience):
            self._samples.unlink(missing_ok=True)
        elif len(self.experience) != self._stored_states:
            self.experience.write(self._samples)
        self._stored_states = len(self.experience)
        record = {
            "schema": SCHEMA,
            "versions": self.versions,
            "trainings": self.trainings,
            "narrowings": self.narrowings,
            "audits": self.audits.to_json(),
        }
        unfinished = self.folder / f".{VERSIONS}.part"
        unfinished.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        unfinished.replace(self.folder / VERSIONS)

    def _read(self, folder: Path) -> None:
        record = json.loads((folder / VERSIONS).read_text(encoding="utf-8"))
        if record.get("schema") != SCHEMA:
            raise ModelError(f"{folder / VERSIONS}: is of schema {record.get('schema')!r}, not {SCHEMA!r}")
        self.versions, self.trainings, self.narrowings = (record[k] for k in ("versions", "trainings", "narrowings"))
        self.audits = AuditRecord.from_json(record["audits"])
        self._models = {entry["version"]: read_model(folder / f"v{entry['version']:03d}") for entry in self.versions}
        self._stored = set(self._models)
        if self._samples is not None and self._samples.exists():
            self.experience = self.experience.read(self._samples)


def _narrowed(model: Model, threshold: float) -> Model:
    """The model with another threshold; what else its calibration says is still what it found."""
    assert model.calibration is not None  # there is nothing to narrow otherwise
    return dataclasses.replace(model, calibration=model.calibration._replace(threshold=threshold))


def _number(value: float) -> float | None:
    """Null for infinity, which JSON lacks."""
    return value if np.isfinite(value) else None
