"""How the yield stress grows with the equivalent plastic strain α, and the yield surface moves."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from materials.compilation import jit
from materials.measures import FloatArray
from materials.parameters import NonNegative, Positive, check_fields

LINEAR, VOCE, SWIFT = 0, 1, 2

_KEYS = {
    "linear": (),
    "voce": ("saturation_stress", "rate"),
    "swift": ("reference_strain", "exponent"),
}


@dataclass(frozen=True, kw_only=True)
class Hardening:
    """Isotropic hardening of one type, with linear kinematic hardening on top if `kinematic` is given.

    - `linear`: σ_y = yield_stress + H α
    - `voce`: σ_y = yield_stress + H α + (saturation_stress − yield_stress) (1 − exp(−rate α))
    - `swift`: σ_y = yield_stress (1 + α / reference_strain)^exponent + H α
    - kinematic (Prager): back stress = ⅔ kinematic · plastic strain, so that `kinematic` is the slope that uniaxial
      plastic flow adds, as H is.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    type: Literal["linear", "voce", "swift"] = "linear"
    """How the yield stress grows."""
    H: NonNegative = 0.0
    """Linear isotropic hardening modulus dσ_y/dα."""
    saturation_stress: Positive | None = None
    """Yield stress that `voce` tends to, apart from H α."""
    rate: Positive | None = None
    """How fast `voce` saturates, per unit of α."""
    reference_strain: Positive | None = None
    """Strain ε₀ of `swift`."""
    exponent: Positive | None = None
    """Exponent of `swift`, at most 1."""
    kinematic: NonNegative = 0.0
    """Linear kinematic hardening modulus."""

    def __post_init__(self) -> None:
        """Check that the parameters are those of the type."""
        check_fields(self)
        for type_name, keys in _KEYS.items():
            for key in keys:
                given = getattr(self, key) is not None
                if type_name == self.type and not given:
                    raise ValueError(f"hardening of type {self.type} needs {key}")
                if type_name != self.type and given:
                    raise ValueError(f"{key} is for hardening of type {type_name}, not {self.type}")
        if self.exponent is not None and self.exponent > 1.0:
            raise ValueError(f"exponent must be at most 1, got {self.exponent}")

    def check_yield_stress(self, yield_stress: float) -> None:
        """Raise ValueError if Voce hardening would soften from this initial yield stress."""
        if self.saturation_stress is not None and self.saturation_stress < yield_stress:
            raise ValueError(
                f"saturation_stress must be at least the yield_stress {yield_stress}, got {self.saturation_stress}; "
                f"it is the yield stress that hardening tends to, not what it adds"
            )

    def parameters(self, yield_stress: float) -> FloatArray:
        """What `yield_stress_after` reads, (5,): type, initial yield stress, H, and two numbers of the type."""
        if self.type == "voce":
            assert self.saturation_stress is not None
            assert self.rate is not None
            return np.array([VOCE, yield_stress, self.H, self.saturation_stress - yield_stress, self.rate])
        if self.type == "swift":
            assert self.reference_strain is not None
            assert self.exponent is not None
            return np.array([SWIFT, yield_stress, self.H, self.reference_strain, self.exponent])
        return np.array([LINEAR, yield_stress, self.H, 0.0, 0.0])


@jit
def yield_stress_after(alpha: float, hardening: FloatArray) -> tuple[float, float]:
    """Yield stress at the equivalent plastic strain α, and its slope; concave in α for every type."""
    stress = hardening[1] + hardening[2] * alpha
    slope = hardening[2]
    if hardening[0] == VOCE:
        gain, rate = hardening[3], hardening[4]
        decay = math.expm1(-rate * alpha)
        stress -= gain * decay
        slope += gain * rate * (1.0 + decay)
    elif hardening[0] == SWIFT:
        reference, exponent = hardening[3], hardening[4]
        power = hardening[1] * (1.0 + alpha / reference) ** exponent
        stress += power - hardening[1]
        slope += power * exponent / (reference + alpha)
    return stress, slope


@jit
def plastic_increment(trial_stress: float, modulus: float, alpha: float, hardening: FloatArray) -> float:
    """The increment Δα ≥ 0 that brings a trial stress back to the yield surface; NaN if it is not found.

    Solves trial_stress − modulus Δα = σ_y(α + Δα), given that the left side is the larger at Δα = 0. The difference
    of the sides falls and is convex, for σ_y is concave: Newton's method climbs from zero to the root, never past it,
    and the last correction, quadratic, leaves round-off.
    """
    increment = 0.0
    for _ in range(100):
        stress, slope = yield_stress_after(alpha + increment, hardening)
        excess = trial_stress - modulus * increment - stress
        increment += excess / (modulus + slope)
        if hardening[0] == LINEAR or abs(excess) <= 1e-12 * trial_stress:
            return increment
    return math.nan
