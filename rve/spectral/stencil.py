"""The product of a cell's stiffness with nodal fields, row by row of voxels, without a matrix.

In a voxel a nodal field has 2^d modes: its mean, its differences along the axes, and their products. A derivative at
the integration point ξ is a sum of the modes that differ along its axis, weighted with the ξ of the other axes. Every
step runs over a whole row of voxels at once, which the compiler turns into vector instructions.
"""

import numpy as np
from numba import types

from materials.compilation import jit, kernel

_i8 = types.int64
_f8 = types.float64
_i8_1d = types.Array(types.int64, 1, "C")
_i8_2d = types.Array(types.int64, 2, "C")
_f8_1d = types.Array(types.float64, 1, "C")
_f8_2d = types.Array(types.float64, 2, "C")
_f8_5d = types.Array(types.float64, 5, "C")


@jit
def _combine(c0, r0, c1, r1, c2, r2, c3, r3, source, row, target):  # type: ignore[no-untyped-def]
    for z in range(source.shape[1]):
        target[row, z] = (c0 * source[r0, z] + c1 * source[r1, z]) + (c2 * source[r2, z] + c3 * source[r3, z])


@jit
def _add_scaled(factor, r, source, row, target):  # type: ignore[no-untyped-def]
    for z in range(source.shape[1]):
        target[row, z] += factor * source[r, z]


@jit
def _to_voxels(r, nodes, sums, differences, voxels):  # type: ignore[no-untyped-def]
    """From a row of nodes to the rows of sums and differences over the voxels between them; the last node is the first.

    `nodes` has one more column, which is written.
    """
    n = voxels.shape[1]
    nodes[r, n] = nodes[r, 0]
    for z in range(n):
        voxels[sums, z] = nodes[r, z + 1] + nodes[r, z]
    for z in range(n):
        voxels[differences, z] = nodes[r, z + 1] - nodes[r, z]


@jit
def _to_nodes(sums, differences, voxels, r, nodes):  # type: ignore[no-untyped-def]
    """The transpose of `_to_voxels`."""
    n = voxels.shape[1]
    for z in range(1, n):
        nodes[r, z] = (voxels[sums, z - 1] + voxels[sums, z]) + (voxels[differences, z - 1] - voxels[differences, z])
    nodes[r, 0] = (voxels[sums, n - 1] + voxels[sums, 0]) + (voxels[differences, n - 1] - voxels[differences, 0])


@jit
def _add_to_nodes(c1, c2, c3, rows, forces, k, i, x, y):  # type: ignore[no-untyped-def]
    for z in range(forces.shape[4]):
        forces[k, i, x, y, z] += (rows[0, z] + c1 * rows[1, z]) + (c2 * rows[2, z] + c3 * rows[3, z])


@jit
def _others(axis):  # type: ignore[no-untyped-def]
    """The other two axes."""
    return (1 if axis == 0 else 0), (1 if axis == 2 else 2)


@kernel(
    types.void(
        _i8,  # first axis
        _f8_2d,  # points
        _f8_1d,  # scale
        _f8,  # volume of a point
        _i8_1d,  # first
        _i8_1d,  # second
        _f8_1d,  # factor
        _i8_2d,  # position
        _f8_5d,  # tangent
        _f8_2d,  # gradients
        _f8_5d,  # fields
        _f8_5d,  # forces
        _f8_2d,  # flux sums
    )
)
def tangent_forces(  # type: ignore[no-untyped-def]
    first_axis,
    points,
    scale,
    point_volume,
    first,
    second,
    factor,
    position,
    tangent,
    gradients,
    fields,
    forces,
    flux_sums,
):
    """Linearised forces ∫ Bᵀ C (ḡ + B u) and fluxes ∫ C (ḡ + B u) of k nodal fields u, one cell.

    `first_axis` is the first axis with a derivative, 1 in the plane; `points` (q, 3) are the integration points, each
    of which stands for `point_volume`; `scale` (3,) is 1 / (4 · edge length of a voxel) by axis; `first`, `second`,
    `factor` and `position` are those of `Packing`. With C as `tangent` (q, nx, ny, kept, nz), ḡ as `gradients` (k, g)
    and u as `fields` (k, block size, nx, ny, nz), the results are written to `forces` and `flux_sums`, like u and ḡ.
    """
    n_fields, block_size, nx, ny, nz = fields.shape
    n_points, g, d = len(points), factor.size, 3 - first_axis
    bilinear = n_points > 1
    n_rows = 4 if bilinear else 3
    corners = np.empty((4, nz))
    nodes = np.zeros((4, nz + 1))
    modes = np.zeros((block_size * 8, nz))
    mode_forces = np.zeros((block_size * 8, nz))
    derivatives = np.empty((block_size * d, nz))
    strain = np.empty((g, nz))
    stress = np.empty((g, nz))
    forces[:] = 0.0
    flux_sums[:] = 0.0

    for x in range(nx):
        next_x = x + 1 if x + 1 < nx else 0
        for y in range(ny):
            next_y = y + 1 if y + 1 < ny else 0
            for k in range(n_fields):
                for i in range(block_size):
                    for z in range(nz):
                        corners[0, z] = fields[k, i, x, y, z]
                    for z in range(nz):
                        corners[1, z] = fields[k, i, next_x, y, z]
                    for z in range(nz):
                        corners[2, z] = fields[k, i, x, next_y, z]
                    for z in range(nz):
                        corners[3, z] = fields[k, i, next_x, next_y, z]
                    _combine(1.0, 0, 1.0, 1, 1.0, 2, 1.0, 3, corners, 0, nodes)
                    _combine(-1.0, 0, 1.0, 1, -1.0, 2, 1.0, 3, corners, 1, nodes)
                    _combine(-1.0, 0, -1.0, 1, 1.0, 2, 1.0, 3, corners, 2, nodes)
                    if bilinear:
                        _combine(1.0, 0, -1.0, 1, -1.0, 2, 1.0, 3, corners, 3, nodes)
                    for m in range(n_rows):
                        _to_voxels(m, nodes, 8 * i + m, 8 * i + 4 + m, modes)
                mode_forces[:] = 0.0

                for q in range(n_points):
                    for i in range(block_size):
                        for axis in range(first_axis, 3):
                            one, two = _others(axis)
                            m, m1, m2 = 8 * i + (1 << axis), 1 << one, 1 << two
                            c, c1, c2 = scale[axis], points[q, one], points[q, two]
                            row = i * d + axis - first_axis
                            if bilinear:
                                rows = m, m + m1, m + m2, m + m1 + m2
                                _combine(
                                    c,
                                    rows[0],
                                    c * c1,
                                    rows[1],
                                    c * c2,
                                    rows[2],
                                    c * c1 * c2,
                                    rows[3],
                                    modes,
                                    row,
                                    derivatives,
                                )
                            else:
                                for z in range(nz):
                                    derivatives[row, z] = c * modes[m, z]
                    for r in range(g):
                        a, b, c = first[r], second[r], factor[r]
                        for z in range(nz):
                            strain[r, z] = gradients[k, r] + c * (derivatives[a, z] + derivatives[b, z])
                    for r in range(g):
                        for z in range(nz):
                            stress[r, z] = 0.0
                        for s in range(g):
                            kept = position[r, s]
                            for z in range(nz):
                                stress[r, z] += tangent[q, x, y, kept, z] * strain[s, z]
                        total = 0.0
                        for z in range(nz):
                            total += stress[r, z]
                        flux_sums[k, r] += point_volume * total
                    derivatives[:] = 0.0
                    for r in range(g):
                        c = point_volume * factor[r]
                        _add_scaled(c, r, stress, first[r], derivatives)
                        _add_scaled(c, r, stress, second[r], derivatives)
                    for i in range(block_size):
                        for axis in range(first_axis, 3):
                            one, two = _others(axis)
                            m, m1, m2 = 8 * i + (1 << axis), 1 << one, 1 << two
                            c, c1, c2 = scale[axis], points[q, one], points[q, two]
                            row = i * d + axis - first_axis
                            _add_scaled(c, row, derivatives, m, mode_forces)
                            if bilinear:
                                _add_scaled(c * c1, row, derivatives, m + m1, mode_forces)
                                _add_scaled(c * c2, row, derivatives, m + m2, mode_forces)
                                _add_scaled(c * c1 * c2, row, derivatives, m + m1 + m2, mode_forces)

                for i in range(block_size):
                    for m in range(n_rows):
                        _to_nodes(8 * i + m, 8 * i + 4 + m, mode_forces, m, corners)
                    if not bilinear:
                        for z in range(nz):
                            corners[3, z] = 0.0
                    _add_to_nodes(-1.0, -1.0, 1.0, corners, forces, k, i, x, y)
                    _add_to_nodes(1.0, -1.0, -1.0, corners, forces, k, i, next_x, y)
                    _add_to_nodes(-1.0, 1.0, -1.0, corners, forces, k, i, x, next_y)
                    _add_to_nodes(1.0, 1.0, 1.0, corners, forces, k, i, next_x, next_y)
