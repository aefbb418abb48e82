"""gmsh without side effects: a quiet session that is always closed, and the mesh of the current model as arrays."""

from collections.abc import Iterator
from contextlib import contextmanager

import gmsh
import numpy as np

from meshes.elements import ELEMENTS, Element, FloatArray, IntArray
from meshes.errors import MeshError


@contextmanager
def gmsh_session(purpose: str) -> Iterator[None]:
    """A fresh gmsh model to work in; failures of gmsh become a `MeshError` that starts with `purpose`.

    gmsh installs no signal handler, reads no configuration of the user, prints nothing and uses one thread, so that a
    mesh depends on its parameters only. A session that the caller has opened is used and left open.
    """
    owned = not gmsh.isInitialized()
    if owned:
        gmsh.initialize(["fe2"], readConfigFiles=False, run=False, interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("General.NumThreads", 1)
        gmsh.model.add("fe2")
        try:
            yield
        except Exception as error:  # gmsh raises nothing more specific
            if type(error) is not Exception:
                raise
            reason = " ".join(str(error).split())
            raise MeshError(f"{purpose}: gmsh fails{f' with {reason!r}' if reason else ''}") from error
        finally:
            gmsh.model.remove()
    finally:
        if owned:
            gmsh.finalize()


def translation(axis: int, length: float = 1.0) -> list[float]:
    """The row-major 4 × 4 matrix, as gmsh takes it, of a translation by `length` along `axis`."""
    matrix = np.eye(4)
    matrix[axis, 3] = length
    return list(matrix.ravel())


def model_points() -> tuple[FloatArray, IntArray]:
    """All nodes of the current model, (n, 3), and the row of each node tag, (largest tag + 1,), −1 where unused."""
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    row = np.full(int(tags.max(initial=0)) + 1, -1, dtype=np.int64)
    row[tags.astype(np.int64)] = np.arange(tags.size)
    return coordinates.reshape(-1, 3), row


def entity_cells(element: Element, entity: int, row: IntArray) -> IntArray:
    """Cells of kind `element` on one gmsh entity as rows of `model_points`, (c, vertices), in dolfinx order.

    Raises:
        MeshError: they refer to nodes that are not there.
    """
    _, tags = gmsh.model.mesh.getElementsByType(element.gmsh_type, entity)
    nodes = tags.astype(np.int64)
    if np.any((nodes < 0) | (nodes >= row.size)) or np.any(row[nodes] < 0):
        raise MeshError(f"{element.name} elements refer to nodes that do not exist: the mesh is corrupt")
    return row[nodes].reshape(-1, element.n_vertices)[:, element.from_gmsh]


def entity_kinds(dimension: int, entity: int) -> dict[str, int]:
    """Names of the element kinds on an entity, ours or gmsh's own, with their numbers of elements."""
    ours = {e.gmsh_type: e.name for e in ELEMENTS.values()}
    kinds = {}
    for gmsh_type, tags in zip(*gmsh.model.mesh.getElements(dimension, entity)[:2], strict=True):
        kinds[ours.get(gmsh_type) or gmsh.model.mesh.getElementProperties(gmsh_type)[0]] = len(tags)
    return kinds
