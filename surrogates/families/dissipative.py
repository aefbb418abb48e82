"""Generalised standard material of simple units: elastoplastic response that cannot create energy.

A free energy of the strain ε and of internal variables, and for each of K units a dual dissipation potential, the
indicator of a ball (Halphen and Nguyen 1975):

    ψ(ε, z, α) = ½ ε·C∞ ε + Σ_k ½ ‖B_k ε − z_k‖² + ½ h_k ‖z_k‖² + ½ H_k α_k²,    ‖s_k‖ ≤ r_k + H_k α_k
    s_k = −∂ψ/∂z_k = B_k ε − (1 + h_k) z_k,    flux = ∂ψ/∂ε = C ε − Σ B_kᵀ z_k,    C = C∞ + Σ B_kᵀB_k

Each unit is elastoplastic with kinematic (h) and isotropic (H) hardening in its own image B ε of the strain, z as long
as ε; side by side they yield one after the other, as in the overlays of Besseling (1958) and Iwan (1967). Implicit
Euler steps have a closed form (`surrogates/dissipative_kernel.py`). By construction, whatever the weights are:

- h, H ≥ 0 and r > 0 (softplus), so that the dissipation Σ r_k Δα_k is not negative;
- the units share out the elastic stiffness C: maps and remainder L as trained, A with their rows, give B and C∞ as
  A R⁻ᵀ S with AᵀA = R Rᵀ, C = SᵀS. The tangent of elastic states is C, and C∞ ≥ 0: ψ is convex, so that the tangent,
  symmetric, lies between 0 and C, and work at the end stress is at least energy stored plus dissipation in any step;
- rest is free of flux, to the last bit, and the time that an increment takes plays no part.

At finite strain ε is the Green–Lagrange strain E and the flux of the units S, both objective; P = F S and dP/dF follow
(`surrogates/green_strain.py`). What holds of the tangent holds of dS/dE then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from materials.parameters import check_fields
from surrogates import dissipative_kernel
from surrogates.conjugates import conjugate
from surrogates.family import HistoryFamily, ModelError, Options, Samples, Step, checked_arrays
from surrogates.green_strain import objective_strain, push_forward, strain_matrices, strain_measure
from surrogates.normaliser import overall_scale

if TYPE_CHECKING:
    from torch.nn import Module

STIFFNESS = ("given", "estimated")
_SCALES = ("strain_scale", "stress_scale")
_REMAINDER = 0.1
"""Share of the elastic stiffness that is C∞ before training."""
_FIRST_YIELD = 0.02
"""Radii are spread, before training, from this share of what the strains of the samples ask for to all of it."""
_KINEMATIC, _ISOTROPIC = 0.05, 0.02
"""Hardening before training."""


@dataclass(frozen=True, kw_only=True)
class DissipativeOptions(Options):
    """Options of a dissipative network. The fields are the keys under `network` in case files."""

    surfaces: Annotated[int, Ge(1)] = 16
    """Yield surfaces, each of a unit of its own."""

    def __post_init__(self) -> None:
        """Check every value against its annotation."""
        check_fields(self)


@dataclass(frozen=True, eq=False)
class DissipativeNetwork(HistoryFamily):
    """Units with free energy and yield surface; see the module."""

    name: ClassVar[str] = "dissipative"
    physics: ClassVar[tuple[Physics, ...]] = (Physics.SMALL_STRAIN, Physics.FINITE_STRAIN)
    network: ClassVar[type[Options]] = DissipativeOptions
    symmetric: ClassVar[bool] = True
    conservative: ClassVar[bool] = False
    learns_tangent: ClassVar[bool] = False

    measure: Measure
    stiffness: str
    """Where the elastic stiffness comes from, one of `STIFFNESS`: an estimate is trained further."""
    values: Mapping[str, FloatArray]
    """In scaled units: `maps` (K, m, m), `remainder` (m, m) and `root` S (m, m); before softplus `radius`, `kinematic`
    and `isotropic` (K,); `strain_scale` (1,), `stress_scale` (1,)."""

    @classmethod
    def untrained(cls, measure: Measure, network: DissipativeOptions, samples: Samples, seed: int) -> Self:
        """Random maps of equal size, and yield surfaces spread over the strains of the samples.

        The elastic stiffness is that of the cell at rest if the samples know it, otherwise the stiffest tangent of
        theirs: a cell that flows is softer than it was at rest, and elastic again after each reversal.
        """
        strain, stress, moduli = conjugate(measure, samples)
        strain_scale, stress_scale = overall_scale(strain, "gradient"), overall_scale(stress, "flux")
        stiffness = moduli[np.argmax(np.einsum("nii->n", moduli))]
        if samples.tangent_at_rest is not None:
            at_rest = Samples(measure.rest[None], np.zeros((1, measure.size)), samples.tangent_at_rest[None])
            stiffness = conjugate(measure, at_rest).stiffness[0]
        try:
            root = np.linalg.cholesky(0.5 * (stiffness + stiffness.T) * strain_scale / stress_scale).T
        except np.linalg.LinAlgError:
            raise ModelError("the elastic stiffness of the samples is not positive definite") from None
        m, units = strain.shape[1], network.surfaces
        random = np.random.default_rng(seed)
        maps = random.normal(0.0, np.sqrt((1.0 - _REMAINDER) / (units * m)), (units, m, m))
        driving = np.einsum("kai,ni->nka", maps, strain @ root.T / strain_scale)
        reach = np.mean(np.linalg.norm(driving, axis=2), axis=0)
        yields = np.geomspace(_FIRST_YIELD, 1.0, units)[random.permutation(units)]
        values = {
            "maps": maps,
            "remainder": np.sqrt(_REMAINDER) * np.eye(m),
            "root": np.ascontiguousarray(root),
            "radius": _before_softplus(reach * yields),
            "kinematic": _before_softplus(np.full(units, _KINEMATIC)),
            "isotropic": _before_softplus(np.full(units, _ISOTROPIC)),
            "strain_scale": np.array([strain_scale]),
            "stress_scale": np.array([stress_scale]),
        }
        return cls(measure, STIFFNESS[samples.tangent_at_rest is None], values)

    def architecture(self) -> dict[str, Any]:
        """Number of units, and where the elastic stiffness comes from."""
        return {"surfaces": len(self.values["radius"]), "stiffness": self.stiffness}

    def arrays(self) -> dict[str, FloatArray]:
        """See `values`."""
        return dict(self.values)

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Family.from_arrays`."""
        units, stiffness = architecture.get("surfaces"), architecture.get("stiffness")
        known = set(architecture) == {"surfaces", "stiffness"} and stiffness in STIFFNESS
        if not known or type(units) is not int or units < 1:
            wanted = f"{{'surfaces': number, 'stiffness': {' or '.join(STIFFNESS)}}}"
            raise ModelError(f"the architecture of a dissipative network is {wanted}, got {dict(architecture)}")
        m = strain_measure(measure).size
        shapes: dict[str, tuple[int, ...]] = {"maps": (units, m, m), "remainder": (m, m), "root": (m, m)}
        shapes |= dict.fromkeys(("radius", "kinematic", "isotropic"), (units,)) | dict.fromkeys(_SCALES, (1,))
        values = checked_arrays(arrays, shapes)
        for name in _SCALES:
            if (values[name] <= 0.0).any():
                raise ModelError(f"array {name} has values that are not positive")
        if np.linalg.matrix_rank(np.concatenate([*values["maps"], values["remainder"]])) < m:
            raise ModelError("the arrays maps and remainder leave a strain without stiffness")
        return cls(measure, str(stiffness), values)

    @cached_property
    def _units(self) -> dissipative_kernel.Units:
        shares = np.concatenate([*self.values["maps"], self.values["remainder"]])
        lower = np.linalg.cholesky(shares.T @ shares)
        shared = np.linalg.solve(lower, shares.T).T @ self.values["root"]
        strain_scale, stress_scale = (float(self.values[name][0]) for name in _SCALES)
        maps = shared[: -len(lower)].reshape(self.values["maps"].shape)
        radius, kinematic, isotropic = (np.logaddexp(self.values[n], 0.0) for n in ("radius", "kinematic", "isotropic"))
        return dissipative_kernel.Units(
            np.ascontiguousarray(np.sqrt(stress_scale / strain_scale) * maps),
            np.sqrt(stress_scale * strain_scale) * radius,
            kinematic,
            isotropic,
        )

    @cached_property
    def _stiffness(self) -> FloatArray:
        """C, (m, m)."""
        scaled = self.values["root"].T @ self.values["root"]
        return self.values["stress_scale"] / self.values["strain_scale"] * 0.5 * (scaled + scaled.T)

    @property
    def state_size(self) -> int:
        """Internal strain and accumulated slip of each unit."""
        units, m, _ = self.values["maps"].shape
        return units * (m + 1)

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        """See `Family.step`."""
        del dt  # the response does not depend on rate
        gradient = np.ascontiguousarray(gradient, dtype=np.float64)
        strain = objective_strain(self.measure, gradient)
        n, m = strain.shape
        stress, moduli = np.empty((n, m)), np.empty((n, m, m))
        before = self._by_unit(state)
        after = np.empty_like(before)
        dissipative_kernel.step_points(*self._units, self._stiffness, strain, before, stress, moduli, after)
        after = after.reshape(n, self.state_size)
        if self.measure.physics is not Physics.FINITE_STRAIN:
            return Step(stress, moduli, after)
        flux, tangent = np.empty_like(gradient), np.empty((*gradient.shape, gradient.shape[1]))
        push_forward(strain_matrices(self.measure.dimension), gradient, stress, moduli, flux, tangent)
        return Step(flux, tangent, after)

    def free_energy(self, gradient: FloatArray, state: FloatArray) -> FloatArray:
        """ψ per volume at `gradient` (n, g) in `state` (n, state_size), (n,)."""
        strain, units = objective_strain(self.measure, gradient), self._units
        internal, slip = self._split(state)
        stored = 0.5 * np.einsum("ni,ij,nj->n", strain, self._stiffness, strain)
        stored -= np.einsum("nka,kai,ni->n", internal, units.maps, strain)
        stored += 0.5 * np.einsum("nka,nka,k->n", internal, internal, 1.0 + units.kinematic)
        return np.asarray(stored + 0.5 * np.square(slip) @ units.isotropic)

    def dissipated(
        self, gradient_before: FloatArray, state_before: FloatArray, gradient: FloatArray, state: FloatArray
    ) -> FloatArray:
        """Energy per volume that an increment turns into heat, (n,): −∂ψ/∂z · Δz − ∂ψ/∂α Δα, forces at its end.

        Args:
            gradient_before: where the increment starts, (n, g), which plays no part.
            state_before: state there, (n, state_size).
            gradient: where it ends, (n, g).
            state: state after it, (n, state_size).
        """
        del gradient_before
        strain, units = objective_strain(self.measure, gradient), self._units
        (internal_before, slip_before), (internal, slip) = self._split(state_before), self._split(state)
        force = np.einsum("kai,ni->nka", units.maps, strain) - (1.0 + units.kinematic)[:, None] * internal
        flow = np.einsum("nka,nka->n", force, internal - internal_before)
        return np.asarray(flow - (slip * (slip - slip_before)) @ units.isotropic)

    def _by_unit(self, state: FloatArray) -> FloatArray:
        """States (n, K, m + 1)."""
        units, m, _ = self.values["maps"].shape
        return np.ascontiguousarray(state, dtype=np.float64).reshape(-1, units, m + 1)

    def _split(self, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Internal strains (n, K, m) and accumulated slips (n, K)."""
        by_unit = self._by_unit(state)
        return by_unit[..., :-1], by_unit[..., -1]

    def torch_model(self) -> "Module":
        """The same function in torch; see `Family.torch_model`."""
        from surrogates.dissipative_torch import TorchDissipative

        constant = _SCALES if self.stiffness == "estimated" else (*_SCALES, "root")
        return TorchDissipative(self.measure, self.values, constant)


def _before_softplus(values: FloatArray) -> FloatArray:
    """What softplus turns into positive `values`."""
    return np.asarray(values + np.log(-np.expm1(-values)))
