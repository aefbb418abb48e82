"""Load factor, prescribed values and external forces."""

import numpy as np
import pytest
from mpi4py import MPI

from materials.measures import Physics
from solver.loading import LoadFactor
from solver.macro_problem import MacroProblem
from tests.verification.macro_runs import grid, law, problem_of


def elastic(element: str = "quadrilateral", divisions: int = 3, degree: int = 1) -> MacroProblem:
    return problem_of(
        grid(element, divisions, comm=MPI.COMM_SELF), Physics.SMALL_STRAIN, law("elastic", E=1.0, nu=0.3), degree
    )


def test_load_factor_is_piecewise_linear() -> None:
    factor = LoadFactor(((0.0, 0.0), (1.0, 2.0), (3.0, -2.0)))
    assert [factor(time) for time in (0.0, 0.25, 1.0, 2.0, 3.0)] == [0.0, 0.5, 2.0, 0.0, -2.0]


def test_load_factor_with_times_that_do_not_increase_is_refused() -> None:
    with pytest.raises(ValueError, match="increasing times"):
        LoadFactor(((0.0, 0.0), (1.0, 1.0), (1.0, 2.0)))


def test_scaled_and_constant_values_are_told_apart() -> None:
    problem = elastic()
    problem.prescribe("left", [0.5, None])
    problem.prescribe("right", [None, 2.0], constant=True)
    values = problem.prescribed.values(0.1).reshape(-1, 2)
    fixed = problem.prescribed.fixed.reshape(-1, 2)
    left, right = problem.boundary_nodes("left"), problem.boundary_nodes("right")
    np.testing.assert_allclose(values[left], [[0.05, 0.0]] * 4)
    np.testing.assert_allclose(values[right], [[0.0, 2.0]] * 4)
    assert fixed[left].tolist() == [[True, False]] * 4
    assert fixed.sum() == 8
    assert problem.prescribed.overlaps == 0


def test_later_condition_holds_where_boundaries_meet_and_the_overlap_is_counted() -> None:
    problem = elastic()
    problem.prescribe("left", [0.0, 0.0])
    problem.prescribe("top", [None, 0.1])
    corner = np.intersect1d(problem.boundary_nodes("left"), problem.boundary_nodes("top"))
    assert problem.prescribed.values(1.0).reshape(-1, 2)[corner].tolist() == [[0.0, 0.1]]
    assert problem.prescribed.overlaps == 1


@pytest.mark.parametrize("element", ["triangle", "quadrilateral"])
@pytest.mark.parametrize("degree", [1, 2])
def test_nodal_forces_of_a_uniform_load_sum_to_load_times_area(element: str, degree: int) -> None:
    problem = elastic(element, degree=degree)
    problem.load_boundary("top", [0.25, -3.0])
    problem.load_body([0.0, 2.0], constant=True)
    total = problem.external.forces(2.0).reshape(-1, 2).sum(axis=0)
    np.testing.assert_allclose(total, [0.5, -4.0])
    elsewhere = np.setdiff1d(np.arange(len(problem.space.tabulate_dof_coordinates())), problem.boundary_nodes("top"))
    traction = problem.external.forces(1.0) - problem.external.forces(0.0)
    assert np.abs(traction.reshape(-1, 2)[elsewhere]).max() == 0.0


def test_unknown_boundary_and_wrong_number_of_components_name_what_exists() -> None:
    problem = elastic()
    with pytest.raises(ValueError, match=r"no boundary 'lid'; the mesh has .*'top'"):
        problem.prescribe("lid", [0.0, 0.0])
    with pytest.raises(ValueError, match="2 components are needed for displacement, got 3"):
        problem.load_boundary("top", [0.0, 0.0, 1.0])


def test_load_on_facets_inside_the_body_is_refused() -> None:
    problem = elastic()
    mesh = problem.mesh
    mesh.topology.create_connectivity(1, 2)
    n_facets = mesh.topology.index_map(1).size_local
    with pytest.raises(ValueError, match=r"12 of 24 facets lie inside the body"):
        problem.external.add_boundary_load(np.arange(n_facets, dtype=np.int32), [0.0, 1.0])
