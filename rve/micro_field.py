"""The micro-fields of one RVE, for localisation, and the forces that its boundary takes up."""

from collections.abc import Sequence

import numpy as np

from materials.measures import FloatArray, Measure, Physics
from rve.assembly import phase_arguments
from rve.cell import Cell, Phase
from rve.kernels import assemble_phase
from rve.localized import MicroField, state_fields


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
    means = [_mean_state(phase, state) for phase, state in zip(cell.phases, committed, strict=True)]
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
        state=state_fields(cell.phases, means),
        nodal_forces=forces.reshape(-1, block_size),
    )


def _mean_state(phase: Phase, state: FloatArray) -> FloatArray:
    """Element averages of the flat state (points, state size) of a phase, (m, state size)."""
    weights = phase.tables.weights
    return np.einsum("eq,eqs->es", weights, state.reshape(*weights.shape, -1)) / weights.sum(axis=1)[:, None]


def _mean_gradient(measure: Measure, mean: FloatArray, nodal: FloatArray) -> FloatArray:
    """Element average of the gradient of a nodal field (m, k, block size), packed, (m, g)."""
    full = np.einsum("mki,mkj->mij", nodal, mean)
    if measure.physics is Physics.HEAT:
        return full[:, 0, :]
    if measure.physics is Physics.SMALL_STRAIN:
        full = 0.5 * (full + full.transpose(0, 2, 1))
    return measure.to_vector(full)
