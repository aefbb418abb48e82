"""The product of a cell's stiffness with nodal fields, strip by strip of voxels, without a matrix.

In a voxel a nodal field has 2^d modes: its mean, its differences along the axes, and their products. A derivative at
the integration point ξ is a sum of the modes that differ along its axis, weighted with the ξ of the other axes. Every
step runs over a whole strip of voxels at once, which the compiler turns into vector instructions.
"""

import numpy as np
from numba import types
from numba.core.typing import Signature

from materials.compilation import jit, kernel


@jit
def _combine(c0, r0, c1, r1, c2, r2, c3, r3, source, row, target):  # type: ignore[no-untyped-def]
    for z in range(source.shape[1]):
        target[row, z] = (c0 * source[r0, z] + c1 * source[r1, z]) + (c2 * source[r2, z] + c3 * source[r3, z])


@jit
def _add_and_subtract(source, target):  # type: ignore[no-untyped-def]
    """Sum of four rows, their differences along the first and the second axis, and the difference of differences."""
    n = source.shape[1]
    for z in range(n):
        target[0, z] = (source[0, z] + source[1, z]) + (source[2, z] + source[3, z])
    for z in range(n):
        target[1, z] = (source[1, z] - source[0, z]) + (source[3, z] - source[2, z])
    for z in range(n):
        target[2, z] = (source[2, z] - source[0, z]) + (source[3, z] - source[1, z])
    for z in range(n):
        target[3, z] = (source[0, z] - source[1, z]) + (source[3, z] - source[2, z])


@jit
def _add_scaled(factor, r, source, row, target):  # type: ignore[no-untyped-def]
    for z in range(source.shape[1]):
        target[row, z] += factor * source[r, z]


@jit
def _to_voxels(r, nodes, nz, sums, differences, voxels):  # type: ignore[no-untyped-def]
    """From nodes to sums and differences over the voxels between them; each nz of them are a closed row."""
    n = voxels.shape[1]
    for z in range(n - 1):
        voxels[sums, z] = nodes[r, z + 1] + nodes[r, z]
    for z in range(n - 1):
        voxels[differences, z] = nodes[r, z + 1] - nodes[r, z]
    for start in range(0, n, nz):
        end = start + nz - 1
        voxels[sums, end] = nodes[r, start] + nodes[r, end]
        voxels[differences, end] = nodes[r, start] - nodes[r, end]


@jit
def _to_nodes(sums, differences, voxels, nz, r, nodes):  # type: ignore[no-untyped-def]
    """The transpose of `_to_voxels`."""
    n = voxels.shape[1]
    for z in range(1, n):
        nodes[r, z] = (voxels[sums, z - 1] + voxels[sums, z]) + (voxels[differences, z - 1] - voxels[differences, z])
    for z in range(0, n, nz):
        end = z + nz - 1
        nodes[r, z] = (voxels[sums, end] + voxels[sums, z]) + (voxels[differences, end] - voxels[differences, z])


@jit
def _gather(fields, k, i, x, next_x, first_row, n_rows, corners):  # type: ignore[no-untyped-def]
    """The nodes at the corners of a strip's rows, without those along the last axis."""
    ny, nz = fields.shape[3:]
    for row in range(n_rows):
        y, start = first_row + row, row * nz
        next_y = y + 1 if y + 1 < ny else 0
        for z in range(nz):
            corners[0, start + z] = fields[k, i, x, y, z]
        for z in range(nz):
            corners[1, start + z] = fields[k, i, next_x, y, z]
        for z in range(nz):
            corners[2, start + z] = fields[k, i, x, next_y, z]
        for z in range(nz):
            corners[3, start + z] = fields[k, i, next_x, next_y, z]


@jit
def _distribute(source, n_rows, first_row, forces, k, i, x, next_x):  # type: ignore[no-untyped-def]
    """The transpose of `_gather` and `_add_and_subtract`."""
    ny, nz = forces.shape[3:]
    for row in range(n_rows):
        y, s = first_row + row, row * nz
        next_y = y + 1 if y + 1 < ny else 0
        for z in range(nz):
            forces[k, i, x, y, z] += (source[0, s + z] - source[1, s + z]) + (source[3, s + z] - source[2, s + z])
        for z in range(nz):
            forces[k, i, next_x, y, z] += (source[0, s + z] + source[1, s + z]) - (source[2, s + z] + source[3, s + z])
        for z in range(nz):
            forces[k, i, x, next_y, z] += (source[0, s + z] - source[1, s + z]) + (source[2, s + z] - source[3, s + z])
        for z in range(nz):
            forces[k, i, next_x, next_y, z] += (source[0, s + z] + source[1, s + z]) + (
                source[2, s + z] + source[3, s + z]
            )


@jit
def _others(axis):  # type: ignore[no-untyped-def]
    """The other two axes."""
    return (1 if axis == 0 else 0), (1 if axis == 2 else 2)


def _tangent_forces(  # type: ignore[no-untyped-def]
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
    `factor` and `position` are those of `Packing`. With C as `tangent` (q, N / width, kept, width), by strips of
    `width` voxels, ḡ as `gradients` (k, g) and u as `fields` (k, block size, nx, ny, nz), the results are written to
    `forces` and `flux_sums`, like u and ḡ.
    """
    n_fields, block_size, nx, ny, nz = fields.shape
    n_points, g, d = len(points), factor.size, 3 - first_axis
    width = tangent.shape[3]
    n_rows = width // nz
    bilinear = n_points > 1
    n_products = 4 if bilinear else 3
    corners = np.empty((4, width), fields.dtype)
    nodes = np.empty((4, width), fields.dtype)
    modes = np.zeros((block_size * 8, width), fields.dtype)
    mode_forces = np.zeros((block_size * 8, width), fields.dtype)
    derivatives = np.empty((block_size * d, width), fields.dtype)
    strain = np.empty((g, width), fields.dtype)
    stress = np.empty((g, width), fields.dtype)
    columns = np.zeros((n_fields * g, width), fields.dtype)
    forces[:] = 0.0

    for x in range(nx):
        next_x = x + 1 if x + 1 < nx else 0
        for first_row in range(0, ny, n_rows):
            strip = (x * ny + first_row) // n_rows
            for k in range(n_fields):
                for i in range(block_size):
                    _gather(fields, k, i, x, next_x, first_row, n_rows, corners)
                    _add_and_subtract(corners, nodes)
                    for m in range(n_products):
                        _to_voxels(m, nodes, nz, 8 * i + m, 8 * i + 4 + m, modes)
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
                                for z in range(width):
                                    derivatives[row, z] = c * modes[m, z]
                    for r in range(g):
                        a, b, c = first[r], second[r], factor[r]
                        for z in range(width):
                            strain[r, z] = gradients[k, r] + c * (derivatives[a, z] + derivatives[b, z])
                    for r in range(g):
                        for z in range(width):
                            stress[r, z] = 0.0
                        for s in range(g):
                            kept = position[r, s]
                            for z in range(width):
                                stress[r, z] += tangent[q, strip, kept, z] * strain[s, z]
                        for z in range(width):
                            columns[k * g + r, z] += stress[r, z]
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
                    for m in range(n_products):
                        _to_nodes(8 * i + m, 8 * i + 4 + m, mode_forces, nz, m, corners)
                    if not bilinear:
                        for z in range(width):
                            corners[3, z] = 0.0
                    _distribute(corners, n_rows, first_row, forces, k, i, x, next_x)

    for k in range(n_fields):
        for r in range(g):
            flux_sums[k, r] = point_volume * columns[k * g + r].sum()


def _signature(real: types.Float) -> Signature:
    """The arguments of `_tangent_forces` in one precision."""
    vector, matrix, field = (types.Array(real, rank, "C") for rank in (1, 2, 5))
    index, places = types.Array(types.int64, 1, "C"), types.Array(types.int64, 2, "C")
    arguments = (
        types.int64,  # first axis
        matrix,  # points
        vector,  # scale
        real,  # volume of a point
        index,  # first
        index,  # second
        vector,  # factor
        places,  # position
        types.Array(real, 4, "C"),  # tangent
        matrix,  # gradients
        field,  # fields
        field,  # forces
        matrix,  # flux sums
    )
    return types.void(*arguments)


tangent_forces = {
    np.dtype(np.float64): kernel(_signature(types.float64))(_tangent_forces),
    np.dtype(np.float32): kernel(_signature(types.float32))(_tangent_forces),
}
"""`_tangent_forces` by precision."""
