"""Recurrent network: stress from the path of strain, for materials that remember it; no rate of loading matters.

At finite strain it maps E = ½(FᵀF − I) to the second Piola–Kirchhoff stress S and P = F S, so that its response is
objective and conserves angular momentum whatever its weights are. Its state is the last strain and hidden numbers. Flux
vanishes at rest, to the last bit. There are two cells:

- `minimal`: a stiffness beside K *stops*, vectors that follow the strain in directions and with thresholds that are
  learned, and slide along a growing ball beyond (`surrogates/recurrent_kernel.py`),

      S = C ε − Σ B_k (A_k ε − q_k).

  C is the tangent at rest, and as long as no stop slides; it is known and not trained.
  A stop's way along a straight increment is known in closed form, so that the answer does not depend on how a path is
  cut into steps (self-consistency, which Bonatti and Mohr 2022 ask of their minimal state cell). It looks like an
  elastoplastic material before any training (overlay model, Besseling 1958), and needs few paths for that.
- `gru`: a stiffness beside a gated recurrent unit (Cho et al. 2014) that sees strain and increment. It supposes
  nothing, and its answer depends on the size of steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from materials.parameters import check_fields
from surrogates.conjugates import conjugate
from surrogates.family import HistoryFamily, ModelError, Options, Samples, Step, checked_arrays
from surrogates.green_strain import objective_strain, push_forward, strain_matrices, strain_measure
from surrogates.normaliser import overall_scale
from surrogates.recurrent_kernel import gru_points, minimal_points

if TYPE_CHECKING:
    from torch.nn import Module

Cell = Literal["minimal", "gru"]

_ARCHITECTURE = "{'cell': 'minimal' or 'gru', 'units': number of hidden vectors}"
_THRESHOLDS = (0.02, 1.0)
"""Strains, relative to the scale, between which the stops of an untrained network begin to slide."""
_GROWTH = 0.02
"""H of an untrained network."""
_SLIDING = 0.7
"""Part of the stiffness that an untrained network loses when all stops slide."""


@dataclass(frozen=True, kw_only=True)
class RecurrentOptions(Options):
    """Options of a recurrent network. The fields are the keys under `network` in case files."""

    cell: Cell = "minimal"
    """minimal: its answer does not depend on how a path is cut into steps. gru: a gated recurrent unit."""
    units: Annotated[int, Ge(1)] = 8
    """Hidden vectors, each of as many numbers as a strain has components."""

    def __post_init__(self) -> None:
        """Check every value against its annotation."""
        check_fields(self)


@dataclass(frozen=True, eq=False)
class Recurrent(HistoryFamily):
    """Network from the path of (objective) strain to stress; see the module."""

    name: ClassVar[str] = "rnn"
    physics: ClassVar[tuple[Physics, ...]] = (Physics.SMALL_STRAIN, Physics.FINITE_STRAIN)
    network: ClassVar[type[Options]] = RecurrentOptions
    symmetric: ClassVar[bool] = False
    conservative: ClassVar[bool] = False

    measure: Measure
    cell: Cell
    units: int
    values: Mapping[str, FloatArray]
    """In scaled units; `_shapes` lists them. `sharpness` and `growth` of the minimal cell are logarithms: a stop is
    driven by exp(sharpness) A dε, answered for by exp(−sharpness) B, and H = exp(growth)."""

    @classmethod
    def untrained(cls, measure: Measure, network: RecurrentOptions, samples: Samples, seed: int) -> Self:
        """Seeded directions and weights; the stiffness is that of the cell at rest if the samples know it.

        Otherwise it is the stiffest tangent of theirs; see `Family.untrained`.
        """
        strain, stress, moduli = conjugate(measure, samples)
        strain_scale, stress_scale = overall_scale(strain, "gradient"), overall_scale(stress, "flux")
        stiffness = moduli[np.argmax(np.einsum("nii->n", moduli))]  # the cell when it does not flow
        if samples.tangent_at_rest is not None:
            at_rest = Samples(measure.rest[None], np.zeros((1, measure.size)), samples.tangent_at_rest[None])
            stiffness = conjugate(measure, at_rest).stiffness[0]
        stiffness = np.ascontiguousarray(stiffness) * (strain_scale / stress_scale)
        random = np.random.default_rng(seed)
        make = _minimal if network.cell == "minimal" else _gated
        values = make(random, network.units, stiffness)
        values |= {"strain_scale": np.array([strain_scale]), "stress_scale": np.array([stress_scale])}
        return cls(measure, network.cell, network.units, values)

    def architecture(self) -> dict[str, Any]:
        """Cell and number of hidden vectors."""
        return {"cell": self.cell, "units": self.units}

    def arrays(self) -> dict[str, FloatArray]:
        """See `values`."""
        return dict(self.values)

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Family.from_arrays`."""
        if set(architecture) != {"cell", "units"}:
            raise ModelError(f"the architecture of an rnn is {_ARCHITECTURE}, got {dict(architecture)}")
        cell, units = architecture["cell"], architecture["units"]
        if cell not in get_args(Cell) or type(units) is not int or units < 1:
            raise ModelError(f"the architecture of an rnn is {_ARCHITECTURE}, got {dict(architecture)}")
        values = checked_arrays(arrays, _shapes(strain_measure(measure).size, cell, units))
        for name in ("strain_scale", "stress_scale"):
            if (values[name] <= 0.0).any():
                raise ModelError(f"array {name} has values that are not positive")
        return cls(measure, cell, units, values)

    @property
    def learns_tangent(self) -> bool:  # type: ignore[override]  # a class variable in most families
        """Not in the minimal cell: its tangent jumps when a stop begins to slide, so that it has no useful slope."""
        return self.cell == "gru"

    @property
    def state_size(self) -> int:
        """Strain, hidden vectors and, in the minimal cell, the growth of each ball."""
        m = strain_measure(self.measure).size
        return m + self.units * (m + 1 if self.cell == "minimal" else m)

    @cached_property
    def _weights(self) -> tuple[FloatArray, ...]:
        """Arguments of the kernel, with the scales in them."""
        values = self.values
        strain_scale, stress_scale = values["strain_scale"], values["stress_scale"]
        stiffness = values["stiffness"] * (stress_scale / strain_scale)
        if self.cell == "gru":
            at_end, of_increment = values["at_end"] / strain_scale, values["of_increment"] / strain_scale
            answer = stress_scale * values["answer"]
            return stiffness, at_end, of_increment, values["recurrent"], values["bias"], answer
        sharpness = np.exp(values["sharpness"])[:, None, None]
        drive = sharpness * values["drive"] / strain_scale
        answer = stress_scale * values["answer"] / sharpness
        direct = stiffness - (answer @ drive).sum(axis=0)
        return direct, drive, answer, np.exp(values["growth"])

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        """Answer after an increment; see `Family.step`."""
        del dt  # the response does not depend on the rate
        gradient = np.ascontiguousarray(gradient, dtype=np.float64)
        strain = objective_strain(self.measure, gradient)
        stress, stiffness = np.empty_like(strain), np.empty((*strain.shape, strain.shape[1]))
        new_state = np.empty((len(strain), self.state_size))
        points = minimal_points if self.cell == "minimal" else gru_points
        points(*self._weights, strain, np.ascontiguousarray(state), stress, stiffness, new_state)
        if self.measure.physics is not Physics.FINITE_STRAIN:
            return Step(stress, stiffness, new_state)
        flux, tangent = np.empty_like(gradient), np.empty((*gradient.shape, gradient.shape[1]))
        push_forward(strain_matrices(self.measure.dimension), gradient, stress, stiffness, flux, tangent)
        return Step(flux, tangent, new_state)

    def torch_model(self) -> "Module":
        """The same function in torch, along whole paths; see `Family.torch_model`."""
        from surrogates.recurrent_torch import TorchGated, TorchMinimal

        return (TorchMinimal if self.cell == "minimal" else TorchGated)(self.measure, self.values)


def _minimal(random: np.random.Generator, units: int, stiffness: FloatArray) -> dict[str, FloatArray]:
    """Stops in random directions, that share in the stiffness equally."""
    m = len(stiffness)
    drive = np.stack([np.linalg.qr(random.normal(size=(m, m)))[0] for _ in range(units)])
    answer = (_SLIDING / units) * (stiffness @ drive.transpose(0, 2, 1))  # B A = part of C, since Aᵀ A = I
    return {
        "stiffness": stiffness,
        "drive": drive,
        "answer": answer,
        "sharpness": -np.log(np.geomspace(*_THRESHOLDS, units)),
        "growth": np.full(units, np.log(_GROWTH)),
    }


def _gated(random: np.random.Generator, units: int, stiffness: FloatArray) -> dict[str, FloatArray]:
    """Glorot weights, and an update gate that remembers."""
    m = len(stiffness)
    width = units * m
    return {
        "stiffness": stiffness,
        "at_end": random.normal(0.0, np.sqrt(1.0 / (m + width)), (3, width, m)),
        "of_increment": random.normal(0.0, np.sqrt(1.0 / (m + width)), (3, width, m)),
        "recurrent": random.normal(0.0, np.sqrt(1.0 / width), (3, width, width)),
        "bias": np.repeat([[1.0], [0.0]], width, axis=1),
        "answer": random.normal(0.0, 0.1 * np.sqrt(2.0 / (m + width)), (m, width)),
    }


def _shapes(m: int, cell: Cell, units: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays for strains of m components; in the order of the arguments of the kernels."""
    scales: dict[str, tuple[int, ...]] = {"strain_scale": (1,), "stress_scale": (1,)}
    if cell == "minimal":
        vectors = {"drive": (units, m, m), "answer": (units, m, m), "sharpness": (units,), "growth": (units,)}
        return {"stiffness": (m, m)} | vectors | scales
    width = units * m
    layers = {"at_end": (3, width, m), "of_increment": (3, width, m), "recurrent": (3, width, width)}
    return {"stiffness": (m, m)} | layers | {"bias": (2, width), "answer": (m, width)} | scales
