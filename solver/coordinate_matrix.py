"""PETSc matrices filled in coordinate form: the places once, then values only."""

from petsc4py import PETSc

from materials.measures import FloatArray
from solver.petsc_library import Indices, preallocate_coordinates, set_coordinate_values


class CoordinateMatrix:
    """A distributed AIJ matrix whose values are given place by place, in the order of `rows` and `columns`.

    Args:
        comm: The ranks.
        sizes: Owned and global number of rows (and columns).
        block_size: Unknowns per node.
        rows: Global row of each value, on any rank; negative rows are skipped.
        columns: Likewise.
    """

    def __init__(
        self,
        comm: object,
        sizes: tuple[int, int],
        block_size: int,
        rows: Indices,
        columns: Indices,
    ):
        if rows.shape != columns.shape or rows.ndim != 1:
            raise ValueError(f"rows {rows.shape} and columns {columns.shape} must be vectors of one length")
        self.mat = PETSc.Mat().create(comm)
        """The PETSc matrix, the same object for life."""
        self.mat.setSizes((sizes, sizes), bsize=block_size)
        self.mat.setType(PETSc.Mat.Type.AIJ)
        self._count = rows.size
        preallocate_coordinates(self.mat, rows, columns)

    def fill(self, values: FloatArray) -> None:
        """Replace the matrix by these values, one for each place; values at the same place add up. Collective."""
        if values.shape != (self._count,) or values.dtype != PETSc.ScalarType or not values.flags.c_contiguous:
            raise ValueError(f"{self._count} contiguous values are needed, got {values.shape} of {values.dtype}")
        set_coordinate_values(self.mat, values)
