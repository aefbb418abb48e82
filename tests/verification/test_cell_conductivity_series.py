"""Conductivity of square and hexagonal arrays of round fibres against Rayleigh's series of multipoles.

Rayleigh (1892), Phil. Mag. 34, 481; Perrins, McKenzie and McPhedran (1979), Proc. R. Soc. Lond. A 369, 207. Around a
fibre of radius a the temperature is Re Σ aₙ zⁿ + bₙ z⁻ⁿ over odd n. Continuity at the fibre gives bₙ = −β a²ⁿ aₙ with
β = (k − 1)/(k + 1), and aₙ is the mean gradient for n = 1, plus what the multipoles bₘ of all other fibres send, which
takes the lattice sums S = Σ 1/zᵏ over their centres.
"""

import cmath
import math

import numpy as np
import pytest
from scipy.special import binom, gammaln, zeta

from materials.measures import Measure, Physics
from meshes.cells import CellGeometry, Hexagonal, Inclusion
from tests.verification.cells import evaluate_one, law, make_cell

LATTICES = {"square": 1j, "hexagonal": cmath.exp(1j * math.pi / 3.0)}
"""Second period of the lattice; the first is 1."""
GENERATORS = {"square": Inclusion, "hexagonal": Hexagonal}


def lattice_sum(k: int, period: complex) -> float:
    """Σ 1/zᵏ over the points z = m + n · period without the origin, for even k ≥ 4, by its Fourier series in q."""
    q, n = cmath.exp(2j * math.pi * period), np.arange(1, 200)
    size = np.exp(k * math.log(2.0 * math.pi) - gammaln(k) + (k - 1) * np.log(n) + n * math.log(abs(q)))
    phase = (-1.0) ** (k // 2) * np.exp(1j * n * cmath.phase(q))
    return float(2.0 * zeta(k) + 2.0 * np.sum(size * phase / (1.0 - q**n)).real)


def array_conductivity(lattice: str, fraction: float, ratio: float, multipoles: int = 40) -> float:
    """Of fibres of conductivity `ratio` in a matrix of conductivity 1; `multipoles` are kept of each fibre."""
    period = LATTICES[lattice]
    area = period.imag
    radius = math.sqrt(fraction * area / math.pi)
    # For lattices of this symmetry the periodic field that has no mean gradient sums 1/z² to π over the cell area.
    sums = {2: math.pi / area} | {k: lattice_sum(k, period) for k in range(4, 4 * multipoles, 2)}
    order = 2 * np.arange(multipoles) + 1
    n, m = np.meshgrid(order, order, indexing="ij")
    sent = radius ** (n + m) * binom(n + m - 1, n) * np.vectorize(sums.get)(n + m)
    right = np.where(order == 1, -radius, 0.0)
    scaled = np.linalg.solve(np.eye(multipoles) * (ratio + 1.0) / (ratio - 1.0) - sent, right)  # bₙ / aⁿ
    return float(1.0 - 2.0 * fraction * scaled[0] / radius)


def test_lattice_sums() -> None:
    """Of Γ(¼), and against the sum itself."""
    assert lattice_sum(4, 1j) == pytest.approx(math.gamma(0.25) ** 8 / (960.0 * math.pi**2), rel=1e-14)
    assert lattice_sum(6, LATTICES["hexagonal"]) == pytest.approx(
        math.gamma(1.0 / 3.0) ** 18 / (8960.0 * math.pi**6), rel=1e-14
    )
    m, n = np.meshgrid(np.arange(-150, 151), np.arange(-150, 151))
    for period in LATTICES.values():
        centres = (m + n * period)[(m != 0) | (n != 0)]
        for k in (10, 12, 24):
            assert lattice_sum(k, period) == pytest.approx(np.sum(centres**-k).real, abs=1e-12)


@pytest.mark.parametrize("ratio", [10.0, 1000.0])
@pytest.mark.parametrize("lattice", LATTICES)
def test_the_series_converges_and_keeps_to_kellers_theorem(lattice: str, ratio: float) -> None:
    """Exchanging the phases inverts the conductivity (Keller 1964); few fibres are those of Maxwell (1873)."""
    exact = array_conductivity(lattice, 0.6, ratio)
    assert array_conductivity(lattice, 0.6, ratio, 30) == pytest.approx(exact, rel=1e-9)
    assert exact * array_conductivity(lattice, 0.6, 1.0 / ratio) == pytest.approx(1.0, rel=1e-12)
    beta, few = (ratio - 1.0) / (ratio + 1.0), 0.02
    assert array_conductivity(lattice, few, ratio) == pytest.approx((1 + beta * few) / (1 - beta * few), abs=few**5)


@pytest.mark.parametrize("ratio", [0.1, 10.0, 100.0])
@pytest.mark.parametrize(
    ("lattice", "fraction"), [("square", 0.3), ("square", 0.6), ("hexagonal", 0.3), ("hexagonal", 0.7)]
)
def test_cells_converge_to_the_series(lattice: str, fraction: float, ratio: float) -> None:
    """With order 3 in the element size, for a fibre is a polygon of its area; the limit is that of the series."""
    exact = array_conductivity(lattice, fraction, ratio)
    coarse, fine = (cell_conductivity(GENERATORS[lattice](fraction, n), ratio) for n in (12, 24))
    assert abs(fine / exact - 1.0) < 1.2e-4
    assert math.log2((coarse - exact) / (fine - exact)) == pytest.approx(3.0, abs=0.5)
    assert (8.0 * fine - coarse) / 7.0 == pytest.approx(exact, rel=3e-5)


def cell_conductivity(geometry: CellGeometry, ratio: float) -> float:
    """By quadratic elements; isotropic as the array is."""
    measure = Measure(Physics.HEAT, 2)
    cell = make_cell(measure, geometry, (law("conductive", k=1.0), law("conductive", k=ratio)), "triangle", 2)
    cell.bind(np.zeros(1, dtype=np.int64))
    tangent = evaluate_one(cell, measure.rest).tangent[0]
    assert tangent == pytest.approx(tangent[0, 0] * np.eye(2), abs=3e-5 * tangent[0, 0])
    return float(np.trace(tangent) / 2.0)
