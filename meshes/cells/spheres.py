"""Spheres in a periodic box, which may stand across its faces."""

import itertools
import math

import gmsh
import numpy as np
from scipy.optimize import brentq
from scipy.spatial import cKDTree

from meshes.cells.periodicity import snapped
from meshes.cells.polygons import INCLUSION, MATRIX
from meshes.elements import ELEMENTS, FloatArray, IntArray
from meshes.errors import MeshError
from meshes.gmsh_model import entity_cells, gmsh_session, model_points, translation
from meshes.mesh_arrays import MeshArrays, no_facets

_PER_TURN = 12
_LARGEST_MOVE = 0.2  # over the radius; the polyhedra are closer to their volume than this


def standing_out(radius: float, length: float) -> float:
    """Radius of the corners of a polyhedron of the volume of a sphere, with triangles of edge length e.

    The surface of an equilateral triangle lies e²/(8 r) below its corners on average.
    """
    edge = min(length, 2.0 * math.pi * radius / _PER_TURN)
    return radius + edge**2 / (8.0 * radius)


def spheres_mesh(size: FloatArray, centres: FloatArray, radii: FloatArray, length: float, purpose: str) -> MeshArrays:
    """A box with spheres; cell tags 1 (matrix) and 2 (inclusion).

    The nodes of the interfaces are moved along the radii, and on faces within them, until the tetrahedra fill the
    volume of the spheres.

    Args:
        size: edge lengths of the box, (3,).
        centres: (n, 3), in the box.
        radii: (n,); none meets another sphere or an image of one.
        length: of elements.
        purpose: what is meshed, for messages.

    Raises:
        MeshError: gmsh fails, or elements degenerate.
    """
    kind = ELEMENTS["tetrahedron"]
    outer = np.array([standing_out(float(radius), length) for radius in radii])
    images, owner = _images(size, centres, outer)
    with gmsh_session(purpose):
        volumes = _model(size, images, outer[owner], length)
        gmsh.model.mesh.generate(3)
        points, row = model_points()
        cells = [np.concatenate([entity_cells(kind, v, row) for v in tags]) for tags in volumes]
    mesh = MeshArrays(
        element=kind,
        points=points,
        cells=np.concatenate(cells),
        cell_tags=np.repeat([MATRIX, INCLUSION], [len(c) for c in cells]),
        regions={"matrix": MATRIX, "inclusion": INCLUSION},
        facets=no_facets(kind)[0],
        facet_tags=no_facets(kind)[1],
        boundaries={},
    ).compact()
    mesh = mesh._replace(points=snapped(mesh.points, size)).oriented()
    mesh = _filled(mesh, size, images, outer[owner], 4.0 / 3.0 * math.pi * float((radii**3).sum()))
    return mesh._replace(points=snapped(mesh.points, size)).oriented()


def _images(size: FloatArray, centres: FloatArray, radii: FloatArray) -> tuple[FloatArray, IntArray]:
    """Centres of all spheres that reach into the box, (m, 3), and which sphere each is an image of, (m,)."""
    shifts = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=3))) * size
    images = (centres + shifts[:, None]).reshape(-1, 3)
    owner = np.tile(np.arange(len(centres)), len(shifts))
    outside = np.maximum(np.maximum(-images, images - size), 0.0)
    reaching = np.linalg.norm(outside, axis=1) < radii[owner]
    return images[reaching], owner[reaching]


def _model(size: FloatArray, centres: FloatArray, radii: FloatArray, length: float) -> tuple[list[int], list[int]]:
    """Fill the current gmsh model; the volumes of matrix and inclusions."""
    occ, model = gmsh.model.occ, gmsh.model
    box = occ.addBox(0.0, 0.0, 0.0, *size)
    spheres = [(3, occ.addSphere(*centre, radius)) for centre, radius in zip(centres, radii, strict=True)]
    _, parts = occ.fragment([(3, box)], spheres)
    occ.synchronize()
    whole, round_parts = set(parts[0]), set(itertools.chain.from_iterable(parts[1:]))
    occ.remove(list(round_parts - whole), recursive=True)
    occ.synchronize()
    if not whole - round_parts:
        raise MeshError("the spheres leave no matrix: lower the volume fraction")
    eps = 1e-4 * float(size.min())
    for axis in range(3):
        low, high = np.full(3, -eps), size + eps
        high[axis] = eps
        master = model.getEntitiesInBoundingBox(*low, *high, 2)
        low[axis], high[axis] = size[axis] - eps, size[axis] + eps
        slave = model.getEntitiesInBoundingBox(*low, *high, 2)
        shift = np.tile(np.eye(3)[axis] * size[axis], 2)
        boxes = [
            np.array([model.getBoundingBox(*entity) for entity in face]).reshape(-1, 6) for face in (master, slave)
        ]
        distance, nearest = cKDTree(boxes[0] + shift).query(boxes[1])
        if len(master) != len(slave) or distance.max() > eps:
            raise MeshError(f"opposite faces along {'xyz'[axis]} are cut differently: change the seed")
        slaves, masters = [tag for _, tag in slave], [master[i][1] for i in nearest]
        model.mesh.setPeriodic(2, slaves, masters, translation(axis, float(size[axis])))
    gmsh.option.setNumber("Mesh.MeshSizeMax", length)
    gmsh.option.setNumber("Mesh.MeshSizeFromCurvature", _PER_TURN)
    return [tag for _, tag in sorted(whole - round_parts)], [tag for _, tag in sorted(whole & round_parts)]


def _filled(mesh: MeshArrays, size: FloatArray, centres: FloatArray, radii: FloatArray, volume: float) -> MeshArrays:
    """The mesh after its interfaces have moved until the inclusions have their volume."""
    inside = mesh.cell_tags == INCLUSION
    interface = np.intersect1d(mesh.cells[inside], mesh.cells[~inside])
    at = mesh.points[interface]
    offset = at[:, None] - centres
    nearest = np.abs(np.linalg.norm(offset, axis=2) - radii).argmin(axis=1)
    direction = offset[np.arange(len(at)), nearest]
    direction[(at == 0.0) | (at == size)] = 0.0

    def moved(scale: float) -> MeshArrays:
        points = mesh.points.copy()
        points[interface] = at + scale * direction
        return mesh._replace(points=points)

    def excess(scale: float) -> float:
        return float(moved(scale).volumes()[inside].sum()) / volume - 1.0

    return moved(float(brentq(excess, -_LARGEST_MOVE, _LARGEST_MOVE, xtol=1e-14)))
