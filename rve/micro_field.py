"""The micro-fields of one RVE, for localisation, and the forces that its boundary takes up."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from rve.assembly import phase_arguments
from rve.cell import Cell, Phase
from rve.kernels import assemble_phase

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


def micro_field(
    cell: Cell, gradient: FloatArray, dt: float, fluctuation: FloatArray, committed: Sequence[FloatArray]
) -> MicroField:
    """Evaluate the fields of one RVE at `gradient` (g,) and the admissible `fluctuation` (n,).

    `committed` holds the state before the step, one (points, state size) array per phase.

    Raises:
        ArithmeticError: a law has no answer there.
    """
    measure, space = cell.measure, cell.space
    g, block_size = measure.size, measure.block_size
    n_total = cell.dof_of.size
    full = np.zeros(n_total)
    free = cell.dof_of >= 0
    full[free] = fluctuation[cell.dof_of[free]]

    forces = np.zeros(n_total)
    unused = np.zeros((g, n_total))
    gradients, fluxes = [], []
    for phase, state in zip(cell.phases, committed, strict=True):
        unconstrained = phase.tables.dofs
        flux = np.empty((phase.elements.size, g + 1))
        failed = assemble_phase(
            *phase_arguments(cell, phase, unconstrained, np.full_like(phase.scatter, -1)),
            gradient,
            dt,
            full,
            state,
            np.empty_like(state),
            forces,
            np.zeros(n_total),
            np.zeros(0),
            unused,
            unused,
            flux,
            np.zeros(g + 1),
            np.zeros((g, g)),
        )
        if failed:
            raise ArithmeticError(f"the law of phase {phase.name} has no answer at integration point {failed - 1}")
        nodal = full[unconstrained].reshape(phase.elements.size, -1, block_size)
        fluxes.append(flux / phase.tables.weights.sum(axis=1)[:, None])
        gradients.append(gradient + _mean_gradient(measure, phase.tables.mean, nodal))

    flux = np.concatenate(fluxes)
    nodes = space.tabulate_dof_coordinates()[: n_total // block_size, : measure.dimension]
    macroscopic = measure.to_tensor(gradient - measure.rest).reshape(block_size, measure.dimension)
    sizes = [phase.elements.size for phase in cell.phases]
    return MicroField(
        measure=measure,
        points=nodes,
        cells=np.concatenate([phase.tables.dofs[:, ::block_size] // block_size for phase in cell.phases]),
        element=cell.mesh.mesh.topology.cell_name(),
        degree=space.ufl_element().degree,
        values=full.reshape(-1, block_size) + nodes @ macroscopic.T,
        gradient=np.concatenate(gradients),
        flux=flux[:, :-1],
        out_of_plane=flux[:, -1] if measure.out_of_plane_name else None,
        phase=np.repeat(np.arange(len(sizes), dtype=np.int32), sizes),
        phase_names=tuple(phase.name for phase in cell.phases),
        state=_state(cell.phases, committed),
        nodal_forces=forces.reshape(-1, block_size),
    )


def _state(phases: Sequence[Phase], committed: Sequence[FloatArray]) -> dict[str, FloatArray]:
    """State variables of all phases side by side, as `MicroField.state` has them; scalars and tensors kept apart."""
    parts = [_phase_state(phase, state) for phase, state in zip(phases, committed, strict=True)]
    shapes = {name: values.shape[1:] for part in parts for name, values in part.items()}
    for phase, part in zip(phases, parts, strict=True):
        for name in [name for name, values in part.items() if values.shape[1:] != shapes[name]]:
            part[f"{phase.name}_{name}"] = part.pop(name)
    shapes = {name: values.shape[1:] for part in parts for name, values in part.items()}
    return {
        name: np.concatenate(
            [part.get(name, np.full((p.elements.size, *shape), np.nan)) for p, part in zip(phases, parts, strict=True)]
        )
        for name, shape in shapes.items()
    }


def _phase_state(phase: Phase, state: FloatArray) -> dict[str, FloatArray]:
    weights = phase.tables.weights
    mean = np.einsum("eq,eqs->es", weights, state.reshape(*weights.shape, -1)) / weights.sum(axis=1)[:, None]
    fields, start = {}, 0
    for name, shape in phase.law.state_layout.items():
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


def _mean_gradient(measure: Measure, mean: FloatArray, nodal: FloatArray) -> FloatArray:
    """Element average of the gradient of a nodal field (m, k, block size), packed, (m, g)."""
    full = np.einsum("mki,mkj->mij", nodal, mean)
    if measure.physics is Physics.HEAT:
        return full[:, 0, :]
    if measure.physics is Physics.SMALL_STRAIN:
        full = 0.5 * (full + full.transpose(0, 2, 1))
    return measure.to_vector(full)
