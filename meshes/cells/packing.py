"""Discs and spheres without overlap in a periodic cell."""

import numpy as np

from meshes.elements import FloatArray
from meshes.errors import MeshError

_BATCH, _TRIALS, _RESTARTS = 2_000, 200_000, 10
_SHIFTS = 2_000


def random_packing(size: FloatArray, radii: FloatArray, gap: float, seed: int) -> FloatArray:
    """Centres by random sequential addition (Widom 1966), the largest first, in [0, size], (n, d).

    The pattern as a whole is then shifted, which changes nothing in a periodic cell, so that no surface passes close to
    a face or a corner without cutting it: slivers would be left.

    Args:
        size: edge lengths of the cell, (d,).
        radii: (n,).
        gap: least distance of two surfaces.
        seed: of the positions.

    Raises:
        MeshError: no place is found for one of them, nor when starting again.
    """
    if 2.0 * radii.max() + gap > size.min():
        raise MeshError(
            f"an inclusion of diameter {2.0 * radii.max():.3g} meets its own image in a cell whose shortest edge is "
            f"{size.min():g}: ask for more inclusions or a lower volume fraction"
        )
    rng = np.random.default_rng(seed)
    order = np.argsort(-radii, kind="stable")
    most = 0
    for _ in range(_RESTARTS):
        centres = np.empty((len(radii), len(size)))
        placed = 0
        for row in order:
            found = _free_place(size, centres[order[:placed]], radii[order[:placed]] + radii[row] + gap, rng)
            if found is None:
                break
            centres[row] = found
            placed += 1
        if placed == len(radii):
            return _shifted(centres, size, radii, rng)
        most = max(most, placed)
    raise MeshError(
        f"only {most} of {len(radii)} inclusions find a place by random sequential addition: "
        "lower the volume fraction or the gap, or take more inclusions"
    )


def _free_place(
    size: FloatArray, centres: FloatArray, distances: FloatArray, rng: np.random.Generator
) -> FloatArray | None:
    """The first of many random places that keeps its distance from every centre or its images, (d,)."""
    for _ in range(_TRIALS // _BATCH):
        places = rng.random((_BATCH, len(size))) * size
        offset = places[:, None] - centres
        offset -= size * np.round(offset / size)
        free = np.flatnonzero(np.all((offset**2).sum(axis=2) >= distances**2, axis=1))
        if free.size:
            return places[free[0]]
    return None


def _shifted(centres: FloatArray, size: FloatArray, radii: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The pattern in the place where the surfaces keep the largest distance from being tangent to faces or corners."""
    shifts = rng.random((_SHIFTS, 1, len(size))) * size
    offset = (centres + shifts + 0.5 * size) % size - 0.5 * size  # from the nearest corner, (shifts, n, d)
    to_face = np.abs(np.abs(offset) - radii[:, None]).min(axis=(1, 2))
    to_corner = np.abs(np.linalg.norm(offset, axis=2) - radii).min(axis=1)
    best = int(np.argmax(np.minimum(to_face, to_corner)))
    return (centres + shifts[best]) % size
