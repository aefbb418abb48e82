"""Reading an ONNX file as a model: it is tried at rest and near it before it is believed."""

import logging
import os
from pathlib import Path

import numpy as np

from materials.measures import SQRT2, FloatArray, Measure
from surrogates.family import ModelError
from surrogates.green_strain import strain_measure
from surrogates.onnx_declaration import PACKINGS, Declaration, unpacking
from surrogates.onnx_graph import parse_graph
from surrogates.onnx_network import BLOCK, ForeignNetwork, foreign_network
from surrogates.store import Model

log = logging.getLogger(__name__)

_AMPLITUDE = 1e-2
"""Size of the states that a network without a declared range is tried at."""


def read_foreign(path: Path, measure: Measure, declared: Declaration) -> Model:
    """Read an ONNX file as a model, and try it.

    Raises:
        ModelError: one line with the reason: no such file, what `parse_graph` and `foreign_network` refuse, sizes that
            do not fit, points that depend on each other, no finite answer at rest, or a declared tangent that is not
            the derivative.
    """
    try:
        graph = parse_graph(_content(path))
        family = foreign_network(measure, graph, declared)
        _check_axes(family)
        _try(family)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    if family.graph.kinks:
        log.info(
            "%s: the derivative jumps at %s, Newton's method may converge slowly", path, ", ".join(family.graph.kinks)
        )
    strain = strain_measure(measure)
    largest = np.inf if declared.range is None else declared.range
    upper = strain.to_vector(np.full((measure.dimension,) * len(strain.index_pairs[0]), largest))
    return Model(family, -upper, upper)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read ({os.strerror(error.errno or 0)})") from None


def _check_axes(family: ForeignNetwork) -> None:
    """The input has a free axis of points, and as many components as were declared."""
    declared = family.declaration.input
    name = str(declared.name)
    axes = family.graph.inputs[name]
    if not axes or axes[0] is not None:
        raise ModelError(f"the input {name!r} has the axes {_axes(axes)}; export it with a first one of any length")
    matrix, _, wanted = family.input_components
    fixed = axes[1:]
    if len(fixed) != len(wanted) or any(a not in (None, b) for a, b in zip(fixed, wanted, strict=True)):
        sizes = ", ".join(f"{packing} {len(unpacking(family.packed, packing, SQRT2))}" for packing in PACKINGS)
        text = f"the input {name!r} has the axes {_axes(axes)}, {declared.measure} as {declared.packing}"
        raise ModelError(f"{text} has {len(matrix)} components; declare another packing ({sizes})")


def _axes(axes: tuple[int | None, ...]) -> str:
    return f"({', '.join('n' if size is None else str(size) for size in axes)})"


def _try(family: ForeignNetwork) -> None:
    """Ask the network at rest and near it.

    Raises:
        ModelError: see `read_foreign`.
    """
    measure, size = family.measure, family.declaration.range or _AMPLITUDE
    random = np.random.default_rng(0)
    states = measure.rest + 0.1 * size * random.uniform(-1.0, 1.0, (BLOCK, measure.size))
    states[0] = measure.rest
    flux, tangent = family.evaluate(states)
    if not (np.isfinite(flux[0]).all() and np.isfinite(tangent[0]).all()):
        raise ModelError("flux or tangent is not finite at rest")
    changed = states.copy()
    changed[BLOCK // 2 :] += 0.1 * size * random.uniform(-1.0, 1.0, (BLOCK // 2, measure.size))
    again, _ = family.evaluate(changed)
    if not np.array_equal(again[: BLOCK // 2], flux[: BLOCK // 2], equal_nan=True):
        raise ModelError("the answer at a point depends on the other points of the batch")
    stiffness = float(np.sqrt(np.mean(np.square(tangent[0]))))
    offset = float(np.abs(flux[0]).max())
    if offset > 1e-9 * stiffness:
        log.warning("the network gives the flux %.3g at rest, as much as a strain of %.1e", offset, offset / stiffness)
    if family.declaration.tangent is not None:
        _check_tangent(family, states, tangent)
    if not family.objective:
        _check_objectivity(family, states, flux, random)


def _check_tangent(family: ForeignNetwork, states: FloatArray, tangent: FloatArray) -> None:
    """The declared tangent is the derivative of the flux."""
    step = 1e-3 * (family.declaration.range or _AMPLITUDE)
    directions = step * np.eye(family.measure.size)
    differences = np.stack(
        [(family.evaluate(states + d)[0] - family.evaluate(states - d)[0]) / (2.0 * step) for d in directions], axis=-1
    )
    deviation = float(np.abs(differences - tangent).max() / max(float(np.abs(differences).max()), np.finfo(float).tiny))
    if not deviation < 1e-3:
        name, output = family.declaration.tangent, family.declaration.output.name
        raise ModelError(f"{name!r} is not the derivative of {output!r}: it is off by {deviation:.1e}, relatively")


def _check_objectivity(
    family: ForeignNetwork, states: FloatArray, flux: FloatArray, random: np.random.Generator
) -> None:
    """Warn of a stress that does not turn with the body."""
    d = family.measure.dimension
    rotation, _ = np.linalg.qr(random.normal(size=(d, d)))
    rotation[:, 0] *= np.sign(np.linalg.det(rotation))
    turned, _ = family.evaluate(family.measure.to_vector(rotation @ family.measure.to_tensor(states)))
    expected = family.measure.to_vector(rotation @ family.measure.to_tensor(flux))
    deviation = float(np.abs(turned - expected).max() / max(float(np.abs(flux).max()), np.finfo(float).tiny))
    if not deviation < 1e-6:
        log.warning("the network is not objective: turning the body changes the stress by %.1e, relatively", deviation)
