"""A law as a material: a batch of points that share one law, with their committed and trial state."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numba import types
from numpy.typing import NDArray

from materials.compilation import LAW_TYPE, kernel
from materials.interface import IntArray, Kind, Material, Response
from materials.law import Law
from materials.measures import FloatArray, Measure, Physics

_VECTOR = types.float64[::1]
_MATRIX = types.float64[:, ::1]


@kernel(
    types.void(
        LAW_TYPE,
        types.int64[::1],
        _VECTOR,
        types.int64,
        _MATRIX,
        _MATRIX,
        _VECTOR,
        types.float64,
        _MATRIX,
        types.float64[:, :, ::1],
        _MATRIX,
        _VECTOR,
        types.int8[::1],
    )
)
def evaluate_points(
    law: Callable[..., int],
    components: IntArray,
    rest: FloatArray,
    out_of_plane: int,
    gradient: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    flux: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
    out_of_plane_flux: FloatArray,
    status: NDArray[np.int8],
) -> None:
    """Evaluate a law at n points, embedded in space and restricted again to the components of the measure.

    Arguments: law; positions (g,) of the measure's components among those in space; gradient at rest in space (g3,);
    position of the out-of-plane flux in space, or −1; gradient (n, g); state (n, s); parameters (p,); dt; then written:
    flux (n, g), tangent (n, g, g), new state (n, s), out-of-plane flux (n,) or (0,), status (n,).
    """
    size = components.size
    space_gradient = rest.copy()
    space_flux = np.empty(rest.size)
    space_tangent = np.empty((rest.size, rest.size))
    for point in range(gradient.shape[0]):
        for i in range(size):
            space_gradient[components[i]] = gradient[point, i]
        status[point] = law(space_gradient, state[point], parameters, dt, space_flux, space_tangent, new_state[point])
        for i in range(size):
            flux[point, i] = space_flux[components[i]]
            for j in range(size):
                tangent[point, i, j] = space_tangent[components[i], components[j]]
        if out_of_plane >= 0:
            out_of_plane_flux[point] = space_flux[out_of_plane]


class LawMaterial(Material):
    """Points that share one law. In 2D: plane strain, with the out-of-plane stress as output.

    Raises ValueError if the law cannot be used with the measure.
    """

    def __init__(self, law: Law, measure: Measure):
        refusal = law.refusal(measure)
        if refusal is not None:
            raise ValueError(refusal)
        self.law = law
        self.measure = measure
        self.symmetric = law.symmetric
        name = measure.out_of_plane_name
        self.outputs = () if name is None else (name,)
        self._out_of_plane = -1 if name is None else measure.in_space.index_pairs.index((2, 2))
        self._parameters = law.parameters()
        self.bind(np.zeros(0, dtype=np.int64))

    @property
    def remembers(self) -> bool:
        """Whether the law has a state."""
        return self.law.state_size > 0

    def bind(self, point_ids: IntArray) -> None:
        """Create the state of these points, at rest."""
        self.point_ids = np.asarray(point_ids, dtype=np.int64)
        self._committed = np.tile(self.law.initial_state(), (len(point_ids), 1))
        self._trial = self._committed.copy()
        self._has_trial = False
        self._gradient = np.tile(self.measure.rest, (len(point_ids), 1))

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Flux and consistent tangent at `gradient` (n, g), after a step `dt` from the committed state."""
        n, size = len(self._committed), self.measure.size
        if gradient.shape != (n, size):
            raise ValueError(f"gradient must be of shape {(n, size)}, got {gradient.shape}: bind the material first")
        self._gradient = np.array(gradient, dtype=np.float64, order="C")
        flux = np.empty((n, size))
        tangent = np.empty((n, size, size))
        status = np.empty(n, dtype=np.int8)
        out_of_plane_flux = np.empty(n if self.outputs else 0)
        evaluate_points(
            self.law.point,
            self.measure.components_in_space,
            self.measure.in_space.rest,
            self._out_of_plane,
            self._gradient,
            self._committed,
            self._parameters,
            float(dt),
            flux,
            tangent,
            self._trial,
            out_of_plane_flux,
            status,
        )
        self._has_trial = True
        return Response(flux, tangent, status, dict.fromkeys(self.outputs, out_of_plane_flux))

    def commit(self) -> None:
        """Make the trial state of the last evaluation the committed one; without one, the state stays as it is."""
        if self._has_trial:
            self._committed, self._trial = self._trial, self._committed
            self._has_trial = False

    def revert(self) -> None:
        """Drop the trial state."""
        self._has_trial = False

    def kinds(self) -> NDArray[np.int8]:
        """`Kind.LAW` at each point."""
        return np.full(len(self._committed), Kind.LAW, dtype=np.int8)

    def state(self) -> dict[str, FloatArray]:
        """Committed state variables by name, each (n, *shape)."""
        n = len(self._committed)
        return {
            name: self._committed[:, where].reshape(n, *self.law.state_layout[name]).copy()
            for name, where in self._slices().items()
        }

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Set the committed state; ValueError if a variable is missing, unknown or of another shape."""
        if set(state) != set(self.law.state_layout):
            raise ValueError(f"law {self.law.name} has the state {sorted(self.law.state_layout)}, got {sorted(state)}")
        n = len(self._committed)
        for name, where in self._slices().items():
            shape = (n, *self.law.state_layout[name])
            if np.shape(state[name]) != shape:
                raise ValueError(f"state {name} must be of shape {shape}, got {np.shape(state[name])}")
            self._committed[:, where] = np.reshape(state[name], (n, where.stop - where.start))
        self._has_trial = False

    def failure(self, point: int) -> str:
        """The gradient that the law had no answer for."""
        gradient = self.measure.to_tensor(self._gradient[point])
        text = f"law {self.law.name} has no answer for {self.measure.gradient_name} {gradient.tolist()}"
        if self.measure.physics is Physics.FINITE_STRAIN:
            with np.errstate(invalid="ignore"):  # NaN is a way to fail
                text += f" (det F = {np.linalg.det(gradient):g}, must be positive)"
        return text

    def _slices(self) -> dict[str, slice]:
        """Where each state variable lies in the flat state."""
        slices, start = {}, 0
        for name, shape in self.law.state_layout.items():
            stop = start + math.prod(shape)
            slices[name] = slice(start, stop)
            start = stop
        return slices
