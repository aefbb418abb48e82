"""PETSc matrices filled in coordinate form: the places once, then values only.

petsc4py has no binding of MatSetPreallocationCOO and MatSetValuesCOO in the releases supported here, so the two
functions are called in the library that petsc4py itself is linked to.
"""

import ctypes
from functools import cache

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from materials.measures import FloatArray

_INSERT_VALUES = 1  # values at one place are summed; what was in the matrix before is replaced


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
        rows: NDArray[np.signedinteger],
        columns: NDArray[np.signedinteger],
    ):
        if rows.shape != columns.shape or rows.ndim != 1:
            raise ValueError(f"rows {rows.shape} and columns {columns.shape} must be vectors of one length")
        self.mat = PETSc.Mat().create(comm)
        """The PETSc matrix, the same object for life."""
        self.mat.setSizes((sizes, sizes), bsize=block_size)
        self.mat.setType(PETSc.Mat.Type.AIJ)
        self._count = rows.size
        places = [np.array(indices, dtype=PETSc.IntType) for indices in (rows, columns)]  # copies: PETSc reorders them
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in places]
        _check(_library().MatSetPreallocationCOO(_handle(self.mat), ctypes.c_ssize_t(self._count), *pointers))

    def fill(self, values: FloatArray) -> None:
        """Replace the matrix by these values, one for each place; values at the same place add up. Collective."""
        if values.shape != (self._count,) or values.dtype != PETSc.ScalarType or not values.flags.c_contiguous:
            raise ValueError(f"{self._count} contiguous values are needed, got {values.shape} of {values.dtype}")
        pointer = values.ctypes.data_as(ctypes.c_void_p)
        _check(_library().MatSetValuesCOO(_handle(self.mat), pointer, ctypes.c_int(_INSERT_VALUES)))
        self.mat.stateIncrease()


@cache
def _library() -> ctypes.CDLL:
    """The PETSc that petsc4py uses; symbols are found through the libraries that its module depends on."""
    return ctypes.CDLL(PETSc.__file__)


def _handle(mat: PETSc.Mat) -> ctypes.c_void_p:
    return ctypes.c_void_p(mat.handle)


def _check(code: int) -> None:
    if code:
        raise PETSc.Error(code)
