"""Where to ask the exact path ahead of a run, so that a surrogate knows what comes next before it comes.

Directions are those of strains that the run has seen, spread over what there is of them (`surrogates/thinning.py`) and
jittered, so that the answers fill the neighbourhood; sizes reach beyond what was seen. At finite strain everything is
drawn in the logarithm of U, and F = U: so det F > 0 wherever a path goes, and rotation would teach nothing
(`surrogates/paths.py`). Path i of a seed depends on the states given and on nothing else.
"""

from typing import NamedTuple

import numpy as np

from materials.measures import FloatArray, Measure, Physics
from surrogates.paths import smallest_stretch
from surrogates.thinning import spread

JITTER = 0.15
"""Root mean square deviation of a path from its direction, relative to its size, in each principal component."""

_SMALLEST = 0.05
"""Scale of a principal component, relative to the largest, below which it is jittered as if it were of this size."""

_SIZES = (0.5, 2.0)
"""Steps are longer than those observed by a factor between these."""


class _Frame(NamedTuple):
    """Principal axes of observed strains, in which they are of equal size.

    Where a cell yields, strains keep their volume nearly: what the run will see is flat, and a deviation in every
    component alike would lead to pressures that it never sees.
    """

    axes: FloatArray
    """Columns, (m, m)."""
    scale: FloatArray
    """Root mean square along each; of one along which hardly anything happens, part of the largest, (m,)."""

    @classmethod
    def of(cls, strain: FloatArray) -> "_Frame":
        """The frame of strains (n, m)."""
        squares, axes = np.linalg.eigh(strain.T @ strain / len(strain))
        scale = np.sqrt(np.maximum(squares, 0.0))
        return cls(axes, np.maximum(scale, _SMALLEST * scale.max()))

    def to(self, strain: FloatArray) -> FloatArray:
        """Coordinates of strains (…, m)."""
        return np.asarray(strain @ self.axes / self.scale)

    def back(self, coordinates: FloatArray) -> FloatArray:
        """Strains at coordinates (…, m)."""
        return np.asarray((coordinates * self.scale) @ self.axes.T)


def rays_ahead(measure: Measure, gradient: FloatArray, reach: float, count: int, steps: int, seed: int) -> FloatArray:
    """Proportional paths from rest through observed states and beyond, for a response that is reversible.

    Args:
        measure: what the gradients are.
        gradient: observed states, (n, g).
        reach: size of the end of a ray relative to that of the state it goes through, in (logarithmic) strain.
        count: rays at most.
        steps: of each ray, equal.
        seed: of the jitter.

    Returns:
        Gradients (p, steps, g), p ≤ `count`; none if every state is at rest.

    A ray that compresses further than the state it goes through ends where `surrogates/paths.py` would end it.
    """
    strain = logarithmic_strain(measure, gradient)
    if not strain.any():
        return np.zeros((0, steps, measure.size))
    frame = _Frame.of(strain)
    through = strain[spread(frame.to(strain), count)]
    through = through[np.any(through != 0.0, axis=1)]
    ends = reach * frame.back(_jittered(frame.to(through), seed))
    ends *= _shortening(measure, ends, through)[:, None]
    fractions = np.arange(1.0, steps + 1.0)[:, None] / steps
    return from_logarithmic_strain(measure, fractions * ends[:, None])


def paths_ahead(measure: Measure, paths: FloatArray, reach: float, count: int, steps: int, seed: int) -> FloatArray:
    """Paths that go on from observed ones, unload, reverse and wander, for a response that depends on the path.

    In turn: an observed path and beyond; to and fro along the direction of one; a walk between random strains of the
    observed sizes. All stay within `reach` times what was observed, and advance by observed steps times a factor
    between ½ and 2 that is drawn for the path.

    Args:
        measure: what the gradients are.
        paths: observed from rest, (n, s, g).
        reach: see `rays_ahead`; relative to the largest state of a path.
        count: paths at most.
        steps: increments of each.
        seed: of everything random.

    Returns:
        Gradients (p, steps, g), p ≤ `count`; none if every state is at rest.
    """
    n, s, g = paths.shape
    strain = logarithmic_strain(measure, paths.reshape(-1, g)).reshape(n, s, -1)
    if not strain.any():
        return np.zeros((0, steps, g))
    frame = _Frame.of(strain.reshape(n * s, -1))
    coordinates = frame.to(strain)
    farthest = np.argmax(np.linalg.norm(coordinates, axis=2), axis=1)
    peaks = coordinates[np.arange(n), farthest]
    moving = np.flatnonzero(np.any(peaks != 0.0, axis=1))
    chosen = np.resize(moving[spread(peaks[moving], count)], count)
    increments = np.diff(coordinates, axis=1, prepend=np.zeros((n, 1, strain.shape[2])))
    lengths = np.linalg.norm(increments, axis=2)
    ahead = np.empty((count, steps, strain.shape[2]))
    jittered = _jittered(peaks[chosen], seed)
    for number, path in enumerate(chosen):
        stream = np.random.default_rng([seed, 1, number])
        own = lengths[path]
        step = float(np.median(own[own > 0.0])) * _SIZES[0] * (_SIZES[1] / _SIZES[0]) ** stream.random()
        observed = coordinates[path, : int(farthest[path]) + 1]
        turns = _TURNS[number % len(_TURNS)](observed, jittered[number], reach, stream)
        ahead[number] = frame.back(_walk(turns, step, steps))
    flat = ahead.reshape(count * steps, -1)
    seen = np.repeat(frame.back(peaks[chosen]), steps, axis=0)
    shortening = _shortening(measure, flat, seen).reshape(count, steps).min(axis=1)
    return from_logarithmic_strain(measure, shortening[:, None, None] * ahead)


def companions(measure: Measure, paths: FloatArray, copies: int, seed: int) -> FloatArray:
    """Paths (p, s, g), and beside each of them `copies` − 1 others, so that its neighbourhood becomes known too.

    Every component of the (logarithmic) strain of a copy is stretched by a factor of its own.
    """
    p, s, g = paths.shape
    strain = logarithmic_strain(measure, paths.reshape(-1, g)).reshape(p, s, -1)
    beside = [paths]
    for copy in range(1, copies):
        streams = (np.random.default_rng([seed, 2, copy, number]) for number in range(p))
        factors = 1.0 + JITTER * np.array([stream.standard_normal(strain.shape[2]) for stream in streams])
        stretched = (factors[:, None] * strain).reshape(p * s, -1)
        beside.append(from_logarithmic_strain(measure, stretched).reshape(p, s, g))
    return np.concatenate(beside)


def rays_through(measure: Measure, gradient: FloatArray, reach: float, steps: int) -> FloatArray:
    """Rays from rest to `reach` times the (logarithmic) strain of states (n, g), in equal steps, (n, steps, g)."""
    fractions = np.arange(1.0, steps + 1.0)[:, None] / steps
    return from_logarithmic_strain(measure, reach * fractions * logarithmic_strain(measure, gradient)[:, None])


def logarithmic_strain(measure: Measure, gradient: FloatArray) -> FloatArray:
    """Logarithm of U as Mandel vectors at finite strain, otherwise the gradient, (n, m)."""
    if measure.physics is not Physics.FINITE_STRAIN:
        return gradient
    deformation = measure.to_tensor(gradient)
    squares, axes = np.linalg.eigh(np.swapaxes(deformation, 1, 2) @ deformation)
    logarithm = (axes * (0.5 * np.log(squares))[:, None, :]) @ np.swapaxes(axes, 1, 2)
    return Measure(Physics.SMALL_STRAIN, measure.dimension).to_vector(logarithm)


def from_logarithmic_strain(measure: Measure, strain: FloatArray) -> FloatArray:
    """F = U = exp(strain) at finite strain, otherwise the strain itself, (…, g)."""
    if measure.physics is not Physics.FINITE_STRAIN:
        return strain
    values, axes = np.linalg.eigh(Measure(Physics.SMALL_STRAIN, measure.dimension).to_tensor(strain))
    return measure.to_vector((axes * np.exp(values)[..., None, :]) @ np.swapaxes(axes, -1, -2))


def _jittered(strain: FloatArray, seed: int) -> FloatArray:
    """Scaled strains (p, m) turned a little, each by a stream of its own."""
    size = np.linalg.norm(strain, axis=1, keepdims=True) / np.sqrt(strain.shape[1])
    noise = np.array([np.random.default_rng([seed, 0, i]).standard_normal(strain.shape[1]) for i in range(len(strain))])
    return np.asarray(strain + JITTER * size * noise)


def _shortening(measure: Measure, strain: FloatArray, seen: FloatArray) -> FloatArray:
    """Factors (n,) ≤ 1 that keep strains (n, m) from compressing too much; less than in `seen` (n, m) is not asked."""
    if measure.physics is not Physics.FINITE_STRAIN:
        return np.ones(len(strain))
    packed = Measure(Physics.SMALL_STRAIN, measure.dimension)
    principal = np.linalg.eigvalsh(packed.to_tensor(strain))
    tension = np.maximum(np.exp(principal[:, -1]) - 1.0, 0.5)
    allowed = np.log([smallest_stretch(largest) for largest in tension])
    allowed = np.minimum(allowed, np.linalg.eigvalsh(packed.to_tensor(seen))[:, 0])
    return np.where(principal[:, 0] < allowed, allowed / np.minimum(principal[:, 0], -1e-300), 1.0)


def _onwards(observed: FloatArray, peak: FloatArray, reach: float, stream: np.random.Generator) -> FloatArray:
    """Turning points: an observed path to its largest state, on to a random size, then to and fro."""
    on = stream.uniform(1.0, reach) * peak
    return np.vstack([observed, on, _to_and_fro(observed, peak, reach, stream)])


def _to_and_fro(observed: FloatArray, peak: FloatArray, reach: float, stream: np.random.Generator) -> FloatArray:
    """Turning points on one direction: random sizes, the sign of most of them the opposite of the one before."""
    del observed
    sizes = stream.uniform(0.2, 1.0, 100) * reach
    signs = np.cumprod(np.where(stream.random(100) < 0.7, -1.0, 1.0))
    return (sizes * signs * signs[0])[:, None] * peak


def _wander(observed: FloatArray, peak: FloatArray, reach: float, stream: np.random.Generator) -> FloatArray:
    """Turning points in all directions, evenly in a ball."""
    del observed
    directions = stream.standard_normal((100, len(peak)))
    radii = stream.random(100) ** (1.0 / len(peak)) * reach * np.linalg.norm(peak)
    return directions * (radii / np.linalg.norm(directions, axis=1))[:, None]


_TURNS = (_onwards, _to_and_fro, _wander)


def _walk(turns: FloatArray, step: float, steps: int) -> FloatArray:
    """From rest along the polygon of `turns` (k, m), by a length of `step` each time, (steps, m)."""
    corners = np.vstack([np.zeros(turns.shape[1]), turns])
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    at = step * np.arange(1.0, steps + 1.0)
    return np.stack([np.interp(at, travelled, component) for component in corners.T], axis=1)
