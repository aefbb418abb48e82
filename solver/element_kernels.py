"""Compiled loops over the elements of the macro problem: gradients, internal forces, stiffness.

Everything is per owned cell with q integration points and n local dofs; points are numbered cell by cell. The gradient
matrix B is the one that the cells of the microscale use.
"""

import numpy as np
from numba import types

from materials.compilation import kernel
from materials.gradient_matrix import fill_gradient_matrix

_F1 = types.float64[::1]
_F2 = types.float64[:, ::1]
_F3 = types.float64[:, :, ::1]
_F4 = types.float64[:, :, :, ::1]
_I2 = types.int32[:, ::1]


@kernel(types.void(types.int64, types.boolean, _F4, _F3, _I2, _F1, _F1, _F2))
def fill_point_gradients(kind, bbar, shape_gradients, mean, dofs, values, rest, gradient):  # type: ignore[no-untyped-def]
    """Write gradient (cells · q, g) = rest (g,) + B · values, for local nodal values that include ghosts."""
    n_cells, n_q = shape_gradients.shape[:2]
    n_local = dofs.shape[1]
    size = rest.shape[0]
    matrix = np.zeros((size, n_local))
    for cell in range(n_cells):
        for q in range(n_q):
            fill_gradient_matrix(kind, shape_gradients[cell, q], mean[cell], bbar, matrix)
            point = cell * n_q + q
            for i in range(size):
                total = rest[i]
                for a in range(n_local):
                    total += matrix[i, a] * values[dofs[cell, a]]
                gradient[point, i] = total


@kernel(types.void(types.int64, types.boolean, _F4, _F3, _F2, _F2, _F2))
def fill_element_forces(kind, bbar, shape_gradients, mean, weights, flux, forces):  # type: ignore[no-untyped-def]
    """Write forces (cells, n) = Σ_q w Bᵀ flux (cells · q, g)."""
    n_cells, n_q = shape_gradients.shape[:2]
    n_local = forces.shape[1]
    size = flux.shape[1]
    matrix = np.zeros((size, n_local))
    for cell in range(n_cells):
        forces[cell] = 0.0
        for q in range(n_q):
            fill_gradient_matrix(kind, shape_gradients[cell, q], mean[cell], bbar, matrix)
            point = cell * n_q + q
            for i in range(size):
                weighted = weights[cell, q] * flux[point, i]
                for a in range(n_local):
                    forces[cell, a] += matrix[i, a] * weighted


@kernel(types.void(types.int64, types.boolean, _F4, _F3, _F2, _F3, _F3))
def fill_element_stiffness(kind, bbar, shape_gradients, mean, weights, tangent, stiffness):  # type: ignore[no-untyped-def]
    """Write stiffness (cells, n, n) = Σ_q w Bᵀ tangent B, with the tangents (cells · q, g, g)."""
    n_cells, n_q = shape_gradients.shape[:2]
    n_local = stiffness.shape[1]
    size = tangent.shape[1]
    matrix = np.zeros((size, n_local))
    product = np.zeros((size, n_local))
    for cell in range(n_cells):
        stiffness[cell] = 0.0
        for q in range(n_q):
            fill_gradient_matrix(kind, shape_gradients[cell, q], mean[cell], bbar, matrix)
            point = cell * n_q + q
            product[:, :] = 0.0
            for i in range(size):
                for j in range(size):
                    weighted = weights[cell, q] * tangent[point, i, j]
                    for b in range(n_local):
                        product[i, b] += weighted * matrix[j, b]
            for i in range(size):
                for a in range(n_local):
                    factor = matrix[i, a]
                    if factor != 0.0:
                        for b in range(n_local):
                            stiffness[cell, a, b] += factor * product[i, b]
