"""A periodic cell as it is solved today with DOLFINx: the other side of `usual_way.py`.

UFL forms compiled once and differentiated by UFL, matrix and vectors made once, the periodic constraint by dolfinx_mpc
(J. S. Dokken, https://github.com/jorgensd/dolfinx_mpc), MUMPS LU that keeps its analysis, Newton's method, the tangent
by one linear solve per unit gradient with the factor of the converged stiffness. Nothing in here is slow on purpose:
compilers optimise for this processor, and averages take one assembly instead of one per component.
"""

from collections.abc import Callable, Mapping
from typing import Any

import basix.ufl
import dolfinx_mpc
import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from materials.elastic_constants import ElasticConstants
from materials.interface import IntArray, Kind, Material, Response, Status
from materials.laws.elastic import Elastic
from materials.laws.j2 import J2
from materials.laws.neo_hookean import NeoHookean
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import CellMesh

JIT = {"cffi_extra_compile_args": ["-O3", "-march=native"]}
Flux = Callable[[Any], Any]
"""UFL flux of a UFL gradient, both (d, d)."""


class NoEquilibrium(ArithmeticError):
    """Newton's method did not converge."""


def neo_hookean(law: NeoHookean) -> Flux:
    """First Piola–Kirchhoff stress of F."""
    lmbda, mu = law.parameters()

    def stress(F: Any) -> Any:
        inverse = ufl.inv(F).T
        return mu * (F - inverse) + lmbda * ufl.ln(ufl.det(F)) * inverse

    return stress


def elastic(law: Elastic) -> Flux:
    """Stress of the strain."""
    constants = ElasticConstants.from_young(law.E, law.nu)

    def stress(strain: Any) -> Any:
        return constants.lmbda * ufl.tr(strain) * ufl.Identity(2) + 2.0 * constants.mu * strain

    return stress


class RadialReturn:
    """J2 plasticity with linear isotropic hardening: closed form, state on the quadrature points of a phase."""

    def __init__(self, law: J2, mesh: CellMesh, phase: str, quadrature_degree: int) -> None:
        """The state is that of all elements; those of the phase are updated."""
        constants = ElasticConstants.from_young(law.E, law.nu)
        self._kappa, self._mu = constants.bulk_modulus, constants.mu
        self._yield_stress, self._hardening = float(law.yield_stress), float(law.hardening)
        name = mesh.mesh.topology.cell_name()
        tensor, scalar = (
            fem.functionspace(mesh.mesh, basix.ufl.quadrature_element(name, shape, degree=quadrature_degree))
            for shape in ((4,), ())
        )
        self.plastic_strain = fem.Function(tensor)
        """Components 11, 22, 33, 12."""
        self.hardened = fem.Function(scalar)
        """Equivalent plastic strain."""
        self._elements = mesh.cell_tags.find(mesh.phases[phase])
        points = scalar.element.interpolation_points
        self._points = points() if callable(points) else points  # a method before DOLFINx 0.10
        self._places = scalar.dofmap.list[self._elements]
        self._update: fem.Expression | None = None

    def stress(self, strain: Any) -> Any:
        """Stress of the strain, and from then on also what `update` evaluates."""
        strain = ufl.as_tensor([[strain[0, 0], strain[0, 1], 0], [strain[1, 0], strain[1, 1], 0], [0, 0, 0]])
        p, alpha, mu = self.plastic_strain, self.hardened, self._mu
        plastic = ufl.as_tensor([[p[0], p[3], 0], [p[3], p[1], 0], [0, 0, p[2]]])
        s = 2.0 * mu * ufl.dev(strain - plastic)
        q = ufl.sqrt(1.5 * ufl.inner(s, s))
        excess = q - self._yield_stress - self._hardening * alpha
        flows = ufl.gt(excess, 0.0)
        increment = ufl.conditional(flows, excess / (3.0 * mu + self._hardening), 0.0)
        flow = ufl.conditional(flows, 1.5 * increment / q, 0.0)
        new = [p[0] + flow * s[0, 0], p[1] + flow * s[1, 1], p[2] + flow * s[2, 2], p[3] + flow * s[0, 1]]
        updated = ufl.as_vector([*new, alpha + increment])
        self._update = fem.Expression(updated, self._points, jit_options=JIT)
        sigma = self._kappa * ufl.tr(strain) * ufl.Identity(3) + (1.0 - 2.0 * mu * flow) * s
        return ufl.as_tensor([[sigma[0, 0], sigma[0, 1]], [sigma[1, 0], sigma[1, 1]]])

    def update(self) -> None:
        """Take over the state that the present displacements lead to."""
        assert self._update is not None
        values = self._update.eval(self.plastic_strain.function_space.mesh, self._elements)
        values = values.reshape(*self._places.shape, 5)
        self.plastic_strain.x.array.reshape(-1, 4)[self._places] = values[:, :, :4]
        self.hardened.x.array[self._places] = values[:, :, 4]


class DolfinxCell:
    """One kind of cell in 2D: forms, matrix and factor, made once; cells take turns."""

    def __init__(self, mesh: CellMesh, measure: Measure, degree: int, fluxes: Mapping[str, Flux]) -> None:
        """`fluxes` by phase."""
        self.measure = measure
        domain = mesh.mesh
        space = fem.functionspace(domain, ("Lagrange", degree, (2,)))
        low, high = np.zeros(2), mesh.size
        near = 1e-8 * float(mesh.size.min())

        def at_corner(x: FloatArray) -> Any:
            return ((np.abs(x[:2].T - low) < near) | (np.abs(x[:2].T - high) < near)).all(axis=1)

        def on_high_face(x: FloatArray) -> Any:
            return (np.abs(x[:2].T - high) < near).any(axis=1)

        def image(x: FloatArray) -> FloatArray:
            moved = x.copy()
            moved[:2] -= np.where(np.abs(x[:2].T - high) < near, high, 0.0).T
            return moved

        corners = fem.locate_dofs_geometrical(space, at_corner)
        self._held = (corners[:, None] * 2 + np.arange(2)).ravel()
        self._supports = [fem.dirichletbc(np.zeros(2), corners, space)]
        self._constraint = dolfinx_mpc.MultiPointConstraint(space)
        self._constraint.create_periodic_constraint_geometrical(space, on_high_face, image, self._supports)
        self._constraint.finalize()
        self.n_dofs = space.dofmap.index_map.size_local * 2

        self.fluctuation, self._correction, self._change = (fem.Function(space) for _ in range(3))
        self._macro = fem.Constant(domain, np.zeros((2, 2)))
        self._affine = [_affine(space, unit) for unit in measure.to_tensor(np.eye(measure.size))]
        finite = measure.physics is Physics.FINITE_STRAIN
        gradient = self._macro + (ufl.grad if finite else _strain)(self.fluctuation)
        u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        constants = fem.functionspace(domain, ("DG", 0, (2, 2)))
        averages = ufl.TestFunction(constants)
        rule = {"quadrature_degree": 2 * (degree - 1)}
        dx = ufl.Measure("dx", domain=domain, subdomain_data=mesh.cell_tags, metadata=rule)
        flux = {name: of(gradient) for name, of in fluxes.items()}
        residual = sum(ufl.inner(flux[name], ufl.grad(v)) * dx(tag) for name, tag in mesh.phases.items())
        average = sum(ufl.inner(flux[name], averages) * dx(tag) for name, tag in mesh.phases.items())
        self._residual = _form(residual)
        self._stiffness = _form(ufl.derivative(residual, self.fluctuation, u))
        self._load = _form(ufl.derivative(residual, self.fluctuation, self._change))
        self._average = _form(average)
        self._average_change = _form(ufl.derivative(average, self.fluctuation, self._change))
        self._volume = mesh.volume

        self._matrix = dolfinx_mpc.assemble_matrix(self._stiffness, self._constraint, self._supports)
        self._vector = dolfinx_mpc.assemble_vector(self._residual, self._constraint)
        self._averages = fem.Function(constants).x.array
        self._solver = PETSc.KSP().create(domain.comm)
        self._solver.setOperators(self._matrix)
        self._solver.setType(PETSc.KSP.Type.PREONLY)
        self._solver.getPC().setType(PETSc.PC.Type.LU)
        self._solver.getPC().setFactorSolverType("mumps")
        self.linearisations = 0

    def set_gradient(self, gradient: FloatArray) -> None:
        """Macroscopic gradient (g,) of the forms."""
        self._macro.value[:] = self.measure.to_tensor(gradient)

    def solve(self, gradient: FloatArray, tolerance: float) -> tuple[FloatArray, FloatArray]:
        """Flux (g,) and tangent (g, g) at `gradient` (g,), starting from the present fluctuation.

        Args:
            gradient: macroscopic gradient.
            tolerance: largest component of the residual.

        Raises:
            NoEquilibrium: none in 25 iterations.
        """
        self.set_gradient(gradient)
        for _ in range(25):
            self._assemble(self._residual)
            largest = float(np.abs(self._vector.array_r).max())
            if not largest > tolerance:
                break
            self._linearise()
            self._correct()
            self.fluctuation.x.array[:] += self._correction.x.array
        if not largest <= tolerance:
            raise NoEquilibrium(f"a residual of {largest:.1e} is left, the tolerance is {tolerance:.1e}")
        return self._homogenise()

    def _homogenise(self) -> tuple[FloatArray, FloatArray]:
        self._linearise()
        flux = self._mean(self._average)
        columns = []
        change = self._change.x.array
        for affine in self._affine:
            change[:] = affine
            self._assemble(self._load)
            self._correct()
            change += self._correction.x.array
            columns.append(self._mean(self._average_change))
        return flux, np.column_stack(columns)

    def _assemble(self, form: fem.Form) -> None:
        dolfinx_mpc.assemble_vector(form, self._constraint, self._vector)
        self._vector.array[self._held] = 0.0

    def _linearise(self) -> None:
        """Assemble the stiffness; the next solve factorises it."""
        dolfinx_mpc.assemble_matrix(self._stiffness, self._constraint, self._supports, A=self._matrix)
        self.linearisations += 1

    def _correct(self) -> None:
        """Fluctuation that balances the vector last assembled."""
        solution = self._correction.x.petsc_vec
        self._solver.solve(self._vector, solution)
        solution.scale(-1.0)
        self._constraint.backsubstitution(self._correction)

    def _mean(self, form: fem.Form) -> FloatArray:
        self._averages[:] = 0.0
        fem.assemble_vector(self._averages, form)
        mean = self._averages.reshape(-1, 2, 2).sum(axis=0) / self._volume
        return self.measure.to_vector(mean)


class DolfinxCells(Material):
    """Cells solved the usual way at the points of a macroscale problem; state is copied in and out of the forms."""

    symmetric = True
    remembers = True

    def __init__(self, cell: DolfinxCell, state: RadialReturn, tolerance: float) -> None:
        """`tolerance`: largest component of a cell's residual."""
        self.measure = cell.measure
        self._cell, self._state, self._tolerance = cell, state, tolerance
        self.bind(np.empty(0, dtype=np.int64))

    def bind(self, point_ids: IntArray) -> None:
        """One cell at rest for each id."""
        count = len(point_ids)
        self.point_ids = point_ids
        self._gradient = np.zeros((count, self.measure.size))
        self._fluctuation = np.zeros((count, self._cell.n_dofs))
        self._committed = [np.zeros_like(self._fluctuation)]
        self._committed += [np.zeros((count, field.x.array.size)) for field in self._fields[1:]]

    @property
    def _fields(self) -> tuple[fem.Function, ...]:
        return self._cell.fluctuation, self._state.plastic_strain, self._state.hardened

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Solve every cell from its last fluctuation and its committed state."""
        count, g = gradient.shape
        flux, tangent = np.zeros((count, g)), np.zeros((count, g, g))
        status = np.full(count, Status.OK, dtype=np.int8)
        for point in range(count):
            self._load(point)
            try:
                flux[point], tangent[point] = self._cell.solve(gradient[point], self._tolerance)
                self._fluctuation[point] = self._cell.fluctuation.x.array
            except NoEquilibrium:
                status[point] = Status.FAILED
                self._fluctuation[point] = self._committed[0][point]
        self._gradient[:] = gradient
        return Response(flux, tangent, status, {})

    def commit(self) -> None:
        """Advance the state of every cell to its last solution."""
        for point in range(len(self.point_ids)):
            self._load(point)
            self._cell.set_gradient(self._gradient[point])
            self._state.update()
            for committed, field in zip(self._committed, self._fields, strict=True):
                committed[point] = field.x.array

    def _load(self, point: int) -> None:
        for committed, field in zip(self._committed, self._fields, strict=True):
            field.x.array[:] = committed[point]
        self._cell.fluctuation.x.array[:] = self._fluctuation[point]

    def revert(self) -> None:
        """Start again from the committed fluctuations."""
        self._fluctuation[:] = self._committed[0]

    def kinds(self) -> Any:
        """A cell at every point."""
        return np.full(len(self.point_ids), Kind.RVE, dtype=np.int8)

    def state(self) -> dict[str, FloatArray]:
        """Fluctuations, plastic strains and equivalent plastic strains."""
        names = ("fluctuation", "plastic_strain", "equivalent_plastic_strain")
        return {name: values.copy() for name, values in zip(names, self._committed, strict=True)}

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Continue from what `state` returned."""
        for committed, values in zip(self._committed, state.values(), strict=True):
            committed[:] = values
        self.revert()


def _affine(space: fem.FunctionSpace, unit: FloatArray) -> FloatArray:
    """Nodal values of the displacement E·X, whose gradient is `unit` (d, d) everywhere."""
    displacement = fem.Function(space)
    displacement.interpolate(lambda x: unit @ x[:2])
    return displacement.x.array.copy()


def _strain(displacement: Any) -> Any:
    return ufl.sym(ufl.grad(displacement))


def _form(form: Any) -> fem.Form:
    return fem.form(form, jit_options=JIT)
