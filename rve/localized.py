"""What a cell looks like inside, for localisation: plain arrays, whatever solved the cell."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.law import Law
from materials.measures import FloatArray, Measure, Physics
from rve.cell_material import PhaseKind

_SYMMETRIC = Measure(Physics.SMALL_STRAIN, 3)


class MicroField(NamedTuple):
    """What a cell looks like inside, at one macroscopic point. Elements are listed phase by phase, voids left out."""

    measure: Measure
    points: FloatArray
    """Reference coordinates of the nodes of the displacement, (n, d)."""
    cells: NDArray[np.int32]
    """Nodes of each element in the order of the finite element, (m, k)."""
    element: str
    """triangle, quadrilateral, tetrahedron or hexahedron."""
    degree: int
    values: FloatArray
    """Displacement or temperature at the nodes, macroscopic part included, (n, block size)."""
    gradient: FloatArray
    """Element average, packed, (m, g)."""
    flux: FloatArray
    """Element average, packed, (m, g)."""
    out_of_plane: FloatArray | None
    """Element average of the flux component that the measure leaves out in plane strain, (m,)."""
    phase: NDArray[np.int32]
    """Index into `phase_names`, (m,)."""
    phase_names: tuple[str, ...]
    state: dict[str, FloatArray]
    """Element average of each committed state variable, (m,) or (m, 3, 3); NaN where the phase has none of the name.

    A variable of several scalars or tensors is numbered: `back_stress_1`, `back_stress_2`."""
    nodal_forces: FloatArray
    """∫ Bᵀ flux at every node before periodic images are joined, (n, block size): zero inside, and on the boundary
    the tractions from which ⟨flux⟩ = (1/V) Σ f ⊗ X follows independently of any average over the cell."""


def state_fields(phases: Sequence[PhaseKind], means: Sequence[FloatArray]) -> dict[str, FloatArray]:
    """State variables of all phases side by side, as `MicroField.state` has them; scalars and tensors kept apart.

    `means` are the element averages of the flat state of each phase, (m, state size).
    """
    parts = [_by_variable(phase.law, mean) for phase, mean in zip(phases, means, strict=True)]
    shapes = {name: values.shape[1:] for part in parts for name, values in part.items()}
    for phase, part in zip(phases, parts, strict=True):
        for name in [name for name, values in part.items() if values.shape[1:] != shapes[name]]:
            part[f"{phase.name}_{name}"] = part.pop(name)
    shapes = {name: values.shape[1:] for part in parts for name, values in part.items()}
    return {
        name: np.concatenate(
            [part.get(name, np.full((len(mean), *shape), np.nan)) for mean, part in zip(means, parts, strict=True)]
        )
        for name, shape in shapes.items()
    }


def _by_variable(law: Law, mean: FloatArray) -> dict[str, FloatArray]:
    fields, start = {}, 0
    for name, shape in law.state_layout.items():
        values = mean[:, start : start + math.prod(shape)].reshape(-1, *shape)
        start += math.prod(shape)
        tensor: tuple[int, ...] = ()
        leading = shape
        if shape[-1:] == (6,):
            values, tensor, leading = _SYMMETRIC.to_tensor(values), (3, 3), shape[:-1]
        elif shape[-2:] == (3, 3):
            tensor, leading = (3, 3), shape[:-2]
        several = values.reshape(len(values), math.prod(leading), *tensor)
        for number in range(several.shape[1]):
            fields[f"{name}_{number + 1}" if leading else name] = several[:, number]
    return fields
