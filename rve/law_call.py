"""How the element kernels of cells ask a law: the types of their arguments, and the first of them."""

from typing import Any

from numba import types

from materials.compilation import LAW_TYPE, LawPointer
from materials.law import Law
from materials.measures import Measure

I8 = types.int64
F8 = types.float64
I4_1D, I4_2D, I4_3D = (types.Array(types.int32, dimensions, "C") for dimensions in (1, 2, 3))
I8_1D, I8_2D = (types.Array(types.int64, dimensions, "C") for dimensions in (1, 2))
F8_1D, F8_2D, F8_3D, F8_4D = (types.Array(types.float64, dimensions, "C") for dimensions in (1, 2, 3, 4))

LAW_ARGUMENTS = (
    LAW_TYPE,
    F8_1D,  # parameters
    I8_1D,  # components in space
    F8_1D,  # rest in space
    I8,  # position of the out-of-plane component in space, or -1
)
"""Types of what `law_arguments` gives."""


def law_arguments(law: Law, measure: Measure) -> tuple[Any, ...]:
    """The law, its parameters, and how a gradient of the measure lies in space."""
    has_out_of_plane = measure.out_of_plane_name is not None
    return (
        LawPointer(law.point),
        law.parameters(),
        measure.components_in_space,
        measure.in_space.rest,
        measure.in_space.index_pairs.index((2, 2)) if has_out_of_plane else -1,
    )
