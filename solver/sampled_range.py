"""The range that a sampling must cover for a part, from a run of it, usually one with a cheap law."""

import math
from pathlib import Path

import h5py
import numpy as np

from materials.measures import FloatArray, Measure, Physics
from solver.case.errors import BadInput
from solver.results.run_directory import FIELDS, read_record

MARGIN = 1.1
"""Over the largest value found: fields hold averages over elements, and a cell is not the cheap law."""


def range_of_run(directory: Path, measure: Measure) -> float:
    """Range of a recipe that covers what happens in a run, with a margin, rounded up to two digits.

    The largest principal strain or stretch − 1 in size, or component of ∇T, over all elements and written steps. At
    finite strain rotations do not count, since paths have none.

    Raises:
        BadInput: this is no run, or not one of this physics and dimension, or nothing happens in it.
    """
    read_record(directory)
    file_name = (directory / FIELDS).with_suffix(".h5")
    field = measure.gradient_name
    largest, remedy = 0.0, f"run it with output.fields: [{field}]"
    try:
        with h5py.File(file_name, "r") as file:
            flat = np.ptp(file["mesh/points"][:, 2]) == 0.0
            if flat != (measure.dimension == 2):
                found = 2 if flat else 3
                raise BadInput(f"{directory}: is a run in dimension {found}, the case has {measure.dimension}")
            for step in file["steps"].values():
                largest = max(largest, covering_range(step["cell"][field][()], measure))
    except KeyError:
        raise BadInput(f"{directory}: its fields do not include the {field.replace('_', ' ')}, {remedy}") from None
    except OSError as error:
        raise BadInput(f"{file_name}: cannot be read ({error}), {remedy}") from None
    if not 0.0 < largest < math.inf:
        raise BadInput(f"{directory}: the largest {field.replace('_', ' ')} is {largest:g}, that gives no range")
    return _rounded_up(MARGIN * largest)


def covering_range(values: FloatArray, measure: Measure) -> float:
    """The range that covers the gradients of all elements, (cells, 9) or (cells, 3) as fields hold them."""
    d = measure.dimension
    if measure.physics is Physics.HEAT:
        return float(np.abs(values[:, :d]).max())
    tensors = values.reshape(-1, 3, 3)[:, :d, :d]
    if measure.physics is Physics.SMALL_STRAIN:
        return float(np.abs(np.linalg.eigvalsh(tensors)).max())
    stretches = np.linalg.svd(tensors, compute_uv=False)
    shortest = float(stretches.min())
    compression = 1.0 - shortest if shortest >= 0.5 else 0.25 / shortest  # inverse of `smallest_stretch`
    return max(float(stretches.max()) - 1.0, compression)


def _rounded_up(value: float) -> float:
    """`value` with two significant digits, not below it."""
    digits = 1 - math.floor(math.log10(value))
    return round(math.ceil(round(value * 10.0**digits, 6)) / 10.0**digits, digits)
