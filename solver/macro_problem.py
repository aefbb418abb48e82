"""The boundary value problem of the macroscale: unknowns, material points, assembly.

It sees materials, never what they are. Only owned cells are evaluated. Residual and tangent are assembled from the flux
and the tangent at the integration points by compiled element loops; the matrix keeps its layout over the run.
Prescribed unknowns are eliminated symmetrically, so the matrix is as symmetric as the materials.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from dolfinx import fem, la
from mpi4py import MPI
from numpy.typing import NDArray
from petsc4py import PETSc

from materials.gradient_matrix import gradient_kind
from materials.interface import IntArray, Material
from materials.measures import FloatArray, Measure, Physics
from meshes.dolfinx_compat import original_cell_index
from meshes.macro import MacroMesh
from meshes.shape_gradients import default_quadrature_degree, shape_gradients
from solver.coordinate_matrix import CoordinateMatrix
from solver.element_kernels import fill_element_forces, fill_element_stiffness, fill_point_gradients
from solver.loading import ExternalForces, Prescribed
from solver.points import MaterialPoints, PointFields
from solver.restart import Rows


class Evaluation(NamedTuple):
    """Equilibrium of one iterate. All numbers are the same on all ranks."""

    values: FloatArray
    """Nodal values of the iterate, ghosts included."""
    fields: PointFields
    """What the material points answered."""
    residual: FloatArray
    """Internal minus external force of the owned dofs, zero where prescribed."""
    largest: float
    """Largest residual component; infinite if points failed."""
    norm: float
    """Euclidean norm of the residual; infinite if points failed."""
    force: float
    """Largest assembled absolute internal or external force."""
    round_off: float
    """What the residual may be from rounding alone, by the size of stiffness and nodal values."""
    failed: int
    """Number of points without an answer."""


class MacroProblem:
    """Macroscale problem on a mesh, with materials at its integration points.

    Args:
        macro: Mesh with named regions and boundaries.
        measure: Physics and dimension.
        degree: Degree of the Lagrange element, 1 or 2.
        materials: Materials by name.
        regions: Region name, or `all`, to material name.
        quadrature_degree: Degree integrated exactly; None for the default of the cell and degree.
        bbar: Mean dilatation in the small-strain gradient.

    Raises:
        ValueError: a region or a boundary that does not exist, or cells without a material.
    """

    def __init__(
        self,
        macro: MacroMesh,
        measure: Measure,
        degree: int,
        materials: Mapping[str, Material],
        regions: Mapping[str, str],
        quadrature_degree: int | None = None,
        bbar: bool = False,
    ):
        self.mesh = macro.mesh
        self.cell_tags, self.facet_tags = macro.cell_tags, macro.facet_tags
        self.regions, self.boundaries = macro.regions, macro.boundaries
        self.measure = measure
        self.comm: MPI.Comm = self.mesh.comm
        shape = () if measure.physics is Physics.HEAT else (measure.dimension,)
        self.space = fem.functionspace(self.mesh, ("Lagrange", degree, shape))
        if quadrature_degree is None:
            quadrature_degree = default_quadrature_degree(self.mesh.topology.cell_name(), degree)
        self.tables = shape_gradients(self.space, quadrature_degree)
        self.n_cells, self.n_q = self.tables.weights.shape
        self.original_cells: IntArray = original_cell_index(self.mesh)[: self.n_cells]
        self.point_ids: IntArray = (self.original_cells[:, None] * self.n_q + np.arange(self.n_q)).ravel()
        self.points = MaterialPoints(measure, materials, self._place(materials, regions), self.point_ids)
        self.materials, self.material_points = self.points.materials, self.points.indices
        self.symmetric = self.points.symmetric

        index_map, self.block_size = self.space.dofmap.index_map, self.space.dofmap.index_map_bs
        self.n_owned = index_map.size_local * self.block_size
        self.n_dofs = index_map.size_global * self.block_size
        self.solution = fem.Function(self.space, name=measure.primary_name)
        self.load_factor = 0.0
        self.prescribed = Prescribed(self.space)
        self.external = ExternalForces(self.space)
        self._committed = self.points.at_rest()
        self._outcome: Evaluation | None = None
        self._kind, self._bbar = int(gradient_kind(measure)), bbar
        self._work = la.vector(index_map, self.block_size)
        n_local = self.tables.dofs.shape[1]
        self._element_forces = np.zeros((self.n_cells, n_local))
        self._largest_stiffness = 0.0
        self._matrix: CoordinateMatrix | None = None
        self._entries = np.empty(0)
        self._stiffness = np.empty((0, n_local, n_local))
        self._boundary_nodes: dict[str, NDArray[np.int32]] = {}

    # What the solution means -------------------------------------------------------------------------------------

    @property
    def gradient(self) -> FloatArray:
        """Gradient at the owned points of the last accepted increment, (n_points, g)."""
        return self._committed.gradient

    @property
    def flux(self) -> FloatArray:
        """Flux at the owned points of the last accepted increment, (n_points, g)."""
        return self._committed.flux

    @property
    def tangent(self) -> FloatArray:
        """Consistent tangent at the owned points of the last accepted increment, (n_points, g, g)."""
        return self._committed.tangent

    @property
    def outputs(self) -> dict[str, FloatArray]:
        """Extra outputs of the materials by name, each (n_points,); NaN where a material has none."""
        return self._committed.outputs

    def kinds(self) -> IntArray:
        """`Kind` that answers at each owned point, (n_points,)."""
        return self.points.kinds()

    def reaction(self, boundary: str) -> FloatArray:
        """Force that the support of a boundary exerts on the body (heat: heat entering there), (bs,). Collective."""
        nodes = self.boundary_nodes(boundary)
        owned = nodes[nodes < self.space.dofmap.index_map.size_local]
        forces = self.internal_forces(self._committed.flux) - self.external.forces(self.load_factor)
        local = forces.reshape(-1, self.block_size)[owned].sum(axis=0)
        total = np.empty_like(local)
        self.comm.Allreduce(local, total)
        return total

    def facets(self, boundary: str) -> NDArray[np.int32]:
        """Facets of this rank on a boundary; ValueError with the names that exist."""
        if boundary not in self.boundaries:
            raise ValueError(f"no boundary '{boundary}'; the mesh has {_listed(self.boundaries)}")
        return np.asarray(self.facet_tags.find(self.boundaries[boundary]), dtype=np.int32)

    def boundary_nodes(self, boundary: str) -> NDArray[np.int32]:
        """Local nodes, ghosts included, on a boundary. Collective at the first call for a name."""
        if boundary not in self._boundary_nodes:
            facet_dimension = self.mesh.topology.dim - 1
            self.mesh.topology.create_connectivity(facet_dimension, self.mesh.topology.dim)
            nodes = fem.locate_dofs_topological(self.space, facet_dimension, self.facets(boundary))
            self._boundary_nodes[boundary] = np.asarray(nodes, dtype=np.int32)
        return self._boundary_nodes[boundary]

    def describe_point(self, point: int) -> str:
        """Cell and coordinates of an owned point, and what its material last tried."""
        cell, q = divmod(point, self.n_q)
        place = ", ".join(f"{x:.6g}" for x in self.tables.points[cell, q])
        return f"cell {self.original_cells[cell]}, point {q} at ({place}): {self.points.failure(point)}"

    def describe_largest(self, outcome: Evaluation) -> str:
        """The node with the largest residual and a cell that it belongs to, in words. Collective."""
        place = int(np.abs(outcome.residual).argmax()) if outcome.residual.size else -1
        mine = abs(outcome.residual[place]) if place >= 0 else -1.0
        _, rank = self.comm.allreduce((mine, self.comm.rank), MPI.MAXLOC)
        text = ""
        if self.comm.rank == rank and place >= 0:
            node, component = divmod(place, self.block_size)
            x = self.space.tabulate_dof_coordinates()[node, : self.measure.dimension]
            where = ", ".join(f"{value:.6g}" for value in x)
            axis = f", component {'xyz'[component]}" if self.block_size > 1 else ""
            cells = self.original_cells[(self.tables.dofs == place).any(axis=1)]
            of_cell = f" of cell {cells.min()}" if cells.size else ""
            text = f"largest residual {mine:.3g} at node ({where}){of_cell}{axis}"
        return str(self.comm.bcast(text, rank))

    # Loads and supports ------------------------------------------------------------------------------------------

    def prescribe(self, boundary: str, values: Sequence[float | None], constant: bool = False) -> None:
        """Prescribe the unknown on a boundary, one value per component, None where it stays free. Collective."""
        self.prescribed.fix_boundary(self.facets(boundary), self._components(values), constant)

    def load_boundary(self, boundary: str, density: Sequence[float], constant: bool = False) -> None:
        """Apply a dead load per reference length or area (heat: inflow) to a boundary. Collective."""
        self.external.add_boundary_load(self.facets(boundary), self._components(density), constant)

    def load_body(self, density: Sequence[float], constant: bool = False) -> None:
        """Apply a load (heat: source) per reference area or volume. Collective."""
        self.external.add_body_load(self._components(density), constant)

    # Equilibrium -------------------------------------------------------------------------------------------------

    def evaluate(self, values: FloatArray, external: FloatArray, dt: float) -> Evaluation:
        """Ask the material points at nodal `values` (ghosts included) and assemble the residual. Collective.

        `external` are the external forces (owned dofs,); `dt` the pseudo-time step from the committed state.
        """
        gradient = np.empty((self.point_ids.size, self.measure.size))
        tables = self.tables
        fill_point_gradients(
            self._kind, self._bbar, tables.gradients, tables.mean, tables.dofs, values, self.measure.rest, gradient
        )
        fields, failed = self.points.evaluate(gradient, dt)
        n_failed = self.comm.allreduce(failed.size)
        if n_failed:
            nothing = np.full(self.n_owned, np.nan)
            outcome = Evaluation(values, fields, nothing, np.inf, np.inf, 0.0, 0.0, n_failed)
        else:
            outcome = self._equilibrium(values, fields, external)
        self._outcome, self._failed = outcome, failed
        return outcome

    def internal_forces(self, flux: FloatArray) -> FloatArray:
        """Assembled nodal forces (owned dofs,) of fluxes at the points (n_points, g). Collective."""
        return self._internal(flux)[: self.n_owned]

    def stiffening(self, fields: PointFields) -> float:
        """Work of a step from the committed state over what the committed tangent predicts for it. Collective."""
        committed = self._committed
        step = fields.gradient - committed.gradient
        weighted = self.tables.weights.ravel()[:, None] * step
        actual = np.vdot(weighted, fields.flux - committed.flux)
        predicted = np.einsum("pi,pij,pj->", weighted, committed.tangent, step, optimize=True)
        actual, predicted = self.comm.allreduce(np.array([actual, predicted]))
        return float(actual / predicted) if predicted > 0.0 else np.inf

    def assemble(self, tangent: FloatArray) -> PETSc.Mat:
        """The tangent stiffness from the tangents at the points (n_points, g, g); the same matrix object every time."""
        tables, matrix = self.tables, self._layout()
        fill_element_stiffness(
            self._kind, self._bbar, tables.gradients, tables.mean, tables.weights, tangent, self._stiffness
        )
        largest = float(np.abs(self._stiffness).max(initial=0.0))
        self._largest_stiffness = self.comm.allreduce(largest, MPI.MAX)
        matrix.fill(self._entries)
        return matrix.mat

    def lift(self, increment: FloatArray) -> FloatArray:
        """Force (owned dofs,) that a nodal increment (local dofs,) causes with the stiffness last assembled."""
        np.einsum("cab,cb->ca", self._stiffness, increment[self.tables.dofs], out=self._element_forces)
        return self._gather(self._element_forces)[: self.n_owned]

    def with_ghosts(self, owned: FloatArray) -> FloatArray:
        """Local values, ghosts included, of owned ones. Collective."""
        self._work.array[: self.n_owned] = owned
        self._work.scatter_forward()
        return self._work.array.copy()

    def start(self, dt: float) -> Evaluation:
        """Ask the points for their tangents in the committed state before the first increment. Collective."""
        outcome = self.evaluate(self.solution.x.array.copy(), self.external.forces(0.0), dt)
        if outcome.failed == 0:
            self._committed = outcome.fields
        return outcome

    def commit(self, load_factor: float) -> None:
        """Accept the last evaluation."""
        if self._outcome is None or self._outcome.failed:
            raise RuntimeError("nothing to commit: the last evaluation failed, or there was none")
        self.points.commit()
        self.solution.x.array[:] = self._outcome.values
        self._committed = self._outcome.fields
        self.load_factor = load_factor
        self._outcome = None

    def revert(self) -> None:
        """Go back to the last accepted state."""
        self.points.revert()
        self._outcome = None

    def worst_failure(self) -> str:
        """The failed point with the smallest id in the last evaluation, in words. Collective."""
        failed = self._failed
        place = int(failed[np.argmin(self.point_ids[failed])]) if failed.size else -1
        mine = int(self.point_ids[place]) if place >= 0 else np.iinfo(np.int64).max
        _, rank = self.comm.allreduce((mine, self.comm.rank), MPI.MINLOC)
        text = self.describe_point(place) if self.comm.rank == rank and place >= 0 else ""
        return str(self.comm.bcast(text, rank))

    # Restart -----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Rows]:
        """The committed state of this rank's cells and points, as tables with global ids."""
        fields = self._committed
        values = self.solution.x.array[self.tables.dofs]
        tables = {
            "solution": Rows(self.original_cells, values),
            "gradient": Rows(self.point_ids, fields.gradient),
            "flux": Rows(self.point_ids, fields.flux),
            "tangent": Rows(self.point_ids, fields.tangent),
        }
        tables |= {f"output/{name}": Rows(self.point_ids, output) for name, output in fields.outputs.items()}
        return tables | self.points.state()

    def restore(self, tables: Mapping[str, Rows], load_factor: float) -> None:
        """Take up the committed state from tables that `state` returned, on any number of ranks. Collective.

        Raises KeyError if a table, a cell or a point of this rank is missing.
        """
        values = tables["solution"].pick(self.original_cells, "solution")
        self.solution.x.array[self.tables.dofs] = values.reshape(self.tables.dofs.shape)
        self.solution.x.scatter_forward()
        names = ("gradient", "flux", "tangent")
        gradient, flux, tangent = (np.ascontiguousarray(tables[n].pick(self.point_ids, n)) for n in names)
        outputs = {
            name: tables[f"output/{name}"].pick(self.point_ids, f"output/{name}") for name in self._committed.outputs
        }
        self._committed = PointFields(
            gradient.reshape(self._committed.gradient.shape),
            flux.reshape(self._committed.flux.shape),
            tangent.reshape(self._committed.tangent.shape),
            outputs,
        )
        self.points.restore(tables)
        self.load_factor = load_factor
        self._outcome = None

    # Assembly ----------------------------------------------------------------------------------------------------

    @property
    def matrix(self) -> PETSc.Mat:
        """The tangent matrix. Its layout is fixed at the first use, from the unknowns prescribed by then."""
        return self._layout().mat

    def _place(self, materials: Mapping[str, Material], regions: Mapping[str, str]) -> dict[str, IntArray]:
        """Local point indices of each material, from the regions it fills. Collective."""
        owner = np.full(self.n_cells, -1)
        names = list(materials)
        for region, name in regions.items():
            if name not in materials:
                raise ValueError(f"region '{region}' asks for material '{name}'; there are {_listed(materials)}")
            if region == "all":
                owner[owner < 0] = names.index(name)
                continue
            if region not in self.regions:
                raise ValueError(f"no region '{region}'; the mesh has {_listed(self.regions)}, or use 'all'")
            cells = self.cell_tags.find(self.regions[region])
            owner[cells[cells < self.n_cells]] = names.index(name)
        without = self.comm.allreduce(int(np.count_nonzero(owner < 0)))
        if without:
            given = _listed(regions)
            raise ValueError(
                f"{without} cells have no material: regions name {given}, the mesh has {_listed(self.regions)}"
            )
        points = np.repeat(owner, self.n_q)
        return {name: np.flatnonzero(points == number) for number, name in enumerate(names)}

    def _components[T](self, values: Sequence[T]) -> Sequence[T]:
        if len(values) != self.block_size:
            raise ValueError(
                f"{self.block_size} components are needed for {self.measure.primary_name}, got {len(values)}"
            )
        return values

    def _equilibrium(self, values: FloatArray, fields: PointFields, external: FloatArray) -> Evaluation:
        """Residual and its measures."""
        internal = self.internal_forces(fields.flux)
        residual = np.where(self.prescribed.fixed[: self.n_owned], 0.0, internal - external)
        absolute = self._gather(np.abs(self._element_forces))[: self.n_owned]
        measures = [np.abs(residual), np.maximum(absolute, np.abs(external)), np.abs(values)]
        local = np.array([measure.max(initial=0.0) for measure in measures])
        total = np.empty_like(local)
        self.comm.Allreduce(local, total, MPI.MAX)
        largest, force, size = total
        norm = float(np.sqrt(self.comm.allreduce(float(residual @ residual))))
        round_off = 64 * np.finfo(float).eps * self._largest_stiffness * size
        return Evaluation(values, fields, residual, float(largest), norm, float(force), float(round_off), 0)

    def _internal(self, flux: FloatArray) -> FloatArray:
        """Assembled internal forces (local dofs,), complete on the owned ones; keeps the element forces."""
        tables = self.tables
        fill_element_forces(
            self._kind, self._bbar, tables.gradients, tables.mean, tables.weights, flux, self._element_forces
        )
        return self._gather(self._element_forces)

    def _gather(self, element_values: FloatArray) -> FloatArray:
        """Sum element values (cells, n) into the dofs, over all ranks."""
        work = self._work
        dofs = self.tables.dofs
        work.array[:] = np.bincount(dofs.ravel(), weights=element_values.ravel(), minlength=work.array.size)
        work.scatter_reverse(la.InsertMode.add)
        return np.asarray(work.array.copy())

    def _layout(self) -> CoordinateMatrix:
        if self._matrix is None:
            self._matrix = self._create_matrix()
        return self._matrix

    def _create_matrix(self) -> CoordinateMatrix:
        """An AIJ matrix in coordinate form: the element matrices one after the other, then unit diagonals."""
        index_map, bs = self.space.dofmap.index_map, self.block_size
        n_local = (index_map.size_local + index_map.num_ghosts) * bs
        blocks = index_map.local_to_global(np.arange(n_local // bs, dtype=np.int32))
        numbers = (blocks[:, None] * bs + np.arange(bs)).ravel().astype(PETSc.IntType)
        fixed = self.prescribed.fixed
        unknowns = np.where(fixed, -1, numbers)[self.tables.dofs].astype(PETSc.IntType)
        n = unknowns.shape[1]
        units = numbers[: self.n_owned][fixed[: self.n_owned]]
        self._entries = np.ones(unknowns.size * n + units.size)
        self._stiffness = self._entries[: unknowns.size * n].reshape(self.n_cells, n, n)
        rows = np.concatenate([np.repeat(unknowns, n, axis=1).ravel(), units])
        columns = np.concatenate([np.tile(unknowns, (1, n)).ravel(), units])
        matrix = CoordinateMatrix(self.comm, (self.n_owned, self.n_dofs), bs, rows, columns)
        matrix.mat.setNearNullSpace(self._near_nullspace())
        return matrix

    def _near_nullspace(self) -> PETSc.NullSpace:
        """Rigid body modes, or the constant for heat: what algebraic multigrid has to represent on coarse levels."""
        if self.block_size == 1:
            return PETSc.NullSpace().create(constant=True, comm=self.comm)
        coordinates = PETSc.Vec().create(self.comm)
        coordinates.setSizes((self.n_owned, self.n_dofs), bsize=self.block_size)
        coordinates.setUp()
        positions = self.space.tabulate_dof_coordinates()[: self.n_owned // self.block_size, : self.block_size]
        coordinates.array[:] = positions.ravel()
        return PETSc.NullSpace().createRigidBody(coordinates)


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
