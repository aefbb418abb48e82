"""What the pictures of a mesh are coloured by."""

import numpy as np

from materials.measures import FloatArray
from solver.report.field_pictures import Field
from solver.report.run_data import Snapshot
from solver.report.style import COLOUR_MAPS
from solver.results.localization import STATE
from solver.results.point_fields import von_mises


def primary_field(snapshot: Snapshot) -> Field | None:
    """Temperature, or how far points move."""
    if "displacement" in snapshot.nodal:
        size = np.linalg.norm(snapshot.nodal["displacement"], axis=1)
        return Field("magnitude of the displacement", size, True, COLOUR_MAPS["displacement"])
    if "temperature" in snapshot.nodal:
        return Field("temperature", snapshot.nodal["temperature"], True, COLOUR_MAPS["temperature"])
    return None


def flux_field(snapshot: Snapshot) -> Field | None:
    """What best tells how hard the material works: von Mises stress, or the size of the flux."""
    cellwise = snapshot.cellwise
    if "von_mises" in cellwise:
        return Field("von Mises stress", cellwise["von_mises"], False, COLOUR_MAPS["flux"])
    if "heat_flux" in cellwise:
        return Field("size of the heat flux", _norm(cellwise["heat_flux"]), False, COLOUR_MAPS["flux"])
    if "stress" in cellwise and np.isfinite(cellwise["stress"]).all():
        stress = von_mises(cellwise["stress"].reshape(-1, 3, 3))
        return Field("von Mises stress", stress, False, COLOUR_MAPS["flux"])
    for name, label in (("stress", "stress"), ("first_piola_kirchhoff", "first Piola–Kirchhoff stress")):
        if name in cellwise:
            what = "in-plane norm" if snapshot.dimension == 2 else "norm"
            in_plane = cellwise[name].reshape(-1, 3, 3)[:, : snapshot.dimension, : snapshot.dimension]
            return Field(f"{what} of the {label}", _norm(in_plane), False, COLOUR_MAPS["flux"])
    return None


def state_field(snapshot: Snapshot) -> Field | None:
    """The scalar that tells best what the micro points remember: plastic strain, or another that has changed.

    Phases without it have zero.
    """
    scalars = {
        name: np.nan_to_num(v) for name, v in snapshot.cellwise.items() if name.startswith(STATE) and v.ndim == 1
    }
    changed = [name for name, values in scalars.items() if np.ptp(values) > 0.0]
    best = min(changed, key=lambda name: "plastic" not in name, default=None)
    if best is None:
        return None
    return Field(best.removeprefix(STATE).replace("_", " "), scalars[best], False, COLOUR_MAPS["state"])


def _norm(values: FloatArray) -> FloatArray:
    return np.linalg.norm(values.reshape(len(values), -1), axis=1)
