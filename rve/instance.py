"""One RVE among those of a kind: what it keeps between evaluations, as views into the arrays of its material."""

from collections.abc import Sequence
from typing import NamedTuple

from materials.interface import IntArray
from materials.measures import FloatArray

NOWHERE = -1
"""In place of an element that there is not."""


class Instance(NamedTuple):
    """The committed state of one RVE, its trial state, and the iterate that the next solve starts from."""

    committed: Sequence[FloatArray]
    """State at the last accepted increment, one array (points, state size) per phase."""
    trial: Sequence[FloatArray]
    """State of the last iterate, likewise; written by every solve."""
    gradient: FloatArray
    """Macroscopic gradient of the last accepted increment, (g,)."""
    fluctuation: FloatArray
    """Fluctuation of the last accepted increment, (n,)."""
    last_gradient: FloatArray
    """Macroscopic gradient of the iterate, (g,)."""
    last_fluctuation: FloatArray
    """Fluctuation of the iterate, (n,)."""
    sensitivity: FloatArray
    """∂w/∂ḡ at the iterate, (g, n)."""
    reference_force: float
    """Largest assembled absolute internal force of the accepted increments."""
    flowing: IntArray
    """Element, counted over the phases, in which a state was seen to change last, (1,); `NOWHERE` if none was."""

    def predict(self, gradient: FloatArray) -> None:
        """Move the iterate to where its sensitivity expects the fluctuation at `gradient` (g,)."""
        self.last_fluctuation[:] += (gradient - self.last_gradient) @ self.sensitivity

    def start_over(self) -> None:
        """Make the committed fluctuation the iterate again."""
        self.last_fluctuation[:] = self.fluctuation
        self.last_gradient[:] = self.gradient
        self.sensitivity.fill(0.0)
