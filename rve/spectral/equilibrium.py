"""Equilibrium of the RVEs of a voxel cell: Newton's method with conjugate gradients, then the condensed tangent.

The linear systems of all cells of a batch are solved together, only as far as Newton's method profits (Eisenstat &
Walker 1996, SIAM J. Sci. Comput. 17, 16, choice 2). Flux and tangent are condensed with the sensitivity S = ∂w/∂ḡ:

    Ā = (1/V) ∫ (1 + BS)ᵀ C (1 + BS),    σ̄ = (1/V) (∫ σ + Sᵀ r),

r being the forces that are left. Both are stationary in the fields, so that their errors are products of two small
residuals.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from materials.measures import FloatArray
from rve.answer import Condensed, Equilibrium
from rve.instance import Instance
from rve.newton_settings import NewtonSettings
from rve.spectral.cell import SpectralCell
from rve.spectral.conjugate_gradients import Solution, conjugate_gradients, norm_of, wide
from rve.spectral.linearization import Linearization
from rve.spectral.reference_medium import ReferenceMedium
from rve.spectral.rest import Rest, at_rest
from rve.spectral.stiffness import HostStiffness, Stiffness, TorchStiffness

ROUND_OFF = 16.0 * float(np.finfo(float).eps)
LOOSE = 0.1
"""Relative residual of the first linear system of a solve."""
TIGHT = 1e-6
"""Smallest relative residual that is asked of a linear system of Newton's method."""
SENSITIVITY = 3e-5
"""Relative residual of the sensitivity; the tangent is good to its square."""
SINGLE = 1e-5
"""Relative residual that conjugate gradients are led to in single precision, before they start anew from the double."""


class _Iterate:
    """One RVE on its way into equilibrium."""

    def __init__(self, rve: Instance, gradient: FloatArray, linearization: Linearization) -> None:
        self.rve, self.gradient, self.linearization = rve, gradient, linearization
        self.fluctuation = rve.last_fluctuation
        self.reference_force = rve.reference_force
        self.residual = np.inf
        self.forcing = LOOSE
        self.outcome: Equilibrium | None = None

    def end(self, converged: bool, iterations: int, reason: str = "") -> Equilibrium:
        residual = self.residual / self.reference_force if self.reference_force > 0.0 else self.residual
        self.outcome = Equilibrium(converged, iterations, residual, self.reference_force, reason)
        return self.outcome


class EquilibriumSolver:
    """Solves batches of RVEs of a kind with shared work arrays."""

    def __init__(
        self, cell: SpectralCell, settings: NewtonSettings, counters: Counter[str], device: torch.device
    ) -> None:
        """`counters` receives cell updates, iterations, those of conjugate gradients, and fallbacks."""
        self.cell, self.settings, self.counters = cell, settings, counters
        self._stiffness: Stiffness
        self._single: Stiffness
        if device.type == "cpu":
            self._stiffness, self._single = HostStiffness(cell), HostStiffness(cell, np.float32)
        else:
            self._stiffness, self._single = TorchStiffness(cell, device), TorchStiffness(cell, device, torch.float32)
        self._medium = ReferenceMedium(cell, device)
        self._linearizations: list[Linearization] = []
        self._shape = (cell.measure.block_size, *cell.grid.box)
        self._device = device
        self._rest: Rest | None = None
        self._rest_dt = np.nan

    def rest(self, dt: float) -> Rest | None:
        """The linearisation of the cell at rest for steps of `dt`; None where it has no stable one."""
        if self._rest_dt != dt:
            self._rest, self._rest_dt = self._linearize_rest(dt), dt
        return self._rest

    def _linearize_rest(self, dt: float) -> Rest | None:
        linearization, rve = Linearization(self.cell), at_rest(self.cell)
        if not linearization.linearize(rve, rve.gradient, dt, rve.fluctuation):
            return None
        if self._rest is not None and self._rest.holds(linearization.tangent):
            return self._rest
        self._hold([linearization.tangent])
        sensitivity, tangent, failures = self._sensitivities(None, self.settings.tolerance)
        return None if failures[0] else Rest(linearization.tangent, sensitivity[0], tangent[0])

    def solve(self, rves: Sequence[Instance], gradients: FloatArray, dt: float) -> list[Equilibrium]:
        """Bring the last fluctuation of every RVE into equilibrium under `gradients` (c, g), from its present values.

        The linearisations at the solutions are kept for `condense`.
        """
        while len(self._linearizations) < len(rves):
            self._linearizations.append(Linearization(self.cell))
        iterates = [_Iterate(rve, gradients[place], self._linearizations[place]) for place, rve in enumerate(rves)]
        for iterate in iterates:
            self.counters["cell_updates"] += 1
            if not iterate.linearization.linearize(iterate.rve, iterate.gradient, dt, iterate.fluctuation):
                iterate.end(False, 0, "a law has no answer at the first iterate")
        for iteration in range(1, self.settings.max_iterations + 1):
            for iterate in iterates:
                if iterate.outcome is None:
                    self._judge(iterate, iteration)
            going = [iterate for iterate in iterates if iterate.outcome is None]
            if not going:
                break
            corrections = self._corrections(going)
            for iterate, correction in zip(going, corrections, strict=True):
                if correction is None:
                    iterate.end(False, iteration, "the stiffness of the cell is not positive definite")
                elif not self._line_search(iterate, correction, dt):
                    text = f"the line search still overshot after {self.settings.max_halvings} halvings"
                    iterate.end(False, iteration, text)
        most = self.settings.max_iterations
        return [
            iterate.outcome or iterate.end(False, most, f"no equilibrium in {most} iterations") for iterate in iterates
        ]

    def _judge(self, iterate: _Iterate, iteration: int) -> None:
        """Accept an iterate in equilibrium; set how well the next correction is to be solved for another."""
        self.counters["cell_iterations"] += 1
        before = iterate.residual
        iterate.reference_force = max(iterate.reference_force, _largest(iterate.linearization.absolute_force))
        iterate.residual = _largest(iterate.linearization.residual)
        tolerance = self._tolerance(iterate)
        if iterate.residual <= tolerance:
            iterate.end(True, iteration)
            return
        if np.isfinite(before):
            iterate.forcing = 0.9 * (iterate.residual / before) ** 2
        iterate.forcing = min(LOOSE, max(iterate.forcing, TIGHT, 0.3 * tolerance / iterate.residual))

    def _tolerance(self, iterate: _Iterate) -> float:
        """Residual of an iterate in equilibrium, but not below what rounding leaves."""
        grid = self.cell.grid
        stiffness = _largest(iterate.linearization.tangent) * grid.point_volume * _largest(grid.shape_gradients) ** 2
        rounding = ROUND_OFF * stiffness * _largest(iterate.gradient) * max(grid.size)
        return float(max(self.settings.tolerance * iterate.reference_force, rounding))

    def _corrections(self, iterates: Sequence[_Iterate]) -> list[FloatArray | None]:
        """Newton corrections −K⁻¹ r, each (n,); None without a direction of descent."""
        self._hold([iterate.linearization.tangent for iterate in iterates])
        residuals = np.stack([iterate.linearization.residual.reshape(self._shape) for iterate in iterates])
        side = -torch.from_numpy(residuals).to(self._device)[:, None]
        forcing = torch.tensor([[iterate.forcing] for iterate in iterates], dtype=side.dtype, device=side.device)
        target = forcing * norm_of(side, self._medium.solve(side))
        solution = self._conjugate_gradients(side, None, target)
        corrections = solution.fields.flatten(1).cpu().numpy()
        return [correction if correction.any() else None for correction in corrections]

    def _line_search(self, iterate: _Iterate, correction: FloatArray, dt: float) -> bool:
        """Add the correction to the fluctuation, halved until it no longer overshoots.

        A step is taken when the work of the residual on the correction, the slope of the incremental energy along it,
        is smaller than before, or when it ends in equilibrium.
        """
        linearization = iterate.linearization
        work = abs(float(correction @ linearization.residual.ravel()))
        step = 1.0
        for _ in range(self.settings.max_halvings + 1):
            candidate = iterate.fluctuation + step * correction
            if linearization.linearize(iterate.rve, iterate.gradient, dt, candidate):
                new_work = abs(float(correction @ linearization.residual.ravel()))
                if new_work <= 0.9 * work or _largest(linearization.residual) <= self._tolerance(iterate):
                    iterate.fluctuation[:] = candidate
                    return True
            self.counters["cell_line_searches"] += 1
            step *= 0.5
        return False

    def condense(self, rves: Sequence[Instance], places: Sequence[int], dt: float) -> list[Condensed | str]:
        """Averages of the solutions just found, and their sensitivities, which go to the RVEs.

        Args:
            rves: those in equilibrium.
            places: their places in the batch that was solved.
            dt: as then.

        Returns:
            averages, or in words why there is no tangent.
        """
        found = [self._linearizations[place] for place in places]
        rest = self.rest(dt)
        answers: dict[int, Condensed | str] = {}
        if rest is not None:
            for place, (rve, linearization) in enumerate(zip(rves, found, strict=True)):
                if rest.holds(linearization.tangent):
                    rve.sensitivity[:] = rest.sensitivity
                    answers[place] = self._averages(rve, linearization, rest.tangent)
        others = [place for place in range(len(rves)) if place not in answers]
        if others:
            self._hold([found[place].tangent for place in others])
            start = np.stack([rves[place].sensitivity for place in others])
            sensitivities, tangents, failures = self._sensitivities(start, SENSITIVITY)
            for number, place in enumerate(others):
                rves[place].sensitivity[:] = sensitivities[number]
                averages = self._averages(rves[place], found[place], tangents[number])
                answers[place] = failures[number] or averages
        return [answers[place] for place in range(len(rves))]

    def _averages(self, rve: Instance, linearization: Linearization, tangent: FloatArray) -> Condensed:
        flux = linearization.flux_sum[:-1] + rve.sensitivity @ linearization.residual.ravel()
        volume = self.cell.volume
        flux /= volume
        return Condensed(flux, tangent, float(linearization.flux_sum[-1]) / volume)

    def _sensitivities(self, start: FloatArray | None, tolerance: float) -> tuple[FloatArray, FloatArray, list[str]]:
        """∂w/∂ḡ (c, g, n) of the cells whose tangents are held, their condensed tangents (c, g, g), what went wrong."""
        g, cells = self.cell.measure.size, self._n_held
        unit = torch.eye(g, dtype=torch.float64, device=self._device).expand(cells, g, g).contiguous()
        fields = torch.zeros((cells, g, *self._shape), dtype=unit.dtype, device=self._device)
        loads, means = self._stiffness.forces(fields, unit)
        side = -loads
        if start is not None:
            fields = torch.from_numpy(start).to(self._device).reshape(fields.shape)
        norm = norm_of(side, self._medium.solve(side))
        largest = norm.amax(dim=1, keepdim=True)
        solution = self._conjugate_gradients(side, fields, tolerance * largest.expand_as(norm))
        # ∫ (1 + BS)ᵀ C (1 + BS) = ∫ C + Sᵀ (L + K S) + Lᵀ S, with L + K S what is left of the linear systems.
        relaxed = torch.einsum("ckn,cln->ckl", solution.fields.flatten(2), (loads - solution.residual).flatten(2))
        tangents = ((means + relaxed) / self.cell.volume).cpu().numpy()
        tangents = 0.5 * (tangents + tangents.swapaxes(1, 2))
        unsolved = (solution.norm > 1e-3 * largest).any(dim=1).tolist()
        reasons = []
        for definite, open_ in zip(solution.definite.all(dim=1).tolist(), unsolved, strict=True):
            reason = "" if definite else "the stiffness of the cell is not positive definite"
            reasons.append(reason or ("conjugate gradients found no sensitivity" if open_ else ""))
        return solution.fields.flatten(2).cpu().numpy(), tangents, reasons

    def _hold(self, tangents: list[FloatArray]) -> None:
        self._n_held = len(tangents)
        self._stiffness.hold(tangents)
        self._single.hold(tangents)
        self._medium.average(tangents)

    def _conjugate_gradients(self, side: Tensor, start: Tensor | None, target: Tensor) -> Solution:
        """K x = side in double precision; its corrections in single precision as long as that gains digits."""
        none = torch.zeros((*side.shape[:2], self.cell.measure.size), dtype=side.dtype, device=side.device)
        none_single = none.float()
        fields = torch.zeros_like(side) if start is None else start
        residual = side if start is None else side - self._stiffness.forces(fields, none)[0]
        norm = norm_of(residual, self._medium.solve(residual))
        while (norm > target).any():
            scale = torch.where(norm > target, norm, 1.0)
            reached = torch.where(norm > target, (0.9 * target / scale).clamp(min=SINGLE), torch.inf)
            inner = conjugate_gradients(
                lambda x: self._single.forces(x, none_single)[0],
                self._medium.solve,
                (residual / wide(scale, residual)).float(),
                None,
                reached.float(),
            )
            self._count(inner)
            better = fields + wide(scale, fields) * inner.fields
            residual = side - self._stiffness.forces(better, none)[0]
            previous, norm = norm, norm_of(residual, self._medium.solve(residual))
            if not inner.definite.all() or not bool((norm <= torch.maximum(0.1 * previous, target)).all()):
                solution = conjugate_gradients(
                    lambda x: self._stiffness.forces(x, none)[0], self._medium.solve, side, fields, target
                )
                self._count(solution)
                return solution
            fields = better
        return Solution(fields, residual, norm, torch.ones_like(norm, dtype=torch.bool), 0)

    def _count(self, solution: Solution) -> None:
        cells, sides = solution.norm.shape
        self.counters["conjugate_gradient_iterations"] += solution.iterations * cells * sides


def _largest(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0.0))
