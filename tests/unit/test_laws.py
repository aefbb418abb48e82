"""Parameters, registry and batches of the laws."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from materials.elastic_constants import ElasticConstants
from materials.hardening import Hardening
from materials.interface import Kind, Status
from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.laws.chaboche import BackStress
from materials.laws.viscoelastic import MaxwellBranch
from materials.measures import Measure, Physics

SMALL, FINITE, HEAT = Physics.SMALL_STRAIN, Physics.FINITE_STRAIN, Physics.HEAT

CONSTANTS = {"E1": 9.0, "E2": 4.0, "E3": 2.0, "nu12": 0.3, "nu13": 0.2, "nu23": 0.4, "G12": 2.0, "G13": 1.5, "G23": 1.0}
ORTHOTROPIC = LAWS["orthotropic"](**CONSTANTS, angle=30.0)

EXAMPLES = [
    LAWS["elastic"](E=70e3, nu=0.3),
    LAWS["j2"](E=70e3, nu=0.3, yield_stress=100.0, hardening=500.0),
    LAWS["j2"](
        E=70e3,
        nu=0.3,
        yield_stress=100.0,
        hardening=Hardening(type="voce", saturation_stress=180.0, rate=12.0, kinematic=300.0),
    ),
    LAWS["chaboche"](E=70e3, nu=0.3, yield_stress=100.0, back_stresses=(BackStress(modulus=2e4, recovery=250.0),)),
    LAWS["viscoelastic"](E=100.0, nu=0.3, branches=(MaxwellBranch(shear=30.0, time=2.0),)),
    ORTHOTROPIC,
    LAWS["damage"](E=30e3, nu=0.2, threshold=1e-4, failure=5e-4),
    LAWS["neo_hookean"](E=100.0, nu=0.3),
    LAWS["saint_venant_kirchhoff"](mu=40.0, lmbda=60.0),
    LAWS["mooney_rivlin"](C10=12.0, C01=5.0, bulk_modulus=80.0),
    LAWS["ogden"](mu=(20.0, -8.0), alpha=(1.3, -2.0), bulk_modulus=80.0),
    LAWS["j2_finite"](E=200.0, nu=0.3, yield_stress=1.0, hardening=0.5),
    LAWS["conductive"](k=((3.0, 1.0, 0.5), (1.0, 2.0, 0.2), (0.5, 0.2, 1.0))),
]


def states(law: Law, dimension: int, n: int = 20) -> tuple[Measure, np.ndarray]:
    """Random gradients, large enough for plastic flow and large rotations."""
    assert law.physics is not None
    measure = Measure(law.physics, dimension)
    scale = 5e-3 if law.physics is SMALL else 0.2
    return measure, measure.rest + scale * np.random.default_rng(1).standard_normal((n, measure.size))


def test_the_laws_of_the_contract_are_found_by_their_files() -> None:
    assert {"elastic", "j2", "neo_hookean", "saint_venant_kirchhoff", "conductive", "void"} <= set(LAWS)
    assert all(law.name == name for name, law in LAWS.items())


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("elastic", {"E": -1.0, "nu": 0.3}, "E must be greater than 0, got -1.0"),
        ("elastic", {"E": 1.0, "nu": 0.5}, "nu must be less than 0.5"),
        ("elastic", {"E": 1.0, "nu": -1.0}, "nu must be greater than -1"),
        ("elastic", {"E": math.inf, "nu": 0.3}, "E must be a finite number"),
        ("elastic", {"E": 1.0, "nu": math.nan}, "nu must be"),
        ("elastic", {"E": "1", "nu": 0.3}, "E must be a number"),
        ("elastic", {"E": True, "nu": 0.3}, "E must be a number"),
        ("j2", {"E": 1.0, "nu": 0.3, "yield_stress": 0.0}, "yield_stress must be greater than 0"),
        ("j2", {"E": 1.0, "nu": 0.3, "yield_stress": 1.0, "hardening": -1.0}, "hardening must be at least 0"),
        (
            "j2",
            {
                "E": 1.0,
                "nu": 0.3,
                "yield_stress": 1.0,
                "hardening": Hardening(type="voce", saturation_stress=0.5, rate=1.0),
            },
            "at least the yield_stress 1.0, got 0.5",
        ),
        ("orthotropic", CONSTANTS | {"nu12": 2.0}, "make the compliance indefinite"),
        ("orthotropic", CONSTANTS | {"axis": (0.0, 0.0, 0.0)}, "axis must be a list of three numbers, not all zero"),
        ("orthotropic", CONSTANTS | {"thermal_strain": (1.0,)}, "thermal_strain must be a list of three numbers"),
        ("damage", {"E": 1.0, "nu": 0.3, "threshold": 1e-4, "failure": 0.0}, "failure must be greater than 0"),
        ("viscoelastic", {"E": 1.0, "nu": 0.3, "branches": ()}, "at least one, or use law elastic"),
        ("chaboche", {"E": 1.0, "nu": 0.3, "yield_stress": 1.0, "back_stresses": ()}, "at least one, or use law j2"),
        (
            "chaboche",
            {
                "E": 1.0,
                "nu": 0.3,
                "yield_stress": 1.0,
                "hardening": Hardening(kinematic=1.0),
                "back_stresses": (BackStress(modulus=1.0, recovery=1.0),),
            },
            "a back stress with recovery: 0",
        ),
        (
            "j2_finite",
            {"E": 1.0, "nu": 0.3, "yield_stress": 1.0, "hardening": Hardening(kinematic=1.0)},
            "hardening is isotropic at finite strain",
        ),
        ("neo_hookean", {"E": 1.0}, "either E and nu, or mu and lmbda; got E"),
        ("neo_hookean", {}, "got nothing"),
        ("neo_hookean", {"E": 1.0, "nu": 0.3, "mu": 1.0, "lmbda": 1.0}, "got E, nu, mu, lmbda"),
        ("saint_venant_kirchhoff", {"mu": 3.0, "lmbda": -2.0}, "bulk modulus 0"),
        ("mooney_rivlin", {"C10": 0.0, "C01": 1.0, "bulk_modulus": 1.0}, "C10 must be greater than 0"),
        ("ogden", {"mu": (1.0, 2.0), "alpha": (2.0,), "bulk_modulus": 1.0}, "one length.*got 2 and 1 numbers"),
        ("ogden", {"mu": (), "alpha": (), "bulk_modulus": 1.0}, "got 0 and 0 numbers"),
        ("ogden", {"mu": (1.0,), "alpha": (-2.0,), "bulk_modulus": 1.0}, "one sign and not be zero, got 1 and -2"),
        ("conductive", {"k": 0.0}, "k must be greater than 0"),
        ("conductive", {"k": ((1.0, 0.0), (0.0,))}, "rows of length"),
        ("conductive", {"k": ((1.0, 0.5), (0.0, 1.0))}, "symmetric"),
        ("conductive", {"k": ((1.0, 2.0), (2.0, 1.0))}, "positive definite, got the eigenvalue -1"),
    ],
)
def test_impossible_parameters_are_refused_with_the_value(name: str, parameters: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LAWS[name](**parameters)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"type": "voce", "rate": 1.0}, "needs saturation_stress"),
        ({"H": 1.0, "rate": 1.0}, "rate is for hardening of type voce, not linear"),
        ({"type": "swift", "reference_strain": 1e-3, "exponent": 1.5}, "exponent must be at most 1"),
        ({"type": "ludwik"}, "type must be one of linear, voce, swift"),
        ({"kinematic": -1.0}, "kinematic must be at least 0"),
    ],
)
def test_hardening_takes_the_parameters_of_its_type(parameters: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Hardening(**parameters)


def test_the_parts_of_a_law_are_checked() -> None:
    with pytest.raises(ValueError, match="shear or a bulk modulus"):
        MaxwellBranch(shear=0.0, time=1.0)
    with pytest.raises(ValueError, match="time must be greater than 0"):
        MaxwellBranch(shear=1.0, time=0.0)
    with pytest.raises(ValueError, match="recovery must be at least 0"):
        BackStress(modulus=1.0, recovery=-1.0)


def test_a_law_has_as_many_states_as_its_parameters_say() -> None:
    branches = tuple(MaxwellBranch(shear=1.0, time=time) for time in (1.0, 2.0, 3.0))
    law = LAWS["viscoelastic"](E=1.0, nu=0.3, branches=branches)
    assert law.state_size == 24
    assert EXAMPLES[4].state_size == 12


def test_a_case_file_mapping_makes_the_law() -> None:
    mapping = {"E": 70e3, "nu": 0.3, "yield_stress": 100, "hardening": {"type": "swift", "reference_strain": 2e-3}}
    with pytest.raises(ValidationError, match="needs exponent"):
        TypeAdapter(LAWS["j2"]).validate_python(mapping)
    mapping["hardening"] |= {"exponent": 0.2}
    law = TypeAdapter(LAWS["j2"]).validate_python(mapping)
    assert law.hardening == Hardening(type="swift", reference_strain=2e-3, exponent=0.2)
    assert TypeAdapter(LAWS["conductive"]).validate_python({"k": [[2, 0], [0, 1]]}).k == ((2.0, 0.0), (0.0, 1.0))


@pytest.mark.parametrize("extra", [{"E": -1.0}, {"E": float("nan")}, {"density": 1.0}])
def test_a_case_file_mapping_is_checked_by_the_same_constraints(extra: dict) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(LAWS["elastic"]).validate_python({"E": 1.0, "nu": 0.3} | extra)


def test_a_law_without_parameters_of_another_kind_is_no_law() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Unfinished(Law):
        name = "unfinished"
        physics = SMALL

    with pytest.raises(TypeError, match="parameters"):
        Unfinished()


def test_both_pairs_of_elastic_constants_give_the_same_parameters() -> None:
    constants = ElasticConstants.from_young(210e3, 0.3)
    assert constants.bulk_modulus == pytest.approx(210e3 / 3 / (1 - 0.6), rel=1e-15)
    by_young = LAWS["neo_hookean"](E=210e3, nu=0.3)
    by_lame = LAWS["neo_hookean"](mu=constants.mu, lmbda=constants.lmbda)
    assert np.array_equal(by_young.parameters(), by_lame.parameters())


def test_a_law_is_refused_for_another_physics() -> None:
    with pytest.raises(ValueError, match="law elastic is for physics small_strain, not heat"):
        LawMaterial(LAWS["elastic"](E=1.0, nu=0.3), Measure(HEAT, 2))
    plane = LAWS["conductive"](k=((1.0, 0.0), (0.0, 2.0)))
    assert plane.refusal(Measure(HEAT, 2)) is None
    inclined = LAWS["orthotropic"](**CONSTANTS, angle=10.0, axis=(1.0, 0.0, 0.0))
    assert inclined.refusal(Measure(SMALL, 3)) is None
    with pytest.raises(ValueError, match="needs the axis along z in 2D"):
        LawMaterial(inclined, Measure(SMALL, 2))
    with pytest.raises(ValueError, match="3 × 3 matrix in 3D"):
        LawMaterial(plane, Measure(HEAT, 3))


@pytest.mark.parametrize("physics", list(Physics))
def test_void_answers_nothing_in_any_physics(physics: Physics) -> None:
    measure = Measure(physics, 2)
    material = LawMaterial(LAWS["void"](), measure)
    material.bind(np.arange(3))
    response = material.evaluate(measure.rest + np.ones((3, measure.size)), 1.0)
    assert LAWS["void"].void
    assert not response.flux.any()
    assert not response.tangent.any()


@pytest.mark.parametrize("law", EXAMPLES, ids=lambda law: law.name)
def test_plane_strain_is_the_law_in_space_with_nothing_out_of_plane(law: Law) -> None:
    measure, gradient = states(law, 2)
    plane, space = LawMaterial(law, measure), LawMaterial(law, measure.in_space)
    embedded = np.tile(measure.in_space.rest, (len(gradient), 1))
    embedded[:, measure.components_in_space] = gradient
    for material in (plane, space):
        material.bind(np.arange(len(gradient)))
    for factor in (1.0, 0.4):  # plastic loading, then unloading
        in_plane = plane.evaluate(measure.rest + factor * (gradient - measure.rest), 1.0)
        in_space = space.evaluate(measure.in_space.rest + factor * (embedded - measure.in_space.rest), 1.0)
        kept = measure.components_in_space
        assert np.array_equal(in_plane.flux, in_space.flux[:, kept])
        assert np.array_equal(in_plane.tangent, in_space.tangent[:, kept][:, :, kept])
        if measure.physics is not HEAT:
            normal = measure.in_space.to_tensor(in_space.flux)[:, 2, 2]
            assert np.array_equal(in_plane.outputs["stress_33"], normal)
            assert np.abs(normal).min() > 0.0
        assert in_space.outputs == {}
        plane.commit()
        space.commit()


@pytest.mark.parametrize("law", [law for law in EXAMPLES if law.symmetric], ids=lambda law: law.name)
def test_declared_symmetric_tangents_are_symmetric(law: Law) -> None:
    measure, gradient = states(law, 3)
    material = LawMaterial(law, measure)
    material.bind(np.arange(len(gradient)))
    tangent = material.evaluate(gradient, 1.0).tangent
    assert np.abs(tangent - tangent.swapaxes(1, 2)).max() < 1e-14 * np.abs(tangent).max()


def plastic_material(n: int = 4) -> tuple[LawMaterial, np.ndarray]:
    measure = Measure(SMALL, 2)
    material = LawMaterial(EXAMPLES[2], measure)
    material.bind(np.arange(n))
    return material, np.linspace(1.0, 2.0, n)[:, None] * measure.to_vector(np.array([[4e-3, 1e-3], [1e-3, -2e-3]]))


def test_evaluation_starts_from_the_committed_state_until_commit() -> None:
    material, gradient = plastic_material()
    first = material.evaluate(gradient, 1.0)
    material.evaluate(3.0 * gradient, 1.0)
    again = material.evaluate(gradient, 1.0)
    assert np.array_equal(first.flux, again.flux)
    assert not material.state()["equivalent_plastic_strain"].any()
    material.commit()
    assert material.state()["equivalent_plastic_strain"].min() > 1e-4
    unloaded = material.evaluate(np.zeros_like(gradient), 1.0)
    assert np.abs(unloaded.flux).max() > 10.0  # residual stress: the plastic strain was kept


def test_commit_takes_the_state_of_the_last_evaluation() -> None:
    material, gradient = plastic_material()
    material.evaluate(3.0 * gradient, 1.0)
    material.evaluate(gradient, 1.0)
    material.commit()
    other, _ = plastic_material()
    other.evaluate(gradient, 1.0)
    other.commit()
    for name, value in material.state().items():
        assert np.array_equal(value, other.state()[name])


def test_revert_drops_the_trial_state() -> None:
    material, gradient = plastic_material()
    material.evaluate(gradient, 1.0)
    material.commit()
    before = material.state()
    material.evaluate(2.0 * gradient, 1.0)
    material.revert()
    material.commit()  # there is no trial state left to commit
    for name, value in material.state().items():
        assert np.array_equal(value, before[name])


def test_a_restored_state_continues_with_the_same_answer() -> None:
    material, gradient = plastic_material()
    material.evaluate(gradient, 1.0)
    material.commit()
    restored, _ = plastic_material()
    restored.restore(material.state())
    expected = material.evaluate(-gradient, 1.0)
    assert np.array_equal(restored.evaluate(-gradient, 1.0).flux, expected.flux)
    assert material.state()["plastic_strain"].shape == (4, 6)
    with pytest.raises(ValueError, match="got \\['plastic_strain'\\]"):
        restored.restore({"plastic_strain": np.zeros((4, 6))})
    with pytest.raises(ValueError, match="must be of shape \\(4, 6\\), got \\(3, 6\\)"):
        restored.restore({"plastic_strain": np.zeros((3, 6)), "equivalent_plastic_strain": np.zeros(4)})


def test_state_is_a_copy() -> None:
    material, gradient = plastic_material()
    material.evaluate(gradient, 1.0)
    material.commit()
    material.state()["plastic_strain"][:] = 7.0
    assert np.abs(material.state()["plastic_strain"]).max() < 0.1


@pytest.mark.parametrize("law", EXAMPLES, ids=lambda law: law.name)
def test_not_a_number_fails_that_point_alone(law: Law) -> None:
    measure, gradient = states(law, 2)
    material = LawMaterial(law, measure)
    material.bind(np.arange(len(gradient)))
    gradient[3, 0] = np.nan
    gradient[5, 1] = np.inf
    gradient.flags.writeable = False
    status = material.evaluate(gradient, 1.0).status
    assert list(np.flatnonzero(status == Status.FAILED)) == [3, 5]
    assert status.sum() == 2
    assert "nan" in material.failure(3)


@pytest.mark.parametrize("law", [law for law in EXAMPLES if law.physics is FINITE], ids=lambda law: law.name)
def test_inverted_and_flat_deformations_fail(law: Law) -> None:
    measure = Measure(FINITE, 2)
    material = LawMaterial(law, measure)
    material.bind(np.arange(3))
    response = material.evaluate(np.array([[1.0, 0.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]]), 1.0)
    assert list(response.status) == [Status.OK, Status.FAILED, Status.FAILED]
    assert "det F = -1, must be positive" in material.failure(1)


def test_the_batch_must_fit_the_points() -> None:
    material, gradient = plastic_material()
    assert list(material.kinds()) == [Kind.LAW] * 4
    with pytest.raises(ValueError, match="shape \\(4, 3\\), got \\(2, 3\\)"):
        material.evaluate(gradient[:2], 1.0)


def test_no_points_are_a_batch_too() -> None:
    material = LawMaterial(EXAMPLES[0], Measure(SMALL, 3))
    material.bind(np.zeros(0, dtype=np.int64))
    response = material.evaluate(np.zeros((0, 6)), 1.0)
    assert response.tangent.shape == (0, 6, 6)
    material.commit()
