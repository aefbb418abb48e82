"""The fused element kernel of a cell: strain, law, internal force, stiffness and averages in one pass over a phase."""

import numpy as np
from numba import types

from materials.compilation import kernel
from materials.gradient_matrix import fill_gradient_matrix
from rve.law_call import F8, F8_1D, F8_2D, F8_3D, F8_4D, I4_2D, I4_3D, I8, LAW_ARGUMENTS

ASSEMBLE_SIGNATURE = types.int64(
    *LAW_ARGUMENTS,
    I8,  # gradient kind
    types.boolean,  # bbar
    types.boolean,  # symmetric
    F8_4D,  # shape gradients
    F8_3D,  # mean gradients
    F8_2D,  # weights
    I4_2D,  # dofs
    I4_3D,  # scatter
    F8_1D,  # macroscopic gradient
    F8,  # dt
    F8_1D,  # fluctuation
    F8_2D,  # committed state
    F8_2D,  # trial state
    F8_1D,  # residual
    F8_1D,  # absolute force
    F8_1D,  # matrix values
    F8_2D,  # flux sensitivity
    F8_2D,  # force sensitivity
    F8_2D,  # element flux
    F8_1D,  # flux sum
    F8_2D,  # tangent sum
)


@kernel(ASSEMBLE_SIGNATURE)
def assemble_phase(  # type: ignore[no-untyped-def]
    law,
    parameters,
    components,
    rest_in_space,
    out_of_plane,
    kind,
    bbar,
    symmetric,
    shape_gradients,
    mean_gradients,
    weights,
    dofs,
    scatter,
    macro_gradient,
    dt,
    fluctuation,
    state,
    new_state,
    residual,
    absolute_force,
    values,
    flux_sensitivity,
    force_sensitivity,
    element_flux,
    flux_sum,
    tangent_sum,
):
    """Add the m elements of one phase of one cell to the cell's sums; 0, or the number of the first failed point + 1.

    With B the gradient matrix, σ and C the flux and tangent of the law at ḡ + B w, and g gradient components:
    residual += ∫ Bᵀσ; absolute force += |the same, per element|; values += ∫ BᵀCB (through `scatter`, −1: not in the
    matrix); flux_sensitivity (g, n) += ∫ CB; force_sensitivity (g, n) += (∫ BᵀC)ᵀ unless `symmetric`, where it equals
    the former; element_flux (m, g + 1) = ∫ σ of each element, the out-of-plane component last; flux_sum (g + 1,) += the
    same; tangent_sum += ∫ C.
    Dofs are those of the admissible fluctuation, −1 where it is fixed.
    """
    n_elements, n_points = weights.shape
    n_local = dofs.shape[1]
    g = components.size
    g_space = rest_in_space.size
    stacked = n_points * g
    matrix = np.empty((stacked, n_local))
    tangent_matrix = np.empty((stacked, n_local))
    stiffness = np.empty((n_local, n_local))
    element_sensitivity = np.empty((g, n_local))
    local_fluctuation = np.empty(n_local)
    local_force = np.empty(n_local)
    gradient = np.empty(stacked)
    flux = np.empty(stacked)
    gradient_space = rest_in_space.copy()
    flux_space = np.empty(g_space)
    tangent_space = np.empty((g_space, g_space))
    tangent = np.empty((g, g))

    for e in range(n_elements):
        for a in range(n_local):
            dof = dofs[e, a]
            local_fluctuation[a] = fluctuation[dof] if dof >= 0 else 0.0
        for r in range(g + 1):
            element_flux[e, r] = 0.0
        for q in range(n_points):
            b = matrix[q * g : (q + 1) * g]
            fill_gradient_matrix(kind, shape_gradients[e, q], mean_gradients[e], bbar, b)
        np.dot(matrix, local_fluctuation, gradient)

        for q in range(n_points):
            first = q * g
            for r in range(g):
                gradient_space[components[r]] = macro_gradient[r] + gradient[first + r]
            point = e * n_points + q
            if law(gradient_space, state[point], parameters, dt, flux_space, tangent_space, new_state[point]) != 0:
                return point + 1

            weight = weights[e, q]
            if out_of_plane >= 0:
                element_flux[e, g] += weight * flux_space[out_of_plane]
            for r in range(g):
                weighted = weight * flux_space[components[r]]
                flux[first + r] = weighted
                element_flux[e, r] += weighted
                for s in range(g):
                    tangent[r, s] = weight * tangent_space[components[r], components[s]]
                    tangent_sum[r, s] += tangent[r, s]
            np.dot(tangent, matrix[first : first + g], tangent_matrix[first : first + g])
            if not symmetric:
                for s in range(g):
                    for a in range(n_local):
                        dof = dofs[e, a]
                        if dof >= 0:
                            total = 0.0
                            for r in range(g):
                                total += matrix[first + r, a] * tangent[r, s]
                            force_sensitivity[s, dof] += total

        # ∫ Bᵀσ and ∫ BᵀCB over all points at once: BLAS is faster than loops as short as an element's dofs
        np.dot(flux, matrix, local_force)
        np.dot(matrix.T, tangent_matrix, stiffness)
        for r in range(g):
            for a in range(n_local):
                element_sensitivity[r, a] = tangent_matrix[r, a]
            for q in range(1, n_points):
                for a in range(n_local):
                    element_sensitivity[r, a] += tangent_matrix[q * g + r, a]
        for r in range(g + 1):
            flux_sum[r] += element_flux[e, r]
        for a in range(n_local):
            dof = dofs[e, a]
            if dof < 0:
                continue
            residual[dof] += local_force[a]
            absolute_force[dof] += abs(local_force[a])
            for r in range(g):
                flux_sensitivity[r, dof] += element_sensitivity[r, a]
            for c in range(n_local):
                position = scatter[e, a, c]
                if position >= 0:
                    values[position] += stiffness[a, c]
    return 0
