"""Macro problems for the tests: how to pose them, run them and watch them."""

from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from materials.interface import Material
from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from meshes.macro import GENERATORS, Generator, MacroMesh, build_macro_mesh
from solver.driver import Driver
from solver.increments import Stepping
from solver.loading import LoadFactor
from solver.macro_problem import MacroProblem
from solver.newton_settings import NewtonSettings
from solver.records import IncrementRecord, IterationRecord
from solver.restart import RestartPoint

DIMENSION = {"triangle": 2, "quadrilateral": 2, "tetrahedron": 3, "hexahedron": 3}

TIGHT = NewtonSettings(residual_tolerance=1e-12, correction_tolerance=1e-10)
"""Tolerances near rounding, so that what is left in a comparison is not Newton's."""


def law(name: str, **parameters: object) -> Law:
    """A law by its name in case files."""
    return LAWS[name](**parameters)  # type: ignore[arg-type]


def mesh_of(generator: str, element: str, comm: MPI.Comm = MPI.COMM_WORLD, **parameters: object) -> MacroMesh:
    """A generated mesh."""
    source: Generator = GENERATORS[generator](**parameters)  # type: ignore[arg-type,assignment]
    return build_macro_mesh(comm, source, element)


def grid(element: str, divisions: int, distortion: float = 0.0, comm: MPI.Comm = MPI.COMM_WORLD) -> MacroMesh:
    """The unit square or cube; `distortion` moves inner nodes smoothly, so that no cell is a rectangle any more."""
    dimension = DIMENSION[element]
    name = "rectangle" if dimension == 2 else "box"
    macro = mesh_of(name, element, comm, divisions=(divisions,) * dimension)
    x = macro.mesh.geometry.x
    bubble = np.prod(np.sin(np.pi * x[:, :dimension]), axis=1)
    for i in range(dimension):
        x[:, i] += distortion * (1.0 - 0.4 * i) * bubble
    return macro


def problem_of(
    macro: MacroMesh, physics: Physics, material: Law | Material, degree: int = 1, bbar: bool = False
) -> MacroProblem:
    """A problem with one material everywhere."""
    measure = Measure(physics, macro.mesh.topology.dim)
    answer = LawMaterial(material, measure) if isinstance(material, Law) else material
    return MacroProblem(macro, measure, degree, {"body": answer}, {"all": "body"}, bbar=bbar)


def fix_whole_boundary(problem: MacroProblem, exact: Callable[[FloatArray], FloatArray]) -> None:
    """Prescribe exact (n, d) -> (n, bs) on all named boundaries."""
    x = problem.space.tabulate_dof_coordinates()
    for name in problem.boundaries:
        nodes = problem.boundary_nodes(name)
        values = exact(x[nodes, : problem.measure.dimension])
        for component in range(problem.block_size):
            problem.prescribed.fix(nodes, component, values[:, component])


class Watch:
    """Keeps what a run tells its observers, and restart points."""

    def __init__(self) -> None:
        self.records: list[IncrementRecord] = []
        self.iterations: list[IterationRecord] = []
        self.cuts: list[str] = []
        self.points: list[RestartPoint] = []

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Nothing to keep."""

    def iterated(self, record: IterationRecord) -> None:
        """Keep it."""
        self.iterations.append(record)

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Keep the reason."""
        self.cuts.append(reason)

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Keep the record and a restart point."""
        self.records.append(record)
        self.points.append(RestartPoint(record.progress, problem.state()))

    @property
    def times(self) -> list[float]:
        """Times of the accepted increments."""
        return [record.time for record in self.records]


def run(
    problem: MacroProblem,
    steps: int = 1,
    factor: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0)),
    newton: NewtonSettings = TIGHT,
    start: RestartPoint | None = None,
    **stepping: float,
) -> Watch:
    """Run to the last time of `factor`."""
    watch = Watch()
    Driver(problem, LoadFactor(factor), Stepping(factor[-1][0], steps, **stepping), newton).run([watch], start)
    return watch


def residuals(record: IncrementRecord) -> FloatArray:
    """Relative residual of each iteration of an accepted increment."""
    return np.array([iteration.residual for iteration in record.iterations])


def displacement_at(problem: MacroProblem, point: tuple[float, ...]) -> FloatArray:
    """Nodal value (bs,) at a node, on all ranks."""
    x = problem.space.tabulate_dof_coordinates()[: problem.n_owned // problem.block_size, : len(point)]
    distance = np.linalg.norm(x - np.array(point), axis=1)
    value = np.zeros(problem.block_size)
    nearest = int(distance.argmin()) if distance.size else -1
    found = nearest >= 0 and distance[nearest] < 1e-8
    if found:
        value = problem.solution.x.array.reshape(-1, problem.block_size)[nearest]
    count = problem.comm.allreduce(int(found))
    assert count == 1, f"{count} nodes at {point}"
    return np.asarray(problem.comm.allreduce(value))
