"""The element kernel of a cell that stays elastic: forces and flux, without a stiffness, until a state changes."""

import numpy as np
from numba import types

from materials.compilation import LAW_TYPE, kernel
from materials.gradient_matrix import fill_gradient_matrix

_i8 = types.int64
_f8 = types.float64
_f8_1d = types.Array(types.float64, 1, "C")
_f8_2d = types.Array(types.float64, 2, "C")

ELASTIC_SIGNATURE = types.int64(
    LAW_TYPE,
    _f8_1d,  # parameters
    types.Array(types.int64, 1, "C"),  # components in space
    _f8_1d,  # rest in space
    _i8,  # position of the out-of-plane component in space, or -1
    _i8,  # gradient kind
    types.boolean,  # bbar
    types.Array(types.float64, 4, "C"),  # shape gradients
    types.Array(types.float64, 3, "C"),  # mean gradients
    _f8_2d,  # weights
    types.Array(types.int32, 2, "C"),  # dofs
    _i8,  # first element
    _i8,  # element after the last
    _f8_1d,  # macroscopic gradient
    _f8,  # dt
    _f8_1d,  # fluctuation
    _f8_2d,  # committed state
    _f8_2d,  # trial state
    _f8_1d,  # residual
    _f8_1d,  # absolute force
    _f8_1d,  # flux sum
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
