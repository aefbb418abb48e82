"""What a law is: user parameters, a state, and one numba point function written in three dimensions."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from materials.measures import FloatArray, Measure, Physics
from materials.parameters import check_fields


@dataclass(frozen=True, kw_only=True)
class Law(ABC):
    """A constitutive law. The dataclass fields of a subclass are its parameters in case files.

    Raises ValueError if a parameter breaks the constraints of its annotation. A subclass that has rules across
    parameters checks them in `__post_init__`, after calling this one.
    """

    name: ClassVar[str]
    """Name in case files."""
    physics: ClassVar[Physics | None]
    """The physics the law is for; None: any."""
    symmetric: ClassVar[bool] = True
    """Whether the tangent is always symmetric."""
    isochoric_flow: ClassVar[bool] = False
    """Whether it flows without change of volume, so that linear elements lock with full integration."""
    softens: ClassVar[bool] = False
    """Whether stress falls while strain grows, so that strain localises in as few elements as it can."""
    linear_at_constant_state: ClassVar[bool] = False
    """Whether the flux grows linearly with the gradient, by the tangent at rest, as long as the state stays as it is.

    Then cells that stay elastic need no factorisation. Rates must not enter, and an elastic step must return the state
    bit for bit.
    """
    void: ClassVar[bool] = False
    """Whether nothing is there: a cell removes the elements of such a phase and keeps their volume."""
    state_layout: ClassVar[dict[str, tuple[int, ...]]] = {}
    """Name and shape of each state variable, in the order in which they fill the flat state vector.

    Where the last axis has length 6 it holds symmetric tensors as Mandel vectors, where the last two have length 3
    tensors: that is how localised cells show them. A law whose parameters decide how many there are gives each instance
    its own in `__post_init__`.
    """
    point: ClassVar[Callable[..., int]]
    """The point function (`materials.compilation.point_law`), wrapped in `staticmethod`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    def __post_init__(self) -> None:
        """Check every parameter against the constraints of its annotation."""
        check_fields(self)

    @property
    def state_size(self) -> int:
        """Length s of the flat state vector."""
        return sum(math.prod(shape) for shape in self.state_layout.values())

    def initial_state(self) -> FloatArray:
        """State of a point at rest, (s,)."""
        return np.zeros(self.state_size)

    @abstractmethod
    def parameters(self) -> FloatArray:
        """The numbers that the point function needs, (p,)."""

    def refusal(self, measure: Measure) -> str | None:
        """Why the law cannot be used with this measure, in words for a message; None if it can."""
        if self.physics is not None and self.physics is not measure.physics:
            return f"law {self.name} is for physics {self.physics}, not {measure.physics}"
        return None
