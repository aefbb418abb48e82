"""The laws of a voxel cell: flux, tangent, internal forces and new state at every integration point, in one pass."""

from typing import Any

import numpy as np
from numba import types

from materials.compilation import kernel
from materials.gradient_matrix import fill_gradient_matrix, gradient_kind
from materials.measures import FloatArray
from rve.instance import Instance
from rve.law_call import F8, F8_1D, F8_2D, F8_3D, F8_4D, I4_2D, I8_1D, I8_2D, LAW_ARGUMENTS, law_arguments
from rve.spectral.cell import Phase, SpectralCell

LINEARIZE_SIGNATURE = types.int64(
    *LAW_ARGUMENTS,
    F8_3D,  # gradient matrices
    F8,  # volume of a point
    I8_1D,  # voxels
    I4_2D,  # nodes
    I8_2D,  # position of the tangent's components
    F8_1D,  # macroscopic gradient
    F8,  # dt
    F8_2D,  # fluctuation
    F8_2D,  # committed state
    F8_2D,  # trial state
    F8_2D,  # residual
    F8_2D,  # absolute force
    F8_4D,  # tangent
    F8_1D,  # flux sum
)


@kernel(LINEARIZE_SIGNATURE)
def linearize_phase(  # type: ignore[no-untyped-def]
    law,
    parameters,
    components,
    rest_in_space,
    out_of_plane,
    matrices,
    point_volume,
    voxels,
    nodes,
    position,
    macro_gradient,
    dt,
    fluctuation,
    state,
    new_state,
    residual,
    absolute_force,
    tangent,
    flux_sum,
):
    """Evaluate the law of one phase at its voxels; 0, or the number of the first failed point + 1.

    With the gradient matrices B (q, g, k · block size) of a voxel and σ = σ(ḡ + B w): residual (block size, N) +=
    ∫ Bᵀσ; absolute force += |the same, per voxel|; tangent (q, N / width, kept, width) = ∂σ/∂(gradient), by
    strips of voxels, no volume in it; flux sum (g + 1,) += ∫ σ, the out-of-plane component last.
    """
    n_points, g, n_local = matrices.shape
    block_size = fluctuation.shape[0]
    width = tangent.shape[3]
    gradient_space = rest_in_space.copy()
    flux_space = np.empty(rest_in_space.size)
    tangent_space = np.empty((rest_in_space.size, rest_in_space.size))
    local = np.empty(n_local)
    force = np.empty(n_local)
    for e in range(voxels.size):
        voxel = voxels[e]
        strip, z = voxel // width, voxel % width
        for a in range(n_local):
            local[a] = fluctuation[a % block_size, nodes[voxel, a // block_size]]
            force[a] = 0.0
        for q in range(n_points):
            matrix = matrices[q]
            for r in range(g):
                total = macro_gradient[r]
                for a in range(n_local):
                    total += matrix[r, a] * local[a]
                gradient_space[components[r]] = total
            point = e * n_points + q
            if law(gradient_space, state[point], parameters, dt, flux_space, tangent_space, new_state[point]) != 0:
                return point + 1
            for r in range(g):
                flux = point_volume * flux_space[components[r]]
                flux_sum[r] += flux
                for a in range(n_local):
                    force[a] += matrix[r, a] * flux
                for s in range(r, g):
                    mean = tangent_space[components[r], components[s]] + tangent_space[components[s], components[r]]
                    tangent[q, strip, position[r, s], z] = 0.5 * mean
            if out_of_plane >= 0:
                flux_sum[g] += point_volume * flux_space[out_of_plane]
        for a in range(n_local):
            node = nodes[voxel, a // block_size]
            residual[a % block_size, node] += force[a]
            absolute_force[a % block_size, node] += abs(force[a])
    return 0


class Linearization:
    """The sums over one RVE at an iterate. All are integrals over the cell, not averages."""

    def __init__(self, cell: SpectralCell) -> None:
        grid, measure = cell.grid, cell.measure
        self.residual = np.zeros((measure.block_size, grid.n_voxels))
        """Internal forces at the nodes, (block size, N); zero in equilibrium."""
        self.absolute_force = np.zeros_like(self.residual)
        """The same sum of absolute voxel forces: what a residual is measured against."""
        strips = grid.n_voxels // grid.strip
        self.tangent = np.zeros((len(grid.points), strips, cell.packing.n_kept, grid.strip))
        """∂σ/∂(gradient) at every point, zero in voids: what a strip of voxels needs lies together."""
        self.flux_sum = np.zeros(measure.size + 1)
        """∫ flux, the out-of-plane component last, (g + 1,)."""
        matrices = gradient_matrices(cell)
        self._arguments = [_phase_arguments(cell, phase, matrices) for phase in cell.phases]

    def linearize(self, rve: Instance, gradient: FloatArray, dt: float, fluctuation: FloatArray) -> bool:
        """Evaluate the laws at `gradient` (g,) + B · `fluctuation` (n,); false when a point has no answer.

        The trial state of `rve` is written.
        """
        for array in (self.residual, self.absolute_force, self.flux_sum):
            array.fill(0.0)
        field = fluctuation.reshape(self.residual.shape)
        for arguments, state, new_state in zip(self._arguments, rve.committed, rve.trial, strict=True):
            sums = (self.residual, self.absolute_force, self.tangent, self.flux_sum)
            if linearize_phase(*arguments, gradient, dt, field, state, new_state, *sums):
                return False
        return bool(np.isfinite(self.flux_sum).all() and np.isfinite(self.residual).all())


def gradient_matrices(cell: SpectralCell) -> FloatArray:
    """B at the integration points of a voxel, (q, g, 2^d · block size): gradient = rest + B · nodal values."""
    table, measure = cell.grid.shape_gradients, cell.measure
    matrices = np.zeros((len(table), measure.size, table.shape[1] * measure.block_size))
    for gradients, matrix in zip(table, matrices, strict=True):
        fill_gradient_matrix(int(gradient_kind(measure)), gradients, gradients, False, matrix)
    return matrices


def _phase_arguments(cell: SpectralCell, phase: Phase, matrices: FloatArray) -> tuple[Any, ...]:
    """The constant arguments of `linearize_phase`."""
    return (
        *law_arguments(phase.law, cell.measure),
        matrices,
        cell.grid.point_volume,
        phase.voxels,
        cell.grid.nodes,
        cell.packing.position,
    )
