"""The boundary value problem of the macroscale: supports and loads, equilibrium of an iterate, the committed state.

It sees materials, never what they are: what they answer at the integration points is assembled into a residual, and
accepted or dropped as a whole.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from numpy.typing import NDArray
from petsc4py import PETSc

from materials.interface import IntArray, Kind, Material
from materials.measures import FloatArray, Measure, Physics
from meshes.dolfinx_compat import original_cell_index
from meshes.macro import MacroMesh
from meshes.shape_gradients import default_quadrature_degree, shape_gradients
from solver.assembly import Assembly
from solver.equilibrium import Evaluation
from solver.loading import ExternalForces, Prescribed
from solver.named_parts import Boundaries, points_of_materials
from solver.points import MaterialPoints, PointFields
from solver.restart import Rows


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
        places = points_of_materials(macro, self.n_cells, self.n_q, materials, regions)
        coordinates = self.tables.points.reshape(-1, measure.dimension)
        self.points = MaterialPoints(measure, materials, places, self.point_ids, coordinates)
        self.materials, self.material_points = self.points.materials, self.points.indices
        self.symmetric = self.points.symmetric

        index_map, self.block_size = self.space.dofmap.index_map, self.space.dofmap.index_map_bs
        self.n_owned = index_map.size_local * self.block_size
        self.n_dofs = index_map.size_global * self.block_size
        self.solution = fem.Function(self.space, name=measure.primary_name)
        self.load_factor = 0.0
        self.prescribed = Prescribed(self.space)
        self.external = ExternalForces(self.space)
        self.failed: IntArray = np.empty(0, dtype=np.int64)
        """Local points without an answer in the last evaluation."""
        self._boundaries = Boundaries(macro, self.space)
        self._assembly = Assembly(self.space, self.tables, measure, bbar, self.prescribed)
        self._committed = self.points.at_rest()
        self._outcome: Evaluation | None = None

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

    def counts(self) -> IntArray:
        """Points of all ranks by `Kind`. Collective."""
        local = np.bincount(self.kinds(), minlength=len(Kind))
        counts = np.empty_like(local)
        self.comm.Allreduce(local, counts)
        return counts

    def reaction(self, boundary: str) -> FloatArray:
        """Force that the support of a boundary exerts on the body (heat: heat entering there), (bs,). Collective."""
        forces = self.internal_forces(self._committed.flux) - self.external.forces(self.load_factor)
        return self._boundaries.total(boundary, forces)

    def boundary_nodes(self, boundary: str) -> NDArray[np.int32]:
        """Local nodes, ghosts included, on a boundary; ValueError with the names that exist. Collective."""
        return self._boundaries.nodes(boundary)

    # Loads and supports ------------------------------------------------------------------------------------------

    def prescribe(self, boundary: str, values: Sequence[float | None], constant: bool = False) -> None:
        """Prescribe the unknown on a boundary, one value per component, None where it stays free. Collective."""
        self.prescribed.fix_boundary(self._boundaries.facets(boundary), self._components(values), constant)

    def load_boundary(self, boundary: str, density: Sequence[float], constant: bool = False) -> None:
        """Apply a dead load per reference length or area (heat: inflow) to a boundary. Collective."""
        self.external.add_boundary_load(self._boundaries.facets(boundary), self._components(density), constant)

    def load_body(self, density: Sequence[float], constant: bool = False) -> None:
        """Apply a load (heat: source) per reference area or volume. Collective."""
        self.external.add_body_load(self._components(density), constant)

    # Equilibrium -------------------------------------------------------------------------------------------------

    def evaluate(self, values: FloatArray, external: FloatArray, dt: float) -> Evaluation:
        """Ask the material points at nodal `values` (ghosts included) and assemble the residual. Collective.

        `external` are the external forces (owned dofs,); `dt` the pseudo-time step from the committed state.
        """
        fields, failed, provisional = self.points.evaluate(self._assembly.gradients(values), dt)
        n_failed, n_provisional = self.comm.allreduce(np.array([failed.size, provisional]))
        if n_failed:
            outcome = Evaluation.without_answer(values, fields, self.n_owned, int(n_failed))
        else:
            outcome = self._equilibrium(values, fields, external)._replace(provisional=int(n_provisional))
        self._outcome, self.failed = outcome, failed
        return outcome

    def foresee(self, values: FloatArray, dt: float) -> None:
        """Tell the material points that the increment is expected to end at nodal `values` (ghosts included)."""
        self.points.foresee(self._assembly.gradients(values), dt)

    def settle(self) -> int:
        """At how many points the last evaluation does not stand, so that it has to be solved on. Collective."""
        return self.points.settle()

    def internal_forces(self, flux: FloatArray) -> FloatArray:
        """Assembled nodal forces (owned dofs,) of fluxes at the points (n_points, g). Collective."""
        return self._assembly.forces(flux)

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
        return self._assembly.stiffness(tangent)

    @property
    def matrix(self) -> PETSc.Mat:
        """The tangent stiffness. Its layout is fixed at the first use, from the unknowns prescribed by then."""
        return self._assembly.matrix

    def lift(self, increment: FloatArray) -> FloatArray:
        """Force (owned dofs,) that a nodal increment (local dofs,) causes with the stiffness last assembled."""
        return self._assembly.lift(increment)

    def with_ghosts(self, owned: FloatArray) -> FloatArray:
        """Local values, ghosts included, of owned ones. Collective."""
        return self._assembly.with_ghosts(owned)

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

    # Restart -----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Rows]:
        """The committed state of this rank's cells and points, as tables with global ids."""
        nodal = Rows(self.original_cells, self.solution.x.array[self.tables.dofs])
        return {"solution": nodal} | self._committed.tables(self.point_ids) | self.points.state()

    def restore(self, tables: Mapping[str, Rows], load_factor: float) -> None:
        """Take up the committed state from tables that `state` returned, on any number of ranks. Collective.

        Raises KeyError if a table, a cell or a point of this rank is missing.
        """
        values = tables["solution"].pick(self.original_cells, "solution")
        self.solution.x.array[self.tables.dofs] = values.reshape(self.tables.dofs.shape)
        self.solution.x.scatter_forward()
        self._committed = self._committed.picked(tables, self.point_ids)
        self.points.restore(tables)
        self.load_factor = load_factor
        self._outcome = None

    def _components[T](self, values: Sequence[T]) -> Sequence[T]:
        if len(values) != self.block_size:
            raise ValueError(
                f"{self.block_size} components are needed for {self.measure.primary_name}, got {len(values)}"
            )
        return values

    def _equilibrium(self, values: FloatArray, fields: PointFields, external: FloatArray) -> Evaluation:
        """Residual of what the points answered, and its measures."""
        internal = self.internal_forces(fields.flux)
        residual = np.where(self.prescribed.fixed[: self.n_owned], 0.0, internal - external)
        forces = np.maximum(self._assembly.absolute_forces(), np.abs(external))
        return Evaluation.of_residual(self.comm, values, fields, residual, forces, self._assembly.largest_stiffness)
