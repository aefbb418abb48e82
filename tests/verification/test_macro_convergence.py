"""Manufactured solutions: errors fall at the rate of the element, p + 1 in L2 and p in H1; patch tests are exact."""

from collections.abc import Callable

import basix
import numpy as np
import pytest
import ufl
from dolfinx import fem

from materials.law import Law
from materials.law_material import LawMaterial
from materials.measures import FloatArray, Measure, Physics
from meshes.shape_gradients import shape_gradients
from solver.macro_problem import MacroProblem
from tests.verification.macro_runs import DIMENSION, fix_whole_boundary, grid, law, problem_of, run

ELASTIC = law("elastic", E=3.0, nu=0.3)
NEO_HOOKEAN = law("neo_hookean", E=3.0, nu=0.3)
CONDUCTIVE = law("conductive", k=2.0)
LAW = {Physics.SMALL_STRAIN: ELASTIC, Physics.FINITE_STRAIN: NEO_HOOKEAN, Physics.HEAT: CONDUCTIVE}
AMPLITUDE = {Physics.SMALL_STRAIN: 1.0, Physics.FINITE_STRAIN: 0.15, Physics.HEAT: 1.0}

DIVISIONS = {2: {1: (8, 16, 32), 2: (4, 8, 16)}, 3: {1: (3, 6, 12), 2: (2, 4, 6)}}
COMBINATIONS = [
    *((physics, element, degree, False) for physics in Physics for element in DIMENSION for degree in (1, 2)),
    *((Physics.SMALL_STRAIN, element, 1, True) for element in ("quadrilateral", "hexahedron")),
]


class Exact:
    """u_i = A sin(k_i · x + i) and its gradient; the body force that it needs follows from a law by differences."""

    def __init__(self, measure: Measure, law: Law, amplitude: float):
        d = measure.dimension
        self.measure, self.law, self.amplitude = measure, law, amplitude
        self.waves = np.array([[1.1, 2.0, -1.4], [1.7, -1.2, 0.9], [-0.8, 1.3, 1.9]])[: measure.block_size, :d]
        self.phases = np.arange(measure.block_size) + 0.4

    def values(self, x: FloatArray) -> FloatArray:
        """(n, d) -> (n, bs)."""
        return self.amplitude * np.sin(x @ self.waves.T + self.phases)

    def gradient(self, x: FloatArray) -> FloatArray:
        """∂u_i/∂x_j, (n, bs, d)."""
        return self.amplitude * np.cos(x @ self.waves.T + self.phases)[:, :, None] * self.waves

    def flux(self, x: FloatArray) -> FloatArray:
        """Flux tensor of the law, (n, bs, d)."""
        measure, grad = self.measure, self.gradient(x)
        if measure.physics is Physics.HEAT:
            gradient = grad[:, 0]
        elif measure.physics is Physics.SMALL_STRAIN:
            gradient = measure.to_vector(0.5 * (grad + grad.swapaxes(1, 2)))
        else:
            gradient = measure.to_vector(np.eye(measure.dimension) + grad)
        material = LawMaterial(self.law, measure)
        material.bind(np.arange(len(x)))
        flux = material.evaluate(np.ascontiguousarray(gradient), 1.0).flux
        return measure.to_tensor(flux).reshape(grad.shape)

    def body_force(self, x: FloatArray) -> FloatArray:
        """−div flux, (n, bs), by central differences of fourth order (error about 1e-11)."""
        h, total = 1e-3, np.zeros((len(x), self.measure.block_size))
        for j in range(self.measure.dimension):
            for shift, weight in ((-2, 1.0), (-1, -8.0), (1, 8.0), (2, -1.0)):
                moved = x.copy()
                moved[:, j] += shift * h
                total -= weight / (12.0 * h) * self.flux(moved)[:, :, j]
        return total


def load_with(problem: MacroProblem, exact: Exact, degree: int) -> None:
    """Add the body force, interpolated finely enough not to be seen in the rates."""
    d, bs = problem.measure.dimension, problem.block_size
    shape = () if bs == 1 else (bs,)
    force = fem.Function(fem.functionspace(problem.mesh, ("Lagrange", degree + 2, shape)))
    force.interpolate(lambda x: exact.body_force(np.ascontiguousarray(x[:d].T)).T.reshape(bs, -1))
    test = ufl.TestFunction(problem.space)
    problem.external.add(ufl.inner(force, test) * ufl.dx(metadata={"quadrature_degree": 2 * degree + 2}))


def errors(problem: MacroProblem, exact: Exact, degree: int) -> tuple[float, float]:
    """L2 norm of the error and of its gradient."""
    quadrature = 2 * degree + 4
    tables = shape_gradients(problem.space, quadrature)
    cell = basix.CellType[problem.mesh.topology.cell_name()]
    points, _ = basix.make_quadrature(cell, quadrature)
    element = basix.create_element(basix.ElementFamily.P, cell, degree, basix.LagrangeVariant.gll_warped)
    shape = element.tabulate(0, points)[0, :, :, 0]
    bs = problem.block_size
    nodal = problem.solution.x.array[tables.dofs].reshape(len(tables.dofs), -1, bs)
    x = tables.points.reshape(-1, problem.measure.dimension)
    value = np.einsum("qk,cki->cqi", shape, nodal).reshape(-1, bs) - exact.values(x)
    slope = np.einsum("cqkj,cki->cqij", tables.gradients, nodal).reshape(-1, bs, x.shape[1]) - exact.gradient(x)
    weights = tables.weights.ravel()
    squares = np.array([weights @ (value**2).sum(axis=1), weights @ (slope**2).sum(axis=(1, 2))])
    l2, h1 = np.sqrt(problem.comm.allreduce(squares))
    return float(l2), float(h1)


def observed_rates(element: str, degree: int, physics: Physics, bbar: bool) -> tuple[float, float]:
    """Rates between the two finest meshes."""
    found = []
    divisions = DIVISIONS[DIMENSION[element]][degree]
    for n in divisions:
        problem = problem_of(grid(element, n, 0.04), physics, LAW[physics], degree, bbar)
        exact = Exact(problem.measure, LAW[physics], AMPLITUDE[physics])
        fix_whole_boundary(problem, exact.values)
        load_with(problem, exact, degree)
        run(problem)
        found.append(errors(problem, exact, degree))
    (l2_coarse, h1_coarse), (l2_fine, h1_fine) = found[-2:]
    ratio = np.log(divisions[-1] / divisions[-2])
    return float(np.log(l2_coarse / l2_fine) / ratio), float(np.log(h1_coarse / h1_fine) / ratio)


@pytest.mark.parametrize(("physics", "element", "degree", "bbar"), COMBINATIONS)
def test_errors_fall_at_the_rate_of_the_element(physics: Physics, element: str, degree: int, bbar: bool) -> None:
    l2, h1 = observed_rates(element, degree, physics, bbar)
    assert l2 == pytest.approx(degree + 1, abs=0.06)
    assert h1 == pytest.approx(degree, abs=0.06)


def affine(measure: Measure) -> Callable[[FloatArray], FloatArray]:
    """A field with a constant gradient."""
    slope = 0.1 * np.array([[1.0, 0.6, -0.3], [-0.4, 0.7, 0.5], [0.2, -0.1, -0.8]])[: measure.block_size]
    return lambda x: x @ slope[:, : measure.dimension].T + 0.3


@pytest.mark.parametrize(("physics", "element", "degree", "bbar"), COMBINATIONS)
def test_patch_with_constant_gradient_is_exact(physics: Physics, element: str, degree: int, bbar: bool) -> None:
    problem = problem_of(grid(element, 3, 0.08), physics, LAW[physics], degree, bbar)
    exact = affine(problem.measure)
    fix_whole_boundary(problem, exact)
    run(problem)
    x = problem.space.tabulate_dof_coordinates()[:, : problem.measure.dimension]
    np.testing.assert_allclose(problem.solution.x.array.reshape(len(x), -1), exact(x), atol=1e-12)
    if problem.flux.size:
        np.testing.assert_allclose(problem.flux, np.broadcast_to(problem.flux[0], problem.flux.shape), atol=1e-11)
        assert np.abs(problem.flux).max() > 0.01
