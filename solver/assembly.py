"""From integration points to nodal vectors and the stiffness matrix, and back, by compiled element loops.

Only owned cells are visited. The matrix keeps its layout over the run. Prescribed unknowns are eliminated
symmetrically, so the matrix is as symmetric as the materials.
"""

import numpy as np
from dolfinx import fem, la
from mpi4py import MPI
from petsc4py import PETSc

from materials.gradient_matrix import gradient_kind
from materials.measures import FloatArray, Measure
from meshes.shape_gradients import ShapeGradients
from solver.coordinate_matrix import CoordinateMatrix
from solver.element_kernels import fill_element_forces, fill_element_stiffness, fill_point_gradients
from solver.loading import Prescribed


class Assembly:
    """Gradients, nodal forces and stiffness of one space, with memory that is taken once.

    Args:
        space: Lagrange space of the unknown.
        tables: Shape gradients and weights at its integration points.
        measure: What gradient and flux are.
        bbar: Mean dilatation in the small-strain gradient.
        prescribed: Prescribed unknowns; those there at the first use of the matrix are left out of it for good.
    """

    def __init__(
        self, space: fem.FunctionSpace, tables: ShapeGradients, measure: Measure, bbar: bool, prescribed: Prescribed
    ):
        self._space, self._tables, self._prescribed = space, tables, prescribed
        self._comm: MPI.Comm = space.mesh.comm
        self._kind, self._bbar = int(gradient_kind(measure)), bbar
        self._rest = measure.rest
        index_map, self._block_size = space.dofmap.index_map, space.dofmap.index_map_bs
        self._n_owned = index_map.size_local * self._block_size
        self._work = la.vector(index_map, self._block_size)
        n_cells, n_local = tables.dofs.shape
        self._element_forces = np.zeros((n_cells, n_local))
        self._matrix: CoordinateMatrix | None = None
        self._entries = np.empty(0)
        self._stiffness = np.empty((0, n_local, n_local))
        self.largest_stiffness = 0.0
        """Largest absolute entry of an element matrix last assembled, over all ranks."""

    def gradients(self, values: FloatArray) -> FloatArray:
        """Gradient at the points, (n_points, g), of nodal values (local dofs,), ghosts included."""
        tables = self._tables
        gradient = np.empty((tables.weights.size, self._rest.size))
        fill_point_gradients(
            self._kind, self._bbar, tables.gradients, tables.mean, tables.dofs, values, self._rest, gradient
        )
        return gradient

    def forces(self, flux: FloatArray) -> FloatArray:
        """Nodal forces (owned dofs,) of fluxes at the points, (n_points, g). Collective."""
        tables = self._tables
        fill_element_forces(
            self._kind, self._bbar, tables.gradients, tables.mean, tables.weights, flux, self._element_forces
        )
        return self._gather(self._element_forces)

    def absolute_forces(self) -> FloatArray:
        """Sum (owned dofs,) of the absolute element forces that `forces` added up last. Collective."""
        return self._gather(np.abs(self._element_forces))

    def stiffness(self, tangent: FloatArray) -> PETSc.Mat:
        """Stiffness from the tangents at the points, (n_points, g, g); always the same matrix object. Collective."""
        tables, matrix = self._tables, self._layout()
        fill_element_stiffness(
            self._kind, self._bbar, tables.gradients, tables.mean, tables.weights, tangent, self._stiffness
        )
        largest = float(np.abs(self._stiffness).max(initial=0.0))
        self.largest_stiffness = self._comm.allreduce(largest, MPI.MAX)
        matrix.fill(self._entries)
        return matrix.mat

    def lift(self, increment: FloatArray) -> FloatArray:
        """Force (owned dofs,) that a nodal increment (local dofs,) causes with the stiffness last assembled."""
        np.einsum("cab,cb->ca", self._stiffness, increment[self._tables.dofs], out=self._element_forces)
        return self._gather(self._element_forces)

    def with_ghosts(self, owned: FloatArray) -> FloatArray:
        """Local values, ghosts included, of owned ones. Collective."""
        self._work.array[: self._n_owned] = owned
        self._work.scatter_forward()
        return self._work.array.copy()

    @property
    def matrix(self) -> PETSc.Mat:
        """The matrix that `stiffness` fills. Collective at the first use."""
        return self._layout().mat

    def _gather(self, element_values: FloatArray) -> FloatArray:
        """Sum (owned dofs,) of element values (cells, n), over all ranks."""
        work = self._work
        dofs = self._tables.dofs
        work.array[:] = np.bincount(dofs.ravel(), weights=element_values.ravel(), minlength=work.array.size)
        work.scatter_reverse(la.InsertMode.add)
        return np.asarray(work.array[: self._n_owned].copy())

    def _layout(self) -> CoordinateMatrix:
        if self._matrix is None:
            self._matrix = self._create_matrix()
        return self._matrix

    def _create_matrix(self) -> CoordinateMatrix:
        """An AIJ matrix in coordinate form: the element matrices one after the other, then unit diagonals."""
        index_map, bs = self._space.dofmap.index_map, self._block_size
        n_local = (index_map.size_local + index_map.num_ghosts) * bs
        blocks = index_map.local_to_global(np.arange(n_local // bs, dtype=np.int32))
        numbers = (blocks[:, None] * bs + np.arange(bs)).ravel().astype(PETSc.IntType)
        fixed = self._prescribed.fixed
        unknowns = np.where(fixed, -1, numbers)[self._tables.dofs].astype(PETSc.IntType)
        n_cells, n = unknowns.shape
        units = numbers[: self._n_owned][fixed[: self._n_owned]]
        self._entries = np.ones(unknowns.size * n + units.size)
        self._stiffness = self._entries[: unknowns.size * n].reshape(n_cells, n, n)
        rows = np.concatenate([np.repeat(unknowns, n, axis=1).ravel(), units])
        columns = np.concatenate([np.tile(unknowns, (1, n)).ravel(), units])
        matrix = CoordinateMatrix(self._comm, (self._n_owned, index_map.size_global * bs), bs, rows, columns)
        matrix.mat.setNearNullSpace(self._near_nullspace(matrix.mat))
        return matrix

    def _near_nullspace(self, mat: PETSc.Mat) -> PETSc.NullSpace:
        """Rigid body modes, or the constant for heat: what algebraic multigrid has to represent on coarse levels."""
        if self._block_size == 1:
            return PETSc.NullSpace().create(constant=True, comm=self._comm)
        coordinates = PETSc.Vec().create(self._comm)
        coordinates.setSizes(mat.getSizes()[0], bsize=self._block_size)
        coordinates.setUp()
        positions = self._space.tabulate_dof_coordinates()[: self._n_owned // self._block_size, : self._block_size]
        coordinates.array[:] = positions.ravel()
        return PETSc.NullSpace().createRigidBody(coordinates)
