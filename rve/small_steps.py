"""The way to equilibrium where Newton's method does not find it at once: smaller steps of one increment."""

from collections import Counter
from collections.abc import Callable

from materials.measures import FloatArray
from rve.answer import Equilibrium
from rve.instance import Instance

SMALLEST_STEP = 1.0 / 64.0
"""Share of the increment below which the way to it is not divided any more."""


def lead_in_steps(
    solve: Callable[[FloatArray], Equilibrium],
    rve: Instance,
    gradient: FloatArray,
    failure: Equilibrium,
    counters: Counter[str],
) -> Equilibrium:
    """Lead the fluctuation to `gradient` along ḡ_c + s (ḡ − ḡ_c), 0 < s ≤ 1, in steps that shrink on failure.

    Every step is one increment from the committed state, so that the last one is the increment asked for and its
    tangent is consistent; the steps before it only show the way.

    Args:
        solve: brings the iterate of the RVE into equilibrium at a gradient (g,), from where it is.
        rve: it starts over from its committed fluctuation.
        gradient: where to lead it, (g,).
        failure: outcome of the attempt in one step.
        counters: receives how often steps were tried, and how many were taken.

    Returns:
        the last outcome, or the worst one if even small steps fail.
    """
    counters["cell_stepped"] += 1
    done, step, iterations = 0.0, 1.0, failure.iterations
    worst = failure
    rve.start_over()
    while step >= SMALLEST_STEP:
        share = min(1.0, done + step)
        target = rve.gradient + share * (gradient - rve.gradient)
        before = rve.last_fluctuation.copy()
        rve.predict(target)
        outcome = solve(target)
        iterations += outcome.iterations
        if outcome.converged:
            if share == 1.0:
                return outcome._replace(iterations=iterations)
            rve.last_gradient[:] = target
            done, step = share, 2.0 * step
            counters["cell_substeps"] += 1
        else:
            rve.last_fluctuation[:] = before
            step *= 0.5
            worst = outcome if outcome.residual >= worst.residual else worst
    return worst._replace(
        iterations=iterations,
        reason=f"{worst.reason}; steps towards the gradient ended at {done:.3g} of the increment",
    )
