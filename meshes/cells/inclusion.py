"""One centred inclusion in a matrix: a rectangular array of fibres, or of spheres."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import gmsh
import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from meshes.cells.geometry import edge_lengths, element_length, simplex_kind, two_names
from meshes.cells.periodicity import snapped
from meshes.cells.polygons import INCLUSION, MATRIX, ellipse, polygons_mesh
from meshes.cells.spheres import spheres_mesh, standing_out
from meshes.elements import ELEMENTS, Element, FloatArray
from meshes.errors import MeshError
from meshes.gmsh_model import entity_cells, gmsh_session, model_points, translation
from meshes.mesh_arrays import MeshArrays, no_facets

_FINEST = {2: 500, 3: 60}  # some 600,000 triangles, a million tetrahedra
_CLEARANCE = 0.01  # least distance of the inclusion from the faces of the unit cell


@dataclass(frozen=True)
class Inclusion:
    """A circle or ellipse (2D) or a sphere (3D) at the centre of the cell; phases `matrix` and `inclusion`."""

    volume_fraction: Annotated[float, Ge(1e-6), Lt(1.0)] = 0.3
    """Met by the straight-sided mesh itself, to rounding."""
    resolution: Annotated[int, Ge(2)] = 8
    """Elements along the shortest edge of the cell."""
    shape: Literal["circle", "sphere", "ellipse"] | None = None
    """By default a circle in 2D and a sphere in 3D."""
    aspect_ratio: Annotated[float, Ge(1.0), Le(100.0)] | None = None
    """Long over short axis of an ellipse; by default 2."""
    angle: Annotated[float, Ge(-180.0), Le(180.0)] | None = None
    """From the x axis to the long axis of an ellipse, degrees; by default 0."""
    size: tuple[Annotated[float, Gt(0.0)], ...] | None = None
    """Edge lengths of the cell; by default 1 each."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """`matrix` and `inclusion`."""
        return two_names("an inclusion cell", ("matrix", "inclusion"), given)

    def build(self, dimension: int, element: str) -> MeshArrays:
        """An unstructured mesh with periodic faces, its inclusion scaled to the volume fraction asked for."""
        kind = simplex_kind("a curved inclusion", element, dimension)
        shapes = ("circle", "ellipse") if dimension == 2 else ("sphere",)
        if self.shape not in (None, *shapes):
            article = "an" if self.shape == "ellipse" else "a"
            raise MeshError(f"{article} {self.shape} is no shape in {dimension}D: use {' or '.join(shapes)}")
        if self.shape != "ellipse" and (self.aspect_ratio, self.angle) != (None, None):
            raise MeshError("aspect_ratio and angle are those of an ellipse: set shape to ellipse, or remove them")
        finest = _FINEST[dimension]
        if self.resolution > finest:
            raise MeshError(f"resolution {self.resolution} is too fine for a {dimension}D cell: use {finest} at most")
        if self.shape == "ellipse" or self.size is not None:
            return self._in_a_box(edge_lengths(self.size, dimension))
        model = circle_model if dimension == 2 else sphere_model
        radius = self._radius(dimension)
        purpose = f"inclusion cell of resolution {self.resolution}"
        # The corners of the polyhedron stand out beyond the circle or sphere of the same volume. How far is measured on
        # a mesh of its surface, so that the scaling of the final mesh has next to nothing left to do.
        with gmsh_session(purpose):
            entities = model(self.resolution, radius)
            gmsh.model.mesh.generate(dimension - 1)
            radius *= self._scale(_enclosed_volumes(kind, entities[1]), dimension)
        with gmsh_session(purpose):
            entities = model(self.resolution, radius)
            gmsh.model.mesh.generate(dimension)
            all_points, row = model_points()
            cells = [entity_cells(kind, entity, row) for entity in entities]
        mesh = MeshArrays(
            element=kind,
            points=all_points[:, :dimension],
            cells=np.concatenate(cells),
            cell_tags=np.repeat([MATRIX, INCLUSION], [len(c) for c in cells]),
            regions={"matrix": MATRIX, "inclusion": INCLUSION},
            facets=no_facets(kind)[0],
            facet_tags=no_facets(kind)[1],
            boundaries={},
        )
        mesh = mesh.compact().oriented()
        return mesh._replace(points=snapped(self._scaled(mesh, radius), np.ones(dimension))).oriented()

    def _in_a_box(self, size: FloatArray) -> MeshArrays:
        """A cell that need not be square or cubic, its inclusion not round."""
        purpose, length = f"inclusion cell of resolution {self.resolution}", element_length(size, self.resolution)
        volume = self.volume_fraction * float(size.prod())
        centre = 0.5 * size
        if len(size) == 3:
            radius = (0.75 * volume / math.pi) ** (1.0 / 3.0)
            self._check_fit(np.full(3, standing_out(radius, length)), size)
            return spheres_mesh(size, centre[None], np.array([radius]), length, purpose)
        ratio = 1.0 if self.shape != "ellipse" else 2.0 if self.aspect_ratio is None else self.aspect_ratio
        angle = math.radians(self.angle or 0.0)
        a, b = math.sqrt(volume * ratio / math.pi), math.sqrt(volume / ratio / math.pi)
        self._check_fit(
            np.hypot(
                a * np.array([math.cos(angle), math.sin(angle)]), b * np.array([math.sin(angle), math.cos(angle)])
            ),
            size,
        )
        return polygons_mesh(size, [ellipse(centre, (a, b), angle, min(length, 0.5 * b), size)], length, purpose)

    def _check_fit(self, reach: FloatArray, size: FloatArray) -> None:
        """Refuse an inclusion that reaches so far from the centre along each axis that it comes to a face."""
        axis = int(np.argmax(reach / size))
        if reach[axis] > 0.5 * size[axis] - _CLEARANCE * size.min():
            raise MeshError(
                f"the inclusion of volume fraction {self.volume_fraction:g} is {2.0 * reach[axis]:.4g} long along "
                f"{'xyz'[axis]}, the cell {size[axis]:g}: lower the volume fraction or the aspect ratio"
            )

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

    def _scale(self, volumes: FloatArray, dimension: int) -> float:
        """Factor on the radius of an inclusion made of these elements that gives it its volume."""
        return float((self.volume_fraction / np.abs(volumes).sum()) ** (1.0 / dimension))

    def _scaled(self, mesh: MeshArrays, radius: float) -> FloatArray:
        """Points of `mesh` after a radial map that gives the polyhedral inclusion its volume.

        The inclusion is scaled as a whole; outside, the displacement falls linearly along each ray to zero on the
        faces of the cell.
        """
        scale = self._scale(mesh.volumes()[mesh.cell_tags == INCLUSION], mesh.element.dimension)
        offset = mesh.points - 0.5
        distance = np.linalg.norm(offset, axis=1)
        inside = np.isin(np.arange(len(offset)), mesh.cells[mesh.cell_tags == INCLUSION]) | (distance <= radius)
        weight = np.ones(len(offset))
        face = 0.5 * distance[~inside] / np.abs(offset[~inside]).max(axis=1)  # where the ray leaves the cell
        weight[~inside] = (face - distance[~inside]) / (face - radius)
        return 0.5 + offset * (1.0 + (scale - 1.0) * weight)[:, None]


def _enclosed_volumes(kind: Element, entity: int) -> FloatArray:
    """Volumes of the cones from the centre of the cell to the boundary facets of a gmsh entity around it."""
    points, row = model_points()
    facet = ELEMENTS[kind.facet]
    boundary = gmsh.model.getBoundary([(kind.dimension, entity)], oriented=False)
    facets = np.concatenate([entity_cells(facet, tag, row) for _, tag in boundary])
    vertices = points[facets][:, :, : kind.dimension]
    centre = np.full((len(facets), 1, kind.dimension), 0.5)
    return kind.volumes(np.concatenate([centre, vertices], axis=1))


def interface_size(resolution: int, radius: float) -> float:
    """Element size on the inclusion's surface: that of the cell's edges, or less.

    A circle has eight sides at least. Where it comes close to the cell's faces, elements are short enough for the
    corners of the polyhedron, which stand out by up to size²/(8 radius), to take a quarter of the gap at most.
    """
    return min(1.0 / resolution, 0.25 * math.pi * radius, math.sqrt(2.0 * radius * (0.5 - radius)))


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
    n_arc = math.ceil(0.5 * math.pi * radius / interface_size(resolution, radius) - 1e-9)
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
    gmsh.option.setNumber("Mesh.MeshSizeMax", 1.0 / resolution)
    sphere_curves = gmsh.model.getBoundary(gmsh.model.getBoundary([inner[0]]), combined=False, oriented=False)
    for curve in set(gmsh.model.getEntities(1)) - set(sphere_curves):
        gmsh.model.mesh.setTransfiniteCurve(curve[1], resolution + 1)
    per_turn = math.ceil(2.0 * math.pi * radius / interface_size(resolution, radius) - 1e-9)
    gmsh.option.setNumber("Mesh.MeshSizeFromCurvature", per_turn)
    for axis in range(3):
        low, high = np.full(3, -eps), np.full(3, 1 + eps)
        high[axis] = eps
        master = gmsh.model.getEntitiesInBoundingBox(*low, *high, 2)
        low[axis], high[axis] = 1 - eps, 1 + eps
        slave = gmsh.model.getEntitiesInBoundingBox(*low, *high, 2)
        gmsh.model.mesh.setPeriodic(2, [tag for _, tag in slave], [tag for _, tag in master], translation(axis))
    return [outer[0][1], inner[0][1]]
