"""Drive one RVE along a path of macroscopic gradients."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from materials.interface import Status
from materials.measures import FloatArray
from rve.cell_material import CellMaterial


class HomogenizedStep(NamedTuple):
    """Answer of a material at the end of one increment of a path."""

    gradient: FloatArray
    """Macroscopic gradient, packed, (g,)."""
    flux: FloatArray
    """Macroscopic flux, packed, (g,)."""
    tangent: FloatArray
    """Consistent tangent of the increment, (g, g)."""
    outputs: dict[str, float]
    iterations: int
    """Newton iterations of the cell."""


class PathFailure(ArithmeticError):
    """A path could not be followed; the steps before it were."""

    def __init__(self, step: int, reason: str) -> None:
        """`step` counts from 1."""
        super().__init__(f"step {step} of the path: {reason}")
        self.step = step


def homogenize(material: CellMaterial, path: FloatArray, dt: float = 1.0) -> Iterator[HomogenizedStep]:
    """Follow `path` (steps, g) with a single RVE, one committed increment of duration `dt` per row, from rest.

    Raises:
        PathFailure: the RVE finds no equilibrium in a step.
    """
    material.bind(np.zeros(1, dtype=np.int64))
    for number in range(1, len(path) + 1):
        gradient = path[number - 1 : number]
        response = material.evaluate(gradient, dt)
        if response.status[0] != Status.OK:
            raise PathFailure(number, material.failure(0))
        material.commit()
        outputs = {name: float(values[0]) for name, values in response.outputs.items()}
        yield HomogenizedStep(gradient[0], response.flux[0], response.tangent[0], outputs, material.iterations(0))
