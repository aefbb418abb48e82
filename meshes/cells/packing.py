"""Discs and spheres without overlap in a periodic cell."""

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from meshes.elements import FloatArray
from meshes.errors import MeshError

_BATCH = 2_000
_MOST_BATCHES = 100
"""Batches of places that are tried for one inclusion."""
_MOST_IN_ALL = 4_000
"""The same for all inclusions and restarts: some half a minute."""
_RESTARTS = 10
_SHIFTS = 2_000


def random_packing(size: FloatArray, radii: FloatArray, gap: float, seed: int, shift: int = 0) -> FloatArray:
    """Centres by random sequential addition (Widom 1966), the largest first, in [0, size], (n, d).

    The pattern as a whole is then shifted, which changes nothing in a periodic cell, so that no surface passes close to
    a face or a corner without cutting it: slivers would be left.

    Args:
        size: edge lengths of the cell, (d,).
        radii: (n,).
        gap: least distance of two surfaces.
        seed: of the positions.
        shift: 0 is the best place of the pattern in the cell, 1 the next.

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
    budget = iter(range(_MOST_IN_ALL))
    most = 0
    for _ in range(_RESTARTS):
        centres = np.empty((len(radii), len(size)))
        placed = 0
        for row in order:
            others = order[:placed]
            batches = itertools.islice(budget, _MOST_BATCHES)
            found = _free_place(size, centres[others], radii[others] + radii[row] + gap, rng, batches)
            if found is None:
                break
            centres[row] = found
            placed += 1
        if placed == len(radii):
            return _shifted(centres, size, radii, rng, shift)
        most = max(most, placed)
    raise MeshError(
        f"only {most} of {len(radii)} inclusions find a place by random sequential addition: "
        "lower the volume fraction or the gap, or take more inclusions"
    )


def _free_place(
    size: FloatArray, centres: FloatArray, distances: FloatArray, rng: np.random.Generator, batches: Iterator[int]
) -> FloatArray | None:
    """The first of many random places that keeps its distance from every centre or its images, (d,)."""
    taken = cKDTree(centres, boxsize=size)
    for _ in batches:
        places = rng.random((_BATCH, len(size))) * size
        free = np.ones(_BATCH, dtype=bool)
        if len(centres):
            pairs = cKDTree(places % size, boxsize=size).sparse_distance_matrix(
                taken, float(distances.max()), output_type="ndarray"
            )
            free[pairs["i"][pairs["v"] < distances[pairs["j"]]]] = False
        if free.any():
            return places[np.argmax(free)] % size
    return None


def _shifted(
    centres: FloatArray, size: FloatArray, radii: FloatArray, rng: np.random.Generator, shift: int
) -> FloatArray:
    """The pattern where the surfaces keep the largest distance from being tangent to faces or corners, or the next."""
    shifts = rng.random((_SHIFTS, 1, len(size))) * size
    offset = (centres + shifts + 0.5 * size) % size - 0.5 * size  # from the nearest corner, (shifts, n, d)
    to_face = np.abs(np.abs(offset) - radii[:, None]).min(axis=(1, 2))
    to_corner = np.abs(np.linalg.norm(offset, axis=2) - radii).min(axis=1)
    best = np.argsort(-np.minimum(to_face, to_corner), kind="stable")
    return (centres + shifts[best[shift]]) % size
