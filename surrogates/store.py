"""A trained surrogate as a folder: `weights.safetensors`, `trust.safetensors`, `card.json`, `README.md`.

Nothing in the folder is ever executed. The card says what the weights are (family, physics, architecture), where they
may be trusted (range of the training split, errors on the test split, checks) and where they come from (data, cell,
versions, licence). Arrays are kept byte by byte; the card holds their hash, and a copy of the scales for reading.
"""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from surrogates.calibration import Calibration
from surrogates.card_text import readme
from surrogates.conditioned import Conditioned
from surrogates.ensemble import Ensemble
from surrogates.families import FAMILIES
from surrogates.family import Family, ModelError
from surrogates.green_strain import objective_strain, strain_measure
from surrogates.trust import MEASURES, Trust

SCHEMA = "fe2-surrogate-1"
WEIGHTS, TRUST, CARD, README = "weights.safetensors", "trust.safetensors", "card.json", "README.md"
INFORMATION = ("errors", "checks", "data", "training", "versions", "created", "licence")
"""Parts of the card that a run does not depend on."""
_UNBOUNDED = {"threshold": -math.inf, "tolerance": math.inf}
"""Of a calibration, where the card says null."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and what is known of it."""

    family: Family
    lower: FloatArray
    """Smallest value of each strain component (`objective_strain`) in the training split and at rest, (m,)."""
    upper: FloatArray
    """Largest value, (m,)."""
    information: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: errors, checks, data, training, versions, created, licence; what is missing is stored as null."""
    trust: Trust | None = None
    """How far an answer can be believed; None: nobody measured it."""
    calibration: Calibration | None = None
    """Up to which score of `trust` it is."""

    @property
    def measure(self) -> Measure:
        """What the model maps."""
        return self.family.measure

    def outside(self, gradient: FloatArray) -> NDArray[np.bool_]:
        """Which of the states `gradient` (n, g) leave the range of the training split in some strain component, (n,).

        States beyond by less than 10⁻³ of the width of the range still count as inside.
        """
        strain = objective_strain(self.measure, gradient)
        slack = 1e-3 * (self.upper - self.lower)
        inside = (strain >= self.lower - slack) & (strain <= self.upper + slack)
        return np.asarray(~inside.all(axis=1))


def training_range(measure: Measure, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest value (m,) of each strain component over the states `gradient` (n, g) and rest."""
    strain = objective_strain(measure, np.vstack([measure.rest, gradient]))
    return strain.min(axis=0), strain.max(axis=0)


def write_model(folder: Path, model: Model) -> None:
    """Write a model folder, or replace one, as a whole: an interrupted write leaves the old one as it was.

    Raises:
        ModelError: the folder holds something other than a model, or cannot be written.
    """
    save = _safetensors("save")
    refusal = write_refusal(folder)
    if refusal is not None:
        raise ModelError(refusal)
    weights = save(model.family.arrays())
    trust = None if model.trust is None else save(model.trust.arrays())
    card = _card(model, hashlib.sha256(weights).hexdigest())
    if model.trust is not None and trust is not None:
        card["trust"] = _trust_card(model.trust, model.calibration, hashlib.sha256(trust).hexdigest())
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            made.chmod(0o755)
            (made / WEIGHTS).write_bytes(weights)
            if trust is not None:
                (made / TRUST).write_bytes(trust)
            (made / CARD).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            (made / README).write_text(readme(card), encoding="utf-8")
            if folder.exists():
                old = made.with_name(made.name + "-old")
                folder.rename(old)
                made.rename(folder)
                shutil.rmtree(old)
            else:
                made.rename(folder)
        finally:
            if made.exists():
                shutil.rmtree(made)
    except OSError as error:
        raise ModelError(f"{folder}: cannot be written ({os.strerror(error.errno or 0)})") from None


def write_refusal(folder: Path) -> str | None:
    """Why a model may not be written to this folder: it holds something else. None if it may."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        return f"{folder}: is a file, name a folder for the model"
    names = {entry.name for entry in folder.iterdir()}
    if names and CARD not in names:
        return f"{folder}: holds something that is not a model, name another folder"
    return None


def read_model(folder: Path) -> Model:
    """Read a model folder and check all of it.

    Raises:
        ModelError: one line with the reason: a file is missing or damaged, the card is not one of this version, the
            weights are not those that the card speaks of, or do not fit the architecture.
    """
    try:
        return _read(folder)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None


def _read(folder: Path) -> Model:
    if not folder.is_dir():
        raise ModelError("no such folder" if not folder.exists() else "is not a folder")
    card = _json(_bytes(folder / CARD))
    if card.get("schema") != SCHEMA:
        raise ModelError(f"{CARD} is of schema {card.get('schema')!r}, this version reads {SCHEMA!r}")
    measure = _measure(card)
    name = card.get("family")
    families: dict[str, type[Family]] = {**FAMILIES, Ensemble.name: Ensemble, Conditioned.name: Conditioned}
    if not isinstance(name, str) or name not in families:
        raise ModelError(f"{CARD} names the family {name!r}, known are {', '.join(families)}")
    family = families[name]
    refusal = family.refusal(measure)
    if refusal is not None:
        raise ModelError(f"{CARD}: {refusal}")
    architecture = card.get("architecture")
    if not isinstance(architecture, dict):
        raise ModelError(f"{CARD} has no mapping `architecture`")
    weights = _bytes(folder / WEIGHTS)
    if hashlib.sha256(weights).hexdigest() != card.get("weights_sha256"):
        raise ModelError(f"{WEIGHTS} is not the file that {CARD} speaks of (its SHA-256 differs): damaged or exchanged")
    lower, upper = _range(card, measure)
    made = family.from_arrays(measure, architecture, _arrays(weights, WEIGHTS))
    trust, calibration = (None, None) if card.get("trust") is None else _trust(folder, card["trust"], made)
    return Model(made, lower, upper, {key: card.get(key) for key in INFORMATION}, trust, calibration)


def _card(model: Model, weights_hash: str) -> dict[str, Any]:
    measure, strain = model.measure, strain_measure(model.measure)
    scales = {name: values.tolist() for name, values in model.family.arrays().items() if name.endswith("_scale")}
    return {
        "schema": SCHEMA,
        "family": model.family.name,
        "physics": str(measure.physics),
        "dimension": measure.dimension,
        "architecture": model.family.architecture(),
        "normaliser": scales,
        "training_range": {
            "of": strain_name(measure),
            "lower": strain.to_tensor(model.lower).tolist(),
            "upper": strain.to_tensor(model.upper).tolist(),
        },
        **{key: model.information.get(key) for key in INFORMATION},
        "weights_sha256": weights_hash,
    }


def _trust_card(trust: Trust, calibration: Calibration | None, trust_hash: str) -> dict[str, Any]:
    """The part `trust` of a card."""
    architecture, written = trust.architecture(), None
    if calibration is not None:
        written = {key: None if _UNBOUNDED.get(key) == value else value for key, value in calibration._asdict().items()}
        written["curve"] = [[score, error if math.isfinite(error) else None] for score, error in calibration.curve]
    return {"measure": trust.name, "architecture": architecture, "calibration": written, "trust_sha256": trust_hash}


def _trust(folder: Path, written: Any, family: Family) -> tuple[Trust, Calibration | None]:
    if not isinstance(written, dict) or not isinstance(written.get("architecture"), dict):
        raise ModelError(f"`trust` of {CARD} is not what this version writes")
    name = written.get("measure")
    if not isinstance(name, str) or name not in MEASURES:
        raise ModelError(f"{CARD} names the measure of trust {name!r}, known are {', '.join(MEASURES)}")
    content = _bytes(folder / TRUST)
    if hashlib.sha256(content).hexdigest() != written.get("trust_sha256"):
        raise ModelError(f"{TRUST} is not the file that {CARD} speaks of (its SHA-256 differs): damaged or exchanged")
    trust = MEASURES[name].from_arrays(family, written["architecture"], _arrays(content, TRUST))
    return trust, None if written.get("calibration") is None else _calibration(written["calibration"])


def _calibration(written: Any) -> Calibration:
    if not isinstance(written, dict) or set(written) != set(Calibration._fields):
        raise ModelError(f"the calibration in {CARD} must have {', '.join(Calibration._fields)}")
    values: dict[str, Any] = {key: _UNBOUNDED.get(key) if value is None else value for key, value in written.items()}
    kinds = {key: int if key == "states" else float for key in values if key != "curve"}
    if any(type(values[key]) is not kind or math.isnan(values[key]) for key, kind in kinds.items()):
        raise ModelError(f"the calibration in {CARD} must hold numbers, got {written}")
    try:
        values["curve"] = tuple((float(s), math.inf if e is None else float(e)) for s, e in values["curve"])
    except (TypeError, ValueError):
        raise ModelError(f"the curve of the calibration in {CARD} must be pairs of numbers") from None
    return Calibration(**values)


def strain_name(measure: Measure) -> str:
    """What the training range is a range of."""
    return "green_lagrange_strain" if measure.physics is Physics.FINITE_STRAIN else measure.gradient_name


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read ({os.strerror(error.errno or 0)})") from None


def _json(content: bytes) -> dict[str, Any]:
    try:
        card = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{CARD} is not JSON ({error})") from None
    if not isinstance(card, dict):
        raise ModelError(f"{CARD} is not a mapping")
    return card


def _measure(card: Mapping[str, Any]) -> Measure:
    physics, dimension = card.get("physics"), card.get("dimension")
    if physics not in list(Physics):
        raise ModelError(f"{CARD} names the physics {physics!r}, known are {', '.join(Physics)}")
    if type(dimension) is not int or dimension not in (2, 3):
        raise ModelError(f"{CARD} names the dimension {dimension!r}, it must be 2 or 3")
    return Measure(Physics(physics), dimension)


def _range(card: Mapping[str, Any], measure: Measure) -> tuple[FloatArray, FloatArray]:
    strain, written = strain_measure(measure), card.get("training_range")
    shape = (measure.dimension,) * len(strain.index_pairs[0])
    try:
        lower, upper = (np.array(written[key], dtype=np.float64) for key in ("lower", "upper"))  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        raise ModelError(f"{CARD} has no `training_range` with lower and upper") from None
    if lower.shape != shape or upper.shape != shape or not np.isfinite([lower, upper]).all() or (lower > upper).any():
        raise ModelError(f"the `training_range` of {CARD} must hold finite {shape} arrays with lower ≤ upper")
    return strain.to_vector(lower), strain.to_vector(upper)


def _arrays(content: bytes, file: str) -> dict[str, Any]:
    load = _safetensors("load")
    from safetensors import SafetensorError  # type: ignore[attr-defined]  # the stubs lack it

    try:
        return dict(load(content))
    except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a dtype that numpy lacks
        raise ModelError(f"{file} is not a safetensors file ({' '.join(str(error).split())})") from None


def _safetensors(function: str) -> Callable[[Any], Any]:
    """A function of the library, which is an optional dependency."""
    try:
        from safetensors import numpy as library
    except ModuleNotFoundError:
        raise ModelError("models need safetensors, which is not installed: pip install 'fe2[surrogates]'") from None
    found: Callable[[Any], Any] = getattr(library, function)
    return found
