"""The element kernel of a cell that stays elastic: forces and flux, without a stiffness, until a state changes."""

import numpy as np
from numba import types

from materials.compilation import kernel
from materials.gradient_matrix import fill_gradient_matrix
from rve.law_call import F8, F8_1D, F8_2D, F8_3D, F8_4D, I4_2D, I8, LAW_ARGUMENTS

ELASTIC_SIGNATURE = types.int64(
    *LAW_ARGUMENTS,
    I8,  # gradient kind
    types.boolean,  # bbar
    F8_4D,  # shape gradients
    F8_3D,  # mean gradients
    F8_2D,  # weights
    I4_2D,  # dofs
    I8,  # first element
    I8,  # element after the last
    F8_1D,  # macroscopic gradient
    F8,  # dt
    F8_1D,  # fluctuation
    F8_2D,  # committed state
    F8_2D,  # trial state
    F8_1D,  # residual
    F8_1D,  # absolute force
    F8_1D,  # flux sum
)

ELASTIC = -1
"""What `elastic_phase` returns when no state changes."""


@kernel(ELASTIC_SIGNATURE)
def elastic_phase(  # type: ignore[no-untyped-def]
    law,
    parameters,
    components,
    rest_in_space,
    out_of_plane,
    kind,
    bbar,
    shape_gradients,
    mean_gradients,
    weights,
    dofs,
    first,
    stop,
    macro_gradient,
    dt,
    fluctuation,
    state,
    new_state,
    residual,
    absolute_force,
    flux_sum,
):
    """Add some elements of a phase to the sums as long as no state changes; `ELASTIC`, or the element where one does.

    The sums are those of `rve.kernels.assemble_phase`: residual and absolute force (n,), flux_sum (g + 1,). A point
    where the law has no answer counts as one whose state changes.
    """
    n_points = weights.shape[1]
    n_local = dofs.shape[1]
    g = components.size
    b = np.empty((g, n_local))
    local_fluctuation = np.empty(n_local)
    local_force = np.empty(n_local)
    gradient_space = rest_in_space.copy()
    flux_space = np.empty(rest_in_space.size)
    tangent_space = np.empty((rest_in_space.size, rest_in_space.size))

    for e in range(first, stop):
        for a in range(n_local):
            dof = dofs[e, a]
            local_fluctuation[a] = fluctuation[dof] if dof >= 0 else 0.0
            local_force[a] = 0.0
        for q in range(n_points):
            fill_gradient_matrix(kind, shape_gradients[e, q], mean_gradients[e], bbar, b)
            for r in range(g):
                total = macro_gradient[r]
                for a in range(n_local):
                    total += b[r, a] * local_fluctuation[a]
                gradient_space[components[r]] = total
            point = e * n_points + q
            old, new = state[point], new_state[point]
            if law(gradient_space, old, parameters, dt, flux_space, tangent_space, new) != 0:
                return e
            for i in range(old.size):
                if new[i] != old[i]:
                    return e
            weight = weights[e, q]
            if out_of_plane >= 0:
                flux_sum[g] += weight * flux_space[out_of_plane]
            for r in range(g):
                flux = weight * flux_space[components[r]]
                flux_sum[r] += flux
                for a in range(n_local):
                    local_force[a] += b[r, a] * flux
        for a in range(n_local):
            dof = dofs[e, a]
            if dof >= 0:
                residual[dof] += local_force[a]
                absolute_force[dof] += abs(local_force[a])
    return ELASTIC
