"""Laws along paths: what their tests share."""

import itertools

import numpy as np

from materials.law import Law
from materials.law_material import LawMaterial
from materials.measures import Measure


def drive(law: Law, path: np.ndarray, dt: float = 1.0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Flux (steps, n, 3, 3) and state after each step, each (steps, n, *shape), along gradients (steps, n, 3, 3)."""
    assert law.physics is not None
    measure = Measure(law.physics, 3)
    material = LawMaterial(law, measure)
    material.bind(np.arange(path.shape[1]))
    fluxes, states = [], []
    for gradient in measure.to_vector(path):
        response = material.evaluate(gradient, dt)
        assert not response.status.any()
        material.commit()
        fluxes.append(measure.to_tensor(response.flux))
        states.append(material.state())
    return np.array(fluxes), {name: np.array([state[name] for state in states]) for name in states[0]}


def random_strains(steps: int, n: int, size: float, seed: int) -> np.ndarray:
    """Random walks of strain from rest in small steps, (steps, n, 3, 3), about `size` after a hundred steps."""
    walk = np.random.default_rng(seed).standard_normal((steps, n, 3, 3)).cumsum(axis=0) * 0.1 * size
    return 0.5 * (walk + walk.swapaxes(-1, -2))


def refined(path: np.ndarray, rest: np.ndarray, parts: int) -> np.ndarray:
    """The path with each step from rest cut into equal parts."""
    knots = np.concatenate([np.broadcast_to(rest, path[:1].shape), path])
    share = np.arange(1, parts + 1)[:, None, None, None] / parts
    return np.concatenate([start + share * (end - start) for start, end in itertools.pairwise(knots)])


def work(path: np.ndarray, flux: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """∫ flux : d gradient by the trapezoidal rule from a stress-free rest, (steps, n)."""
    increments = np.diff(path, axis=0, prepend=np.broadcast_to(rest, path[:1].shape))
    means = flux - 0.5 * np.diff(flux, axis=0, prepend=np.zeros_like(flux[:1]))
    return np.cumsum(np.einsum("tnij,tnij->tn", means, increments), axis=0)
