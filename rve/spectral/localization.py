"""The micro-fields of one RVE of a voxel cell, for localisation."""

from collections.abc import Sequence

import numpy as np

from materials.law_material import evaluate_points
from materials.measures import FloatArray
from rve.localized import MicroField, state_fields
from rve.spectral.cell import SpectralCell
from rve.spectral.linearization import gradient_matrices


def micro_field(
    cell: SpectralCell, gradient: FloatArray, dt: float, fluctuation: FloatArray, committed: Sequence[FloatArray]
) -> MicroField:
    """Evaluate the fields of one RVE at `gradient` (g,) and the fluctuation (n,).

    `committed` holds the state before the step, one (points, state size) array per phase.

    Raises:
        ArithmeticError: a law has no answer there.
    """
    measure, grid = cell.measure, cell.grid
    d, g, block_size = measure.dimension, measure.size, measure.block_size
    matrices = gradient_matrices(cell)
    field = fluctuation.reshape(block_size, grid.n_voxels)
    lattice = tuple(n + 1 for n in grid.shape)
    images = np.ravel_multi_index(tuple(np.indices(lattice).reshape(d, -1) % np.array(grid.shape)[:, None]), grid.shape)
    points = np.indices(lattice).reshape(d, -1).T * grid.spacing
    # Corner 0 first and x fastest, as finite elements order their nodes; those of the grid have x last.
    order = np.arange(2**d).reshape((2,) * d).T.ravel()
    steps = grid.corners[:, grid.first_axis :]
    macroscopic = measure.to_tensor(gradient - measure.rest).reshape(block_size, d)

    cells, gradients, fluxes, out_of_plane, means = [], [], [], [], []
    forces = np.zeros((len(points), block_size))
    for phase, state in zip(cell.phases, committed, strict=True):
        voxels = np.stack(np.unravel_index(phase.voxels, grid.shape), axis=-1)
        corners = np.ravel_multi_index(tuple(np.moveaxis(voxels[:, None] + steps, -1, 0)), lattice)
        local = field.T[images[corners]].reshape(len(voxels), -1)
        at_points = gradient + np.einsum("qra,ma->mqr", matrices, local)
        m, q, _ = at_points.shape
        flux, tangent, status = np.empty((m * q, g)), np.empty((m * q, g, g)), np.empty(m * q, dtype=np.int8)
        has_out_of_plane = measure.out_of_plane_name is not None
        beyond = np.empty(m * q if has_out_of_plane else 0)
        evaluate_points(
            phase.law.point,
            measure.components_in_space,
            measure.in_space.rest,
            measure.in_space.index_pairs.index((2, 2)) if has_out_of_plane else -1,
            np.ascontiguousarray(at_points.reshape(m * q, g)),
            state,
            phase.law.parameters(),
            dt,
            flux,
            tangent,
            np.empty_like(state),
            beyond,
            status,
        )
        if status.any():
            point = int(np.flatnonzero(status)[0])
            raise ArithmeticError(f"the law of phase {phase.name} has no answer at integration point {point}")
        by_point = flux.reshape(m, q, g)
        nodal = grid.point_volume * np.einsum("qra,mqr->ma", matrices, by_point)
        np.add.at(forces, corners, nodal.reshape(m, -1, block_size))
        cells.append(corners[:, order])
        means.append(state.reshape(m, q, -1).mean(axis=1))
        gradients.append(at_points.mean(axis=1))
        fluxes.append(by_point.mean(axis=1))
        out_of_plane.append(beyond.reshape(-1, q).mean(axis=1))

    sizes = [phase.voxels.size for phase in cell.phases]
    return MicroField(
        measure=measure,
        points=points,
        cells=np.concatenate(cells).astype(np.int32),
        element="quadrilateral" if d == 2 else "hexahedron",
        degree=1,
        values=field.T[images] + points @ macroscopic.T,
        gradient=np.concatenate(gradients),
        flux=np.concatenate(fluxes),
        out_of_plane=np.concatenate(out_of_plane) if measure.out_of_plane_name else None,
        phase=np.repeat(np.arange(len(sizes), dtype=np.int32), sizes),
        phase_names=tuple(phase.name for phase in cell.phases),
        state=state_fields(cell.phases, means),
        nodal_forces=forces,
    )
