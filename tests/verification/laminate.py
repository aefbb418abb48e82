"""The exact laminate: two layers, each with a uniform gradient, joined by the continuity of traction.

With normal N (a coordinate axis), fraction f of layer 1 and an amplitude a (block size,), the layer gradients
G₁ = Ḡ + (1 − f) a ⊗ N and G₂ = Ḡ − f a ⊗ N are compatible and average to Ḡ; (σ₁ − σ₂) N = 0 determines a. Nothing is
discretised, so the answer is exact for any law (Milton 2002, The Theory of Composites, chapter 9).
"""

from collections.abc import Mapping

import numpy as np

from materials.interface import IntArray, Kind, Material, Response
from materials.law import Law
from materials.law_material import LawMaterial
from materials.measures import FloatArray, Measure, Physics


class ExactLaminate(Material):
    """Two laws in layers normal to an axis, as a material; no mesh, no finite elements."""

    def __init__(self, laws: tuple[Law, Law], measure: Measure, fraction: float, normal: int) -> None:
        """The first law fills `fraction`; `normal` is 0, 1 or 2 for x, y or z."""
        self.measure = measure
        self.symmetric = all(law.symmetric for law in laws)
        self.outputs = (measure.out_of_plane_name,) if measure.out_of_plane_name else ()
        self._layers = tuple(LawMaterial(law, measure) for law in laws)
        self._fractions = (fraction, 1.0 - fraction)
        self._jump = _jump_operator(measure, normal)

    @property
    def remembers(self) -> bool:
        return any(layer.remembers for layer in self._layers)

    def bind(self, point_ids: IntArray) -> None:
        self.point_ids = point_ids
        self.n_points = len(point_ids)
        for layer in self._layers:
            layer.bind(point_ids)
        self._amplitude = np.zeros((self.n_points, self.measure.block_size))

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        f1, f2 = self._fractions
        jump = self._jump
        amplitude = self._amplitude
        correction = np.zeros_like(amplitude)
        step, work = np.ones(len(gradient)), np.full(len(gradient), np.inf)
        for _ in range(200):
            # Newton at all points at once; where the work of the jump on the correction grows, half of the step.
            candidate = amplitude - step[:, None] * correction
            one = self._layers[0].evaluate(gradient + f2 * candidate @ jump.T, dt)
            two = self._layers[1].evaluate(gradient - f1 * candidate @ jump.T, dt)
            mismatch = (one.flux - two.flux) @ jump
            stiffness = np.einsum("ri,nrs,sj->nij", jump, f2 * one.tangent + f1 * two.tangent, jump)
            rounding = 1e-14 * np.abs(stiffness).max(initial=0.0) * np.abs(gradient).max(initial=0.0)
            solved = np.abs(mismatch).max(axis=1) <= rounding
            if solved.all():
                amplitude = candidate
                break
            better = solved | (np.abs((correction * mismatch).sum(axis=1)) <= 0.9 * work)
            amplitude = np.where(better[:, None], candidate, amplitude)
            following = np.linalg.solve(stiffness, mismatch[..., None])[..., 0]
            correction = np.where(better[:, None], following, correction)
            work = np.where(better, np.abs((following * mismatch).sum(axis=1)), work)
            step = np.where(better, 1.0, 0.5 * step)
        else:
            raise ArithmeticError(
                f"the exact laminate found no equilibrium: traction jump {np.abs(mismatch).max():.1e}"
            )
        self._trial = amplitude
        flux = f1 * one.flux + f2 * two.flux
        # dσ̄ = ⟨C⟩ dḠ + f1 f2 (C1 − C2) J da, with da from the linearised traction continuity
        sensitivity = -np.linalg.solve(stiffness, np.einsum("ri,nrs->nis", jump, one.tangent - two.tangent))
        difference = np.einsum("nrs,si,nit->nrt", one.tangent - two.tangent, jump, sensitivity)
        tangent = f1 * one.tangent + f2 * two.tangent + f1 * f2 * difference
        outputs = {name: f1 * one.outputs[name] + f2 * two.outputs[name] for name in self.outputs}
        return Response(flux, tangent, np.maximum(one.status, two.status), outputs)

    def commit(self) -> None:
        self._amplitude = self._trial
        for layer in self._layers:
            layer.commit()

    def revert(self) -> None:
        for layer in self._layers:
            layer.revert()

    def kinds(self) -> np.ndarray:
        return np.full(self.n_points, Kind.LAW, dtype=np.int8)

    def state(self) -> dict[str, FloatArray]:
        layers = ({f"{i}_{k}": v for k, v in layer.state().items()} for i, layer in enumerate(self._layers))
        return {"amplitude": self._amplitude} | next(layers) | next(layers)

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        self._amplitude = np.array(state["amplitude"])
        for i, layer in enumerate(self._layers):
            layer.restore({k[2:]: v for k, v in state.items() if k.startswith(f"{i}_")})


def _jump_operator(measure: Measure, normal: int) -> FloatArray:
    """Matrix (g, block size) that packs a ⊗ N (its symmetric part for strains) for unit vectors a."""
    axis = np.zeros(measure.dimension)
    axis[normal] = 1.0
    if measure.physics is Physics.HEAT:
        return axis[:, None]
    columns = []
    for i in range(measure.dimension):
        dyad = np.outer(np.eye(measure.dimension)[i], axis)
        if measure.physics is Physics.SMALL_STRAIN:
            dyad = 0.5 * (dyad + dyad.T)
        columns.append(measure.to_vector(dyad))
    return np.stack(columns, axis=1)
