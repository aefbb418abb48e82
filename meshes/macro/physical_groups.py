"""The mesh of the current gmsh model, with regions and boundaries named by its physical groups."""

import gmsh
import numpy as np

from meshes.elements import ELEMENTS, Element, IntArray, element_kind
from meshes.errors import MeshError
from meshes.gmsh_model import entity_cells, entity_kinds, model_points
from meshes.mesh_arrays import MeshArrays

_GROUP_COMMAND = {1: "Physical Curve", 2: "Physical Surface", 3: "Physical Volume"}


def read_model(name: str, element: str | None) -> MeshArrays:
    """Cells of the highest dimension in the model, with all their physical groups and those of their facets.

    Args:
        name: of the mesh, for messages.
        element: kind expected; None takes what the model holds.

    Raises:
        MeshError: no cells, cells of another kind or of several, no region names, names that overlap.
    """
    kind = _cell_kind(name, element)
    points, row = model_points()
    cells, cell_tags, regions = _named(name, kind, row, complete=True)
    if not regions:
        raise MeshError(
            f'{name} names no region: add {_GROUP_COMMAND[kind.dimension]}("name") = {{…}}; in gmsh, save again'
        )
    facets, facet_tags, boundaries = _named(name, ELEMENTS[kind.facet], row, complete=False)
    if kind.dimension == 2 and np.ptp(points[np.unique(cells), 2]) > 1e-9 * np.ptp(points, axis=0).max():
        raise MeshError(f"{name} is a surface in space: a 2D mesh must lie in a plane z = const")
    arrays = MeshArrays(
        kind, points[:, : kind.dimension], cells, cell_tags, regions, facets, facet_tags, boundaries
    ).compact()
    _check_facets(name, arrays)
    return arrays.oriented()


def _cell_kind(name: str, element: str | None) -> Element:
    """The one kind of the cells of the highest dimension."""
    found: dict[str, int] = {}
    for dimension in (3, 2):
        for _, entity in gmsh.model.getEntities(dimension):
            for kind, count in entity_kinds(dimension, entity).items():
                found[kind] = found.get(kind, 0) + count
        if found:
            break
    if not found:
        raise MeshError(
            f"{name} holds no triangles, quadrilaterals, tetrahedra or hexahedra: gmsh saves what is in a physical "
            "group, so put the domain in a Physical Surface (2D) or Physical Volume (3D)"
        )
    listed = ", ".join(f"{count} {kind}" for kind, count in found.items())
    if len(found) > 1:
        raise MeshError(f"{name} mixes elements ({listed}): mesh it with one kind")
    (only,) = found
    if only not in ELEMENTS:
        raise MeshError(
            f"{name} holds {listed} elements, which are not straight-sided or not supported: save it with first-order "
            "triangles, quadrilaterals, tetrahedra or hexahedra (the degree of the unknown is set in the case)"
        )
    if element is not None and element_kind(element).name != only:
        raise MeshError(f"{name} holds {listed} elements, not {element}: set element to {only}")
    return ELEMENTS[only]


def _named(name: str, kind: Element, row: IntArray, complete: bool) -> tuple[IntArray, IntArray, dict[str, int]]:
    """Elements in physical groups, their tags, and the names -> tags (1, 2, … by group number).

    Elements outside every group are left out, or refused where the groups must be `complete`.
    """
    groups = gmsh.model.getPhysicalGroups(kind.dimension)
    titles = {tag: gmsh.model.getPhysicalName(kind.dimension, tag) or str(tag) for _, tag in groups}
    tags: dict[str, int] = {}
    for title in titles.values():
        tags.setdefault(title, len(tags) + 1)
    elements: list[IntArray] = [np.empty((0, kind.n_vertices), dtype=np.int64)]
    values: list[IntArray] = [np.empty(0, dtype=np.int64)]
    for _, entity in gmsh.model.getEntities(kind.dimension):
        members = entity_cells(kind, entity, row)
        names = {titles[tag] for tag in gmsh.model.getPhysicalGroupsForEntity(kind.dimension, entity) if tag in titles}
        if not len(members) or not (names or (complete and tags)):
            continue
        if len(names) != 1:
            problem = (
                f"are in the physical groups {' and '.join(sorted(names))}" if names else "are in no physical group"
            )
            raise MeshError(f"{name}: {len(members)} {kind.name} elements {problem}; each element takes exactly one")
        elements.append(members)
        values.append(np.full(len(members), tags[names.pop()], dtype=np.int64))
    return np.concatenate(elements), np.concatenate(values), tags


def _check_facets(name: str, arrays: MeshArrays) -> None:
    """Refuse named facets that are no facets of a cell."""
    n_vertices = arrays.facets.shape[1]
    of_cells = np.unique(
        np.sort(arrays.cells[:, arrays.element.facet_vertices].reshape(-1, n_vertices), axis=1), axis=0
    )
    named = np.sort(arrays.facets, axis=1)
    _, copies = np.unique(np.concatenate([of_cells, named]), axis=0, return_inverse=True)
    found = np.zeros(copies.max() + 1, dtype=bool)
    found[copies.ravel()[: len(of_cells)]] = True
    strays = arrays.facet_tags[~found[copies.ravel()[len(of_cells) :]]]
    if strays.size:
        names = ", ".join(sorted(title for title, tag in arrays.boundaries.items() if tag in strays))
        raise MeshError(f"{name}: {strays.size} facets of {names} are not facets of a cell in a named region")
