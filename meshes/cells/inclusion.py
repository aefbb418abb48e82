"""One centred inclusion in a matrix: a square array of fibres, or a cubic array of spheres."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import gmsh
import numpy as np
from annotated_types import Ge, Gt, Lt

from meshes.elements import Element, FloatArray, element_kind
from meshes.errors import MeshError
from meshes.gmsh_model import entity_cells, gmsh_session, model_points
from meshes.mesh_arrays import MeshArrays, no_facets

MATRIX, INCLUSION = 1, 2
_CLEARANCE = 0.01  # least distance of the inclusion from the faces of the unit cell


@dataclass(frozen=True)
class Inclusion:
    """A circle (2D) or sphere (3D) at the centre of the unit cell; phases `matrix` and `inclusion`."""

    volume_fraction: Annotated[float, Gt(0.0), Lt(1.0)] = 0.3
    """Met by the straight-sided mesh itself, to rounding."""
    resolution: Annotated[int, Ge(2)] = 8
    """Elements along an edge of the cell."""
    shape: Literal["circle", "sphere"] | None = None
    """By default a circle in 2D and a sphere in 3D."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """`matrix` and `inclusion`."""
        names = ("matrix", "inclusion")
        if given is not None and set(given) != set(names):
            raise MeshError(f"the phases of an inclusion cell are matrix and inclusion, given are {', '.join(given)}")
        return names

    def build(self, dimension: int, element: str) -> MeshArrays:
        """An unstructured mesh with periodic faces, its inclusion scaled to the volume fraction asked for."""
        kind = element_kind(element, dimension)
        if not kind.is_simplex:
            simplex = "triangle" if dimension == 2 else "tetrahedron"
            raise MeshError(f"a curved inclusion cannot be meshed with {element} elements: use {simplex}")
        shape = "circle" if dimension == 2 else "sphere"
        if self.shape not in (None, shape):
            raise MeshError(f"a {self.shape} is no shape in {dimension}D: use {shape}")
        radius = self._radius(dimension)
        model: Callable[[int, float], list[int]] = circle_model if dimension == 2 else sphere_model
        with gmsh_session(f"inclusion cell of resolution {self.resolution}"):
            entities = model(self.resolution, radius)
            gmsh.model.mesh.generate(dimension)
            all_points, row = model_points()
            cells = [entity_cells(kind, entity, row) for entity in entities]
        tags = np.repeat([MATRIX, INCLUSION], [len(c) for c in cells])
        regions = {"matrix": MATRIX, "inclusion": INCLUSION}
        mesh = MeshArrays(
            kind, all_points[:, :dimension], np.concatenate(cells), tags, regions, *no_facets(kind), {}
        ).compact()
        mesh = mesh.oriented()
        points = on_faces(mesh.points)
        return mesh._replace(points=self._scaled(mesh._replace(points=points), kind, radius)).oriented()

    def _radius(self, dimension: int) -> float:
        """Radius of the exact circle or sphere."""
        unit = math.pi if dimension == 2 else 4.0 / 3.0 * math.pi
        radius = (self.volume_fraction / unit) ** (1.0 / dimension)
        largest = 0.5 - _CLEARANCE
        if radius > largest:
            raise MeshError(
                f"a {'circle' if dimension == 2 else 'sphere'} of volume fraction {self.volume_fraction:g} does not "
                f"fit into the unit cell: at most {math.floor(unit * largest**dimension * 1e4) / 1e4:g} is possible"
            )
        return radius

    def _scaled(self, mesh: MeshArrays, kind: Element, radius: float) -> FloatArray:
        """Points of `mesh` after a radial map that gives the polyhedral inclusion its volume.

        The inclusion is scaled as a whole; outside, the displacement falls linearly along each ray to zero on the
        faces of the cell.
        """
        polyhedron = mesh.volumes()[mesh.cell_tags == INCLUSION].sum()
        scale = (self.volume_fraction / polyhedron) ** (1.0 / kind.dimension)
        offset = mesh.points - 0.5
        distance = np.linalg.norm(offset, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            face = 0.5 * distance / np.abs(offset).max(axis=1)  # distance of the cell's face along the ray
            weight = np.where(distance <= radius, 1.0, (face - distance) / (face - radius))
        weight[np.unique(mesh.cells[mesh.cell_tags == INCLUSION])] = 1.0
        return 0.5 + offset * (1.0 + (scale - 1.0) * weight)[:, None]


def on_faces(points: FloatArray) -> FloatArray:
    """Points of the unit cell with coordinates that are 0 or 1 but for rounding set so."""
    points = np.where(np.abs(points) < 1e-9, 0.0, points)
    return np.where(np.abs(points - 1.0) < 1e-9, 1.0, points)


def polygon_scale(sides: int) -> float:
    """Circumradius of a regular polygon over the radius of the circle of the same area."""
    angle = 2.0 * math.pi / sides
    return math.sqrt(angle / math.sin(angle))


def translation(axis: int) -> list[float]:
    """The row-major 4 × 4 matrix, as gmsh takes it, of a unit translation along `axis`."""
    matrix = np.eye(4)
    matrix[axis, 3] = 1.0
    return list(matrix.ravel())


def circle_model(resolution: int, radius: float) -> list[int]:
    """Fill the current gmsh model with the 2D cell; the surfaces of matrix and inclusion."""
    geo = gmsh.model.geo
    corners = [geo.addPoint(x, y, 0.0) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    edges = [geo.addLine(corners[i], corners[(i + 1) % 4]) for i in range(4)]
    centre = geo.addPoint(0.5, 0.5, 0.0)
    ring = [geo.addPoint(0.5 + radius * dx, 0.5 + radius * dy, 0.0) for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    arcs = [geo.addCircleArc(ring[i], centre, ring[(i + 1) % 4]) for i in range(4)]
    circle = geo.addCurveLoop(arcs)
    matrix = geo.addPlaneSurface([geo.addCurveLoop(edges), circle])
    inclusion = geo.addPlaneSurface([circle])
    geo.synchronize()
    mesh = gmsh.model.mesh
    n_arc = max(2, round(0.5 * math.pi * radius * resolution))
    while polygon_scale(4 * n_arc) * radius > radius + 0.25 * (0.5 - radius):
        n_arc += 1  # the polygon's corners stand out beyond the circle: keep them clear of the cell's faces
    for edge in edges:
        mesh.setTransfiniteCurve(edge, resolution + 1)
    for arc in arcs:
        mesh.setTransfiniteCurve(arc, n_arc + 1)
    mesh.setPeriodic(1, [edges[1]], [edges[3]], translation(0))
    mesh.setPeriodic(1, [edges[2]], [edges[0]], translation(1))
    gmsh.option.setNumber("Mesh.Algorithm", 6)
    return [matrix, inclusion]


def sphere_model(resolution: int, radius: float) -> list[int]:
    """Fill the current gmsh model with the 3D cell; the volumes of matrix and inclusion."""
    occ = gmsh.model.occ
    box = occ.addBox(0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
    sphere = occ.addSphere(0.5, 0.5, 0.5, radius)
    occ.fragment([(3, box)], [(3, sphere)])
    occ.synchronize()
    eps = 1e-3
    inner = gmsh.model.getEntitiesInBoundingBox(eps, eps, eps, 1 - eps, 1 - eps, 1 - eps, 3)
    outer = [entity for entity in gmsh.model.getEntities(3) if entity not in inner]
    if len(inner) != 1 or len(outer) != 1:
        raise MeshError(f"the sphere of radius {radius:g} did not split the cell into matrix and inclusion")
    size = 1.0 / resolution
    gmsh.option.setNumber("Mesh.MeshSizeMin", size)
    gmsh.option.setNumber("Mesh.MeshSizeMax", size)
    for axis in range(3):
        low, high = np.full(3, -eps), np.full(3, 1 + eps)
        high[axis] = eps
        master = gmsh.model.getEntitiesInBoundingBox(*low, *high, 2)
        low[axis], high[axis] = 1 - eps, 1 + eps
        slave = gmsh.model.getEntitiesInBoundingBox(*low, *high, 2)
        gmsh.model.mesh.setPeriodic(2, [tag for _, tag in slave], [tag for _, tag in master], translation(axis))
    return [outer[0][1], inner[0][1]]
