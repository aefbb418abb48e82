"""The energy network in the loop: energy, flux and consistent tangent at many points, four ways, in one run.

Two hidden layers of 32 softplus, six inputs (the components of a strain: symmetry `none`), float64, one thread:

- kernel: the fused compiled kernel that runs use (`surrogates/energy_kernel.py`);
- torch: the closed form that training uses;
- torch.func: vmap(hessian) of the same energy, from which the flux comes along: what automatic differentiation gives.

One point costs 20,224 floating-point operations in the matrix products and scalings of the network alone (the
exponentials and logarithms, the invariants and all that follows are not counted), which gives the rate that is compared
with dgemm on square matrices of 1,024. Times alternate between all sides; each side's number is its minimum, ratios are
between minima. Accuracy is checked first: all must agree to 1e-10.

    OMP_NUM_THREADS=1 python3 benchmarks/energy_kernel.py [--points 100000] [--repeat 7] [--out FILE.json]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from materials.measures import FloatArray, Measure, Physics
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.family import Samples
from surrogates.torch_boundary import as_numpy, as_tensor, torch

FLOP_PER_POINT = 20_224
CHUNK = 1_000
"""Points that torch takes at a time; it is slower with fewer, and with so many that caches do not hold them."""


def network() -> EnergyNetwork:
    """Random weights: the cost does not depend on them."""
    measure = Measure(Physics.SMALL_STRAIN, 3)
    random = np.random.default_rng(0)
    gradient = random.uniform(-0.1, 0.1, (100, 6))
    stiffness = np.diag([3.0, 3.0, 3.0, 1.0, 1.0, 1.0]) + 1.0
    samples = Samples(gradient, gradient @ stiffness, np.tile(stiffness, (100, 1, 1)))
    return EnergyNetwork.untrained(measure, EnergyOptions(symmetry="none"), samples, 0)


def automatic(family: EnergyNetwork) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Flux and tangent of the same energy by torch.func: hessian, which is jacfwd(jacrev), with the flux kept."""
    values = {name: as_tensor(value) for name, value in family.values.items()}
    zero = torch.zeros(6, dtype=torch.float64)

    def raw(strain: torch.Tensor) -> torch.Tensor:
        x = strain / values["invariant_scale"]
        for k in range(len(family.hidden)):
            x = torch.logaddexp(values[f"weight_{k}"] @ x + values[f"bias_{k}"], torch.zeros((), dtype=x.dtype))
        return values["energy_scale"][0] * (values["weight_out"] @ x)

    slope = torch.func.grad(raw)(zero)

    def energy(strain: torch.Tensor) -> torch.Tensor:
        return raw(strain) - slope @ strain + 0.5 * strain @ values["stiffness"] @ strain

    def twice(strain: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flux = torch.func.jacrev(energy)(strain)
        return flux, flux

    hessian = torch.func.vmap(torch.func.jacfwd(twice, has_aux=True))

    def response(strain: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tangent, flux = hessian(strain)
        return flux, tangent

    return response


def in_chunks(
    response: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]], strain: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Flux and tangent by torch, a chunk of points at a time."""
    answers = [response(as_tensor(strain[start : start + CHUNK])) for start in range(0, len(strain), CHUNK)]
    flux, tangent = zip(*answers, strict=True)
    return as_numpy(torch.cat(flux)), as_numpy(torch.cat(tangent))


def seconds_of(action: Callable[[], Any]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(points: int, repeat: int) -> dict[str, float]:
    """All sides, alternating."""
    torch.set_num_threads(1)
    family = network()
    strain = np.random.default_rng(1).uniform(-0.1, 0.1, (points, 6))
    module, func = family.torch_model(), automatic(family)
    with torch.no_grad():
        check(family, strain[:1_000], lambda x: in_chunks(module, x), lambda x: in_chunks(func, x))
    matrix = np.random.default_rng(2).normal(size=(1_024, 1_024))
    sides: dict[str, Callable[[], Any]] = {
        "kernel": lambda: family.evaluate(strain),
        "torch": lambda: in_chunks(module, strain),
        "torch.func": lambda: in_chunks(func, strain),
        "dgemm": lambda: matrix @ matrix,
    }
    # dgemm and the kernel take a fraction of a second: more often, so that both find a quiet moment
    times = {name: float("inf") for name in sides}
    with torch.no_grad():
        for _ in range(repeat):
            for name, side in sides.items():
                often = 1 if name.startswith("torch") else 5
                times[name] = min(times[name], *(seconds_of(side) for _ in range(often)), float("inf"))
    dgemm = 2.0 * len(matrix) ** 3 / times.pop("dgemm") / 1e9
    rate = FLOP_PER_POINT * points / times["kernel"] / 1e9
    return {
        "points": points,
        **{f"{name}_million_points_per_second": points / seconds / 1e6 for name, seconds in times.items()},
        "faster_than_torch_func": times["torch.func"] / times["kernel"],
        "faster_than_torch": times["torch"] / times["kernel"],
        "gigaflops": rate,
        "dgemm_gigaflops": dgemm,
        "share_of_dgemm": rate / dgemm,
    }


def check(family: EnergyNetwork, strain: FloatArray, *others: Callable[[FloatArray], tuple[FloatArray, ...]]) -> None:
    """RuntimeError unless all give the same flux and tangent."""
    ours = family.evaluate(strain)
    for other in others:
        for a, b in zip(ours, other(strain), strict=True):
            error = float(np.abs(a - b).max() / np.abs(b).max())
            if not error < 1e-10:
                raise RuntimeError(f"the sides disagree by {error:.1e}")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Energy network: compiled kernel, torch, torch.func, dgemm.")
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=7, help="repetitions of which the minimum is taken")
    parser.add_argument("--out", help="write the numbers to this JSON file")
    arguments = parser.parse_args()
    numbers = measure(arguments.points, arguments.repeat)

    table = Table(title=f"Energy network 2 × 32, 6 inputs, {arguments.points:,} points, one thread")
    for column in ("flux and tangent by", "million points/s", "kernel is faster by"):
        table.add_column(column, justify="left" if column.startswith("flux") else "right")
    table.add_row("kernel", f"{numbers['kernel_million_points_per_second']:.2f}", "")
    table.add_row("torch", f"{numbers['torch_million_points_per_second']:.2f}", f"{numbers['faster_than_torch']:.1f}")
    table.add_row(
        "torch.func",
        f"{numbers['torch.func_million_points_per_second']:.3f}",
        f"{numbers['faster_than_torch_func']:.0f} (target 20)",
    )
    Console(width=120).print(table)
    print(
        f"kernel: {numbers['gigaflops']:.1f} Gflop/s, {100 * numbers['share_of_dgemm']:.0f} % of dgemm's "
        f"{numbers['dgemm_gigaflops']:.1f} (target 45 %)"
    )
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
