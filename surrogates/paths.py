"""Macroscopic paths to sample a cell on: seeded, packed, from rest, for any physics.

A path is drawn as a sequence of symmetric tensors (small strain: ε; finite strain: U − I) or vectors (heat: ∇T) and
scaled so that its largest tensor component is the range asked for. Path i of a seed is the same however many follow.

At finite strain every path is free of rotation: F = U, symmetric and positive definite. A rotation R would add no
information, since P(R U) = R P(U) and surrogates are objective by construction; what a rotation does to the tangent is
in ∂P/∂F at F = U already, which has all components.
"""

from collections.abc import Callable, Sequence

import numpy as np

from materials.measures import FloatArray, Measure, Physics
from surrogates.halton import halton_point

_SPACE_FILLING_STREAM = 1 << 40
"""Key of the random stream that shifts the low-discrepancy sequence; no path has it for a number."""


def draw_path(measure: Measure, kind: str, steps: int, largest: float, seed: int, number: int) -> FloatArray:
    """Gradients that one path visits, packed, (steps, g); the state of rest before them is not among them.

    Args:
        measure: what the gradients are.
        kind: one of `KINDS`.
        steps: increments.
        largest: largest component of ε, of F − I, or of ∇T that the path reaches; for a space-filling path, largest
            principal value. At large ranges, a path that compresses too much is shortened (`smallest_stretch`).
        seed: of all paths.
        number: of this path, from 0.

    Raises:
        ValueError: an unknown kind, or a number that is not positive.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of path {kind!r}; known: {', '.join(KINDS)}")
    if steps < 1 or not 0.0 < largest < np.inf:
        raise ValueError(f"steps and range of a path must be positive, got {steps} and {largest:g}")
    return KINDS[kind](measure, steps, largest, seed, number)


def draw_paths(
    measure: Measure, kinds: Sequence[str], paths: int, steps: int, largest: float, seed: int = 0
) -> FloatArray:
    """Many paths, (paths, steps, g), with `kinds` dealt to them in turn; see `draw_path`."""
    drawn = [draw_path(measure, kinds[i % len(kinds)], steps, largest, seed, i) for i in range(paths)]
    return np.stack(drawn)


def smallest_stretch(largest: float) -> float:
    """Principal stretch that compression goes down to where tension goes up to 1 + `largest`.

    1 − r up to r = ½ and 1 / (4 r), its smooth continuation, beyond, so that det F > 0 for any range.
    """
    return 1.0 - largest if largest <= 0.5 else 0.25 / largest


def _proportional(measure: Measure, steps: int, largest: float, seed: int, number: int) -> FloatArray:
    """Equal steps along one direction, uniform on the unit sphere of the packed space."""
    direction = _stream(seed, number).standard_normal(_drawn_in(measure).size)
    return _scaled(measure, _ray(direction, steps), largest)


def _random_walk(measure: Measure, steps: int, largest: float, seed: int, number: int) -> FloatArray:
    """Sum of Gaussian increments, each correlated with the one before by a factor drawn for the path.

    A Gaussian process: from a Brownian walk (no correlation) to a smooth curve (0.95).
    """
    stream = _stream(seed, number)
    correlation = stream.uniform(0.0, 0.95)
    increments = stream.standard_normal((steps, _drawn_in(measure).size))
    for step in range(1, steps):
        increments[step] *= np.sqrt(1.0 - correlation**2)
        increments[step] += correlation * increments[step - 1]
    return _scaled(measure, np.cumsum(increments, axis=0), largest)


def _cyclic(measure: Measure, steps: int, largest: float, seed: int, number: int) -> FloatArray:
    """To and fro along one random direction, one to four reversals of random amplitude, in nearly equal steps."""
    stream = _stream(seed, number)
    direction = stream.standard_normal(_drawn_in(measure).size)
    reversals = min(int(stream.integers(1, 5)), steps - 1)
    peaks = stream.uniform(0.3, 1.0, reversals + 1) * (-1.0) ** np.arange(reversals + 1)
    knots = np.concatenate([[0.0], peaks])
    travelled = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(knots)))])
    ends = np.rint(travelled / travelled[-1] * steps)  # the steps that turning points fall on
    legs = np.arange(knots.size)
    ends = np.maximum.accumulate(np.maximum(ends - legs, 0.0)) + legs  # each leg has a step
    ends = np.minimum(ends, steps - legs[::-1])
    position = np.interp(np.arange(1.0, steps + 1.0), ends, knots)
    return _scaled(measure, position[:, np.newaxis] * direction, largest)


def _space_filling(measure: Measure, steps: int, largest: float, seed: int, number: int) -> FloatArray:
    """Rays to the boundary of the box of principal values, in directions that a Halton sequence fills evenly.

    Mechanics: principal strains or stretches on the surface of a box, principal axes evenly over all rotations.
    Heat: directions evenly over the circle or sphere.
    """
    d = measure.dimension
    heat = measure.physics is Physics.HEAT
    size = d - 1 if heat else {2: 3, 3: 6}[d]
    point = halton_point(number, _stream(seed, _SPACE_FILLING_STREAM).random(size))
    if heat:
        return _scaled(measure, _ray(_unit_vector(point), steps), largest)
    values = 2.0 * point[:d] - 1.0
    values /= max(float(np.abs(values).max()), float(np.finfo(float).tiny))
    if measure.physics is Physics.FINITE_STRAIN:
        values *= np.where(values < 0.0, 1.0 - smallest_stretch(largest), largest)
    else:
        values *= largest
    axes = _rotation(point[d:])
    end = _drawn_in(measure).to_vector((axes * values) @ axes.T)
    return _packed(measure, _ray(end, steps))


KINDS: dict[str, Callable[[Measure, int, float, int, int], FloatArray]] = {
    "proportional": _proportional,
    "random_walk": _random_walk,
    "cyclic": _cyclic,
    "space_filling": _space_filling,
}
"""Kinds of paths by their name in case files."""


def _stream(seed: int, number: int) -> np.random.Generator:
    """Random numbers of one path, whatever other paths there are."""
    return np.random.default_rng([seed, number])


def _ray(end: FloatArray, steps: int) -> FloatArray:
    """Equal steps from rest to `end`, (steps, components)."""
    return np.arange(1.0, steps + 1.0)[:, np.newaxis] / steps * end


def _drawn_in(measure: Measure) -> Measure:
    """Symmetric tensors, packed by Mandel, for mechanics; vectors for heat."""
    heat = measure.physics is Physics.HEAT
    return measure if heat else Measure(Physics.SMALL_STRAIN, measure.dimension)


def _scaled(measure: Measure, path: FloatArray, largest: float) -> FloatArray:
    """The path with its largest tensor component at `largest`; packed.

    Components up to r have principal values up to d·r in size; compression beyond `smallest_stretch(d·r)`, which is
    1 − d·r for d·r ≤ ½, is avoided by a smaller scale.
    """
    tensors = _drawn_in(measure).to_tensor(path)
    scale = largest / max(float(np.abs(tensors).max()), float(np.finfo(float).tiny))
    if measure.physics is Physics.FINITE_STRAIN:
        compression = -float(np.linalg.eigvalsh(tensors).min())
        if compression > 0.0:
            scale = min(scale, (1.0 - smallest_stretch(measure.dimension * largest)) / compression)
    return _packed(measure, scale * path)


def _packed(measure: Measure, path: FloatArray) -> FloatArray:
    """From ε, U − I or ∇T as drawn to the gradient of the measure."""
    if measure.physics is not Physics.FINITE_STRAIN:
        return path
    return measure.rest + measure.to_vector(_drawn_in(measure).to_tensor(path))


def _unit_vector(point: FloatArray) -> FloatArray:
    """A point of the unit interval or square on the unit circle or sphere, areas kept."""
    if point.size == 1:
        angle = 2.0 * np.pi * point[0]
        return np.array([np.cos(angle), np.sin(angle)])
    height, angle = 2.0 * point[0] - 1.0, 2.0 * np.pi * point[1]
    radius = np.sqrt(1.0 - height**2)
    return np.array([radius * np.cos(angle), radius * np.sin(angle), height])


def _rotation(point: FloatArray) -> FloatArray:
    """A point of the unit interval or cube as a rotation, volumes kept (Shoemake 1992)."""
    if point.size == 1:
        c, s = np.cos(np.pi * point[0]), np.sin(np.pi * point[0])
        return np.array([[c, -s], [s, c]])
    a, b = np.sqrt(1.0 - point[0]), np.sqrt(point[0])
    first, second = 2.0 * np.pi * point[1:]
    x, y, z, w = a * np.sin(first), a * np.cos(first), b * np.sin(second), b * np.cos(second)
    return np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )
