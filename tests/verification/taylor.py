"""Taylor tests of laws: the remainder flux(g + h d) − flux(g) − h A d falls with h² for the exact tangent A."""

from collections.abc import Sequence

import numpy as np

from materials.law import Law
from materials.law_material import LawMaterial
from materials.measures import FloatArray, Measure

STEPS = 0.25 ** np.arange(8)


def remainders(
    law: Law,
    base: FloatArray,
    direction: FloatArray,
    history: Sequence[FloatArray],
    tangent_error: float = 0.0,
) -> FloatArray:
    """Remainder over the first-order term, (steps, n), after committing the gradients of `history`, each (n, g)."""
    assert law.physics is not None
    material = LawMaterial(law, Measure(law.physics, 3))
    material.bind(np.arange(len(base)))
    for gradient in history:
        material.evaluate(gradient, 1.0)
        material.commit()
    at_base = material.evaluate(base, 1.0)
    assert not at_base.status.any()
    linear = (1.0 + tangent_error) * np.einsum("nij,nj->ni", at_base.tangent, direction)
    found = []
    for step in STEPS:
        moved = material.evaluate(base + step * direction, 1.0)
        assert not moved.status.any()
        found.append(np.linalg.norm(moved.flux - at_base.flux - step * linear, axis=1))
    return np.array(found) / np.linalg.norm(linear, axis=1)


def last_rates(found: FloatArray) -> FloatArray:
    """Order in h of the remainder between the two smallest steps, (n,)."""
    return np.log(found[-2] / found[-1]) / np.log(STEPS[-2] / STEPS[-1])
