"""Functions of PETSc that petsc4py does not bind in every release supported here.

They are called in the library that petsc4py itself is linked to.
"""

import ctypes
from functools import cache

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from materials.measures import FloatArray

_INSERT_VALUES = 1  # values at one place are summed; what was in the matrix before is replaced

Indices = NDArray[np.signedinteger]


def preallocate_coordinates(mat: PETSc.Mat, rows: Indices, columns: Indices) -> None:
    """Lay out a matrix by the places of its values (MatSetPreallocationCOO). Collective."""
    places = [np.array(indices, dtype=PETSc.IntType) for indices in (rows, columns)]  # copies: PETSc reorders them
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in places]
    _check(_library().MatSetPreallocationCOO(_handle(mat), ctypes.c_ssize_t(rows.size), *pointers))


def set_coordinate_values(mat: PETSc.Mat, values: FloatArray) -> None:
    """Replace a matrix by values at the places of its layout (MatSetValuesCOO). Collective."""
    pointer = values.ctypes.data_as(ctypes.c_void_p)
    _check(_library().MatSetValuesCOO(_handle(mat), pointer, ctypes.c_int(_INSERT_VALUES)))
    mat.stateIncrease()


def was_option_read(name: str) -> bool:
    """Whether PETSc has read an option of its database, given with prefix and without dash (PetscOptionsUsed)."""
    used = ctypes.c_int(0)  # PetscBool is an enum, in later releases one byte: the other bytes stay zero
    _check(_library().PetscOptionsUsed(None, name.encode(), ctypes.byref(used)))
    return bool(used.value)


@cache
def _library() -> ctypes.CDLL:
    """The PETSc that petsc4py uses; symbols are found through the libraries that its module depends on."""
    return ctypes.CDLL(PETSc.__file__)


def _handle(mat: PETSc.Mat) -> ctypes.c_void_p:
    return ctypes.c_void_p(mat.handle)


def _check(code: int) -> None:
    if code:
        raise PETSc.Error(code)
