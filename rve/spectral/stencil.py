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
def _combine(c0, row0, c1, row1, c2, row2, c3, row3, result):  # type: ignore[no-untyped-def]
    for z in range(result.size):
        result[z] = (c0 * row0[z] + c1 * row1[z]) + (c2 * row2[z] + c3 * row3[z])


@jit
def _add_combined(c0, row0, c1, row1, c2, row2, c3, row3, result):  # type: ignore[no-untyped-def]
    for z in range(result.size):
        result[z] += (c0 * row0[z] + c1 * row1[z]) + (c2 * row2[z] + c3 * row3[z])


@jit
def _add_scaled(factor, row, result):  # type: ignore[no-untyped-def]
    for z in range(result.size):
        result[z] += factor * row[z]


@jit
def _add_product(row0, row1, result):  # type: ignore[no-untyped-def]
    for z in range(result.size):
        result[z] += row0[z] * row1[z]


@jit
def _to_voxels(nodes, sums, differences):  # type: ignore[no-untyped-def]
    """From a row of nodes, the first repeated at its end, to sums and differences over the voxels between them."""
    for z in range(sums.size):
        sums[z] = nodes[z + 1] + nodes[z]
    for z in range(sums.size):
        differences[z] = nodes[z + 1] - nodes[z]


@jit
def _to_nodes(sums, differences, nodes):  # type: ignore[no-untyped-def]
    """The transpose of `_to_voxels`, the last node added to the first, whose image it is."""
    n = sums.size
    for z in range(1, n):
        nodes[z] = (sums[z - 1] + sums[z]) + (differences[z - 1] - differences[z])
    nodes[0] = (sums[n - 1] + sums[0]) + (differences[n - 1] - differences[0])


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
    row = np.empty((4, nz + 1))
    modes = np.zeros((block_size, 8, nz))
    mode_forces = np.zeros((block_size, 8, nz))
    derivatives = np.empty((block_size * d, nz))
    strain = np.empty((g, nz))
    stress = np.empty((g, nz))
    row_forces = np.zeros((4, nz))
    forces[:] = 0.0
    flux_sums[:] = 0.0

    for x in range(nx):
        next_x = x + 1 if x + 1 < nx else 0
        for y in range(ny):
            next_y = y + 1 if y + 1 < ny else 0
            for k in range(n_fields):
                for i in range(block_size):
                    u00, u10 = fields[k, i, x, y], fields[k, i, next_x, y]
                    u01, u11 = fields[k, i, x, next_y], fields[k, i, next_x, next_y]
                    _combine(1.0, u00, 1.0, u10, 1.0, u01, 1.0, u11, row[0, :nz])
                    _combine(-1.0, u00, 1.0, u10, -1.0, u01, 1.0, u11, row[1, :nz])
                    _combine(-1.0, u00, -1.0, u10, 1.0, u01, 1.0, u11, row[2, :nz])
                    if bilinear:
                        _combine(1.0, u00, -1.0, u10, -1.0, u01, 1.0, u11, row[3, :nz])
                    for m in range(n_rows):
                        row[m, nz] = row[m, 0]
                        _to_voxels(row[m], modes[i, m], modes[i, 4 + m])
                mode_forces[:] = 0.0

                for q in range(n_points):
                    for i in range(block_size):
                        mode = modes[i]
                        for axis in range(first_axis, 3):
                            one, two = _others(axis)
                            m, m1, m2 = 1 << axis, 1 << one, 1 << two
                            c, c1, c2 = scale[axis], points[q, one], points[q, two]
                            result = derivatives[i * d + axis - first_axis]
                            if bilinear:
                                with_one, with_two, with_both = mode[m | m1], mode[m | m2], mode[m | m1 | m2]
                                _combine(c, mode[m], c * c1, with_one, c * c2, with_two, c * c1 * c2, with_both, result)
                            else:
                                result[:] = 0.0
                                _add_scaled(c, mode[m], result)
                    for r in range(g):
                        strain[r] = gradients[k, r]
                        _add_scaled(factor[r], derivatives[first[r]], strain[r])
                        _add_scaled(factor[r], derivatives[second[r]], strain[r])
                    rows = tangent[q, x, y]
                    for r in range(g):
                        stress[r] = 0.0
                        for s in range(g):
                            _add_product(rows[position[r, s]], strain[s], stress[r])
                        flux_sums[k, r] += point_volume * stress[r].sum()
                    derivatives[:] = 0.0
                    for r in range(g):
                        _add_scaled(point_volume * factor[r], stress[r], derivatives[first[r]])
                        _add_scaled(point_volume * factor[r], stress[r], derivatives[second[r]])
                    for i in range(block_size):
                        mode = mode_forces[i]
                        for axis in range(first_axis, 3):
                            one, two = _others(axis)
                            m, m1, m2 = 1 << axis, 1 << one, 1 << two
                            c, c1, c2 = scale[axis], points[q, one], points[q, two]
                            derivative = derivatives[i * d + axis - first_axis]
                            _add_scaled(c, derivative, mode[m])
                            if bilinear:
                                _add_scaled(c * c1, derivative, mode[m | m1])
                                _add_scaled(c * c2, derivative, mode[m | m2])
                                _add_scaled(c * c1 * c2, derivative, mode[m | m1 | m2])

                for i in range(block_size):
                    for m in range(n_rows):
                        _to_nodes(mode_forces[i, m], mode_forces[i, 4 + m], row_forces[m])
                    f0, f1, f2, f3 = row_forces[0], row_forces[1], row_forces[2], row_forces[3]
                    _add_combined(1.0, f0, -1.0, f1, -1.0, f2, 1.0, f3, forces[k, i, x, y])
                    _add_combined(1.0, f0, 1.0, f1, -1.0, f2, -1.0, f3, forces[k, i, next_x, y])
                    _add_combined(1.0, f0, -1.0, f1, 1.0, f2, -1.0, f3, forces[k, i, x, next_y])
                    _add_combined(1.0, f0, 1.0, f1, 1.0, f2, 1.0, f3, forces[k, i, next_x, next_y])
