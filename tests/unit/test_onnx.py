"""Networks from and to ONNX files: our derivatives against differences, what is written against what it came from."""

import importlib.util
import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import SQRT2, FloatArray, Measure, Physics
from surrogates.ensemble import Ensemble
from surrogates.families.ann import DirectNetwork
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.families.gp import GaussianProcess, ProcessOptions
from surrogates.family import Family, ModelError, Network, Samples
from surrogates.onnx_declaration import Declaration, Input, Output
from surrogates.onnx_export import TANGENT, onnx_bytes
from surrogates.onnx_graph import parse_graph
from surrogates.onnx_jets import FUNCTIONS as FUNCTIONS_OF_ONE
from surrogates.onnx_operators import OPERATORS
from surrogates.onnx_reading import read_foreign
from surrogates.store import Model, training_range

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]
NAMES = [f"{measure.physics}-{measure.dimension}d" for measure in MEASURES]
LAW = {
    Physics.SMALL_STRAIN: LAWS["elastic"](E=100.0, nu=0.3),
    Physics.FINITE_STRAIN: LAWS["neo_hookean"](E=100.0, nu=0.3),
    Physics.HEAT: LAWS["conductive"](k=2.0),
}
PLANE = Measure(Physics.SMALL_STRAIN, 2)


def states(measure: Measure, count: int, size: float = 0.1, seed: int = 0) -> FloatArray:
    return measure.rest + np.random.default_rng(seed).uniform(-size, size, (count, measure.size))


def samples(measure: Measure) -> Samples:
    material = LawMaterial(LAW[measure.physics], measure)
    material.bind(np.arange(40))
    gradient = states(measure, 40)
    return Samples(gradient, *material.evaluate(gradient, 1.0)[:2])


def shaken(family: Family) -> Family:
    """The network with weights far from those it starts with."""
    random = np.random.default_rng(1)
    changed = {
        name: random.normal(0.0, 0.4, array.shape)
        for name, array in family.arrays().items()
        if name.startswith(("weight_", "bias_"))
    }
    return family.updated(changed)


def families(measure: Measure) -> list[Family]:
    data = samples(measure)
    turned = np.linalg.qr(np.random.default_rng(3).normal(size=(measure.dimension, measure.dimension)))[0]
    axes = tuple(tuple(row) for row in turned.tolist())
    energies = (
        EnergyOptions(hidden=(6, 5), symmetry="square" if measure.dimension == 2 else "cubic"),
        EnergyOptions(hidden=(6,), symmetry="orthotropic", axes=axes),
        EnergyOptions(hidden=(6,), symmetry="none"),
    )
    direct = [shaken(DirectNetwork.untrained(measure, Network(hidden=(7, 5)), data, seed)) for seed in (0, 1)]
    return [
        direct[0],
        Ensemble(measure, tuple(direct)),
        *(shaken(EnergyNetwork.untrained(measure, options, data, 0)) for options in energies),
    ]


def written(tmp_path: Path, family: Family) -> Path:
    path = tmp_path / "net.onnx"
    data = samples(family.measure)
    path.write_bytes(onnx_bytes(Model(family, *training_range(family.measure, data.gradient))))
    return path


def error(value: FloatArray, reference: FloatArray) -> float:
    return float(np.abs(value - reference).max() / np.abs(reference).max())


@pytest.mark.parametrize("measure", MEASURES, ids=NAMES)
def test_what_is_written_answers_like_the_network(measure: Measure, tmp_path: Path) -> None:
    gradient = states(measure, 70, seed=4)
    for family in families(measure):
        path = written(tmp_path, family)
        flux, tangent = family.evaluate(gradient)
        for declared in (Declaration(), Declaration(tangent=TANGENT)):
            found = read_foreign(path, measure, declared).family.evaluate(gradient)
            assert error(found[0], flux) < 1e-10
            assert error(found[1], tangent) < 1e-10


@pytest.mark.parametrize("kernel", ["rbf", "matern52"])
def test_a_gaussian_process_is_written(kernel: Any, tmp_path: Path) -> None:
    measure = Measure(Physics.FINITE_STRAIN, 2)
    process = GaussianProcess.untrained(measure, ProcessOptions(kernel=kernel), samples(measure), 0)
    foreign = read_foreign(written(tmp_path, process), measure, Declaration(tangent=TANGENT)).family
    gradient = states(measure, 30, seed=4)
    for found, wanted in zip(foreign.evaluate(gradient), process.evaluate(gradient), strict=True):
        assert error(found, wanted) < 1e-7  # sums of large terms that cancel
    at_rest = foreign.evaluate(measure.rest[np.newaxis])[1]  # the kernel has no corner at its centres
    assert error(at_rest, process.evaluate(measure.rest[np.newaxis])[1]) < 1e-7


RUNTIME = """
import sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
gradient = np.load(sys.argv[2])
flux, tangent = session.run(None, {session.get_inputs()[0].name: gradient})
np.savez(sys.argv[3], flux=flux, tangent=tangent)
"""


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime")
@pytest.mark.parametrize("measure", [MEASURES[0], MEASURES[3], MEASURES[4]], ids=[NAMES[0], NAMES[3], NAMES[4]])
def test_another_program_reads_it_and_sees_full_tensors(measure: Measure, tmp_path: Path) -> None:
    family = families(measure)[2]
    path, gradient = written(tmp_path, family), states(measure, 9, seed=4)
    np.save(tmp_path / "gradient.npy", measure.to_tensor(gradient))
    arguments = [str(path), str(tmp_path / "gradient.npy"), str(tmp_path / "answer.npz")]
    subprocess.run([sys.executable, "-c", RUNTIME, *arguments], check=True, capture_output=True)
    answer, (flux, tangent) = np.load(tmp_path / "answer.npz"), family.evaluate(gradient)
    assert answer["flux"].dtype == np.float64
    assert error(answer["flux"], measure.user_flux(flux)) < 1e-10
    assert error(answer["tangent"], measure.tangent_to_tensor(tangent)) < 1e-10


class Sketch:
    """A graph made by hand."""

    def __init__(self, axes: tuple[Any, ...] = ("n", 3)) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.axes = axes

    def constant(self, values: Any, kind: type = np.float64) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype=kind), name))
        return name

    def add(self, operator: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
        names = [f"t{len(self.nodes)}_{k}" for k in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if count == 1 else names

    def save(self, path: Path, *outputs: str, opset: int = 17, kind: int = onnx.TensorProto.DOUBLE) -> Path:
        ports = [
            [helper.make_tensor_value_info("x", kind, self.axes)],
            [helper.make_tensor_value_info(name, kind, ["n", "k"]) for name in outputs],
        ]
        graph = helper.make_graph(self.nodes, "sketch", *ports, self.constants)
        imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), str(path))
        return path


def integers(sketch: Sketch, values: list[int]) -> str:
    return sketch.constant(values, np.int64)


# none of these has a corner, or a pole, near where it is asked
FUNCTIONS = sorted(set(FUNCTIONS_OF_ONE) - {"Gelu", "Log", "Sqrt"})


def everything(sketch: Sketch) -> str:
    """A graph (n, 3) → (n, 3) through every operator but what only other versions have, each on something smooth."""
    random = np.random.default_rng(7)
    add = sketch.add
    lifted = add(
        "Gemm", "x", sketch.constant(random.normal(size=(4, 3))), sketch.constant(np.ones(4)), transB=1, alpha=0.5
    )
    parts = [add("Add", add(name, add("Sum", lifted, sketch.constant(2.5))), lifted) for name in FUNCTIONS]
    positive = add("Add", add("Mul", lifted, lifted), sketch.constant(0.5))
    parts += [add("Log", positive), add("Sqrt", positive), add("Pow", positive, sketch.constant(1.7))]
    parts += [add("Softmax", lifted), add("Div", lifted, positive), add("Sub", lifted, positive)]
    parts += [add("Max", lifted, positive), add("Min", lifted, positive), add("Clip", lifted, sketch.constant(-9.0))]
    joined = add("Concat", *parts, axis=1)  # (n, 4 k)
    k = len(parts)
    cube = add("Reshape", joined, integers(sketch, [0, -1, 2, 2]))  # (n, k, 2, 2)
    turned = add("Transpose", cube, perm=[0, 2, 1, 3])  # (n, 2, k, 2)
    square = add("MatMul", turned, add("Transpose", turned, perm=[0, 1, 3, 2]))  # (n, 2, k, k), both depend on x
    first, second = add("Split", square, integers(sketch, [1, 1]), count=2, axis=1)
    both = add("Add", add("Squeeze", first, integers(sketch, [1])), add("Squeeze", second, integers(sketch, [1])))
    cut = add(
        "Slice",
        both,
        integers(sketch, [-1, 0]),
        integers(sketch, [-100, k]),
        integers(sketch, [1, 2]),
        integers(sketch, [-2, 3]),
    )
    mean = add("ReduceMean", cut, axes=[2], keepdims=0)
    chosen = add("Gather", mean, integers(sketch, [3, 0, 1, 2]), axis=1)
    wide = add("Unsqueeze", chosen, integers(sketch, [1]))  # (n, 1, 4)
    shape = add("Shape", wide)
    same = add("Expand", wide, add("Identity", shape))
    flat = add("Cast", add("Dropout", add("Flatten", same)), to=onnx.TensorProto.FLOAT)
    weight = add("Constant", value=numpy_helper.from_array(random.normal(size=(4, 3)) / 100.0))
    sums = add("ReduceSum", flat, integers(sketch, [1]))
    return str(add("Add", add("MatMul", flat, weight), add("Mul", sums, sketch.constant(0.01))))


def differences(family: Family, gradient: FloatArray, step: float = 1e-6) -> FloatArray:
    shifts = step * np.eye(gradient.shape[1])
    columns = [(family.evaluate(gradient + s)[0] - family.evaluate(gradient - s)[0]) / (2.0 * step) for s in shifts]
    return np.stack(columns, axis=-1)


MANDEL = Declaration(input=Input(packing="mandel"), output=Output(packing="mandel"))


def test_every_operator_has_its_derivative(tmp_path: Path) -> None:
    sketch = Sketch()
    path = sketch.save(tmp_path / "net.onnx", everything(sketch))
    used = {node.operator for node in parse_graph(path.read_bytes()).nodes}
    assert set(OPERATORS) - used == {"Gelu"}  # of a newer version, below
    family = read_foreign(path, PLANE, MANDEL).family
    gradient = states(PLANE, 20, size=0.5)
    assert error(family.evaluate(gradient)[1], differences(family, gradient)) < 1e-7


@pytest.mark.parametrize("form", ["none", "tanh"])
def test_gelu(form: str, tmp_path: Path) -> None:
    sketch = Sketch()
    family = read_foreign(
        sketch.save(tmp_path / "net.onnx", sketch.add("Gelu", "x", approximate=form), opset=20), PLANE, MANDEL
    ).family
    gradient = states(PLANE, 20, size=2.0)
    flux, tangent = family.evaluate(gradient)
    assert error(tangent, differences(family, gradient)) < 1e-7
    reference = 0.5 * gradient * (1.0 + np.vectorize(math.erf)(gradient / SQRT2))
    assert error(flux, reference) < (1e-14 if form == "none" else 1e-3)


def layer(sketch: Sketch, width: int = 3) -> str:
    weight = np.random.default_rng(2).normal(size=(width, width))
    return str(sketch.add("Tanh", sketch.add("MatMul", "x", sketch.constant(weight))))


def test_a_point_does_not_see_its_neighbours(tmp_path: Path) -> None:
    sketch = Sketch()
    family = read_foreign(sketch.save(tmp_path / "net.onnx", layer(sketch)), PLANE, MANDEL).family
    gradient = states(PLANE, 150)
    together = family.evaluate(gradient)
    for found, all_of_them in zip(family.evaluate(gradient[70:75]), together, strict=True):
        assert (found == all_of_them[70:75]).all()
    assert family.evaluate(gradient[:0])[1].shape == (0, 3, 3)


def test_packings_are_those_of_the_names(tmp_path: Path) -> None:
    """One law, E → S = C E with an isotropic C, in every packing of both ends."""
    lame, shear = 3.0, 2.0
    measure = Measure(Physics.FINITE_STRAIN, 2)
    gradient = states(measure, 5)
    f = measure.to_tensor(gradient)
    e = 0.5 * (f.swapaxes(1, 2) @ f - np.eye(2))
    stress = lame * np.trace(e, axis1=1, axis2=2)[:, None, None] * np.eye(2) + 2.0 * shear * e
    expected = measure.to_vector(f @ stress)
    size = {"tensor": 4, "mandel": 3, "voigt": 3}
    into = {  # components → E11, E22, E12
        "tensor": np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0.5, 0.5, 0]]),
        "mandel": np.diag([1.0, 1.0, 1.0 / SQRT2]),
        "voigt": np.diag([1.0, 1.0, 0.5]),
    }
    law = np.array([[lame + 2 * shear, lame, 0], [lame, lame + 2 * shear, 0], [0, 0, 2 * shear]])
    out = {
        "tensor": np.array([[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]]),
        "mandel": np.diag([1.0, 1.0, SQRT2]),
        "voigt": np.eye(3),
    }
    for here, there in itertools.product(size, size):
        for gradient_measure in ("green_lagrange_strain", "right_cauchy_green"):
            sketch = Sketch(("n", size[here]))
            matrix = out[there] @ law @ into[here]
            strain = "x"
            if gradient_measure == "right_cauchy_green":
                unit = into[here].T @ np.array([1.0, 1.0, 0.0])
                strain = sketch.add("Mul", sketch.add("Sub", "x", sketch.constant(unit)), sketch.constant(0.5))
            result = sketch.add("MatMul", strain, sketch.constant(matrix.T))
            declared = Declaration(
                input=Input(measure=gradient_measure, packing=here),  # type: ignore[arg-type]
                output=Output(packing=there),  # type: ignore[arg-type]
            )
            family = read_foreign(sketch.save(tmp_path / "net.onnx", result), measure, declared).family
            flux, tangent = family.evaluate(gradient)
            assert error(flux, expected) < 1e-13
            assert error(tangent, differences(family, gradient)) < 1e-8


def test_single_precision_is_promoted(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    sketch = Sketch()
    result = sketch.add("MatMul", "x", sketch.constant(weight, np.float32))
    path = sketch.save(tmp_path / "net.onnx", result, kind=onnx.TensorProto.FLOAT)
    gradient = states(PLANE, 5)
    assert error(read_foreign(path, PLANE, MANDEL).family.evaluate(gradient)[0], gradient @ weight) < 1e-15


def test_inverted_states_have_no_answer(tmp_path: Path) -> None:
    measure = Measure(Physics.FINITE_STRAIN, 2)
    path = written(tmp_path, families(measure)[0])
    flux, tangent = read_foreign(path, measure, Declaration()).family.evaluate(
        np.stack([measure.rest, [-1.0, 0.0, 0.0, 1.0]])
    )
    assert np.isfinite(flux[0]).all()
    assert np.isnan(flux[1]).all()
    assert np.isnan(tangent[1]).all()


def test_a_network_that_is_not_objective_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    measure = Measure(Physics.FINITE_STRAIN, 2)
    read_foreign(written(tmp_path, families(measure)[0]), measure, Declaration())
    assert "objective" not in caplog.text
    sketch = Sketch(("n", 4))
    path = sketch.save(tmp_path / "net.onnx", sketch.add("Sub", "x", sketch.constant(measure.rest)))
    read_foreign(path, measure, Declaration())
    assert "not objective" in caplog.text


def test_a_declared_range_is_a_box(tmp_path: Path) -> None:
    sketch = Sketch()
    path = sketch.save(tmp_path / "net.onnx", layer(sketch))
    ends = Input(packing="mandel"), Output(packing="mandel")
    model = read_foreign(path, PLANE, Declaration(input=ends[0], output=ends[1], range=0.1))
    strains = PLANE.to_vector(np.array([[[0.0, 0.09], [0.09, 0.0]], [[0.0, 0.11], [0.11, 0.0]]]))
    assert model.outside(strains).tolist() == [False, True]
    assert not read_foreign(path, PLANE, MANDEL).outside(1e6 * strains).any()


def refusal(path: Path, measure: Measure = PLANE, declared: Declaration = MANDEL) -> str:
    with pytest.raises(ModelError) as caught:
        read_foreign(path, measure, declared)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text


def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    assert "No such file" in refusal(path)
    path.write_bytes(b"weights")
    assert "is not an ONNX file" in refusal(path)

    sketch = Sketch()
    assert "operator Floor" in refusal(sketch.save(path, sketch.add("Floor", "x")))
    sketch = Sketch()
    sketch.save(path, sketch.add("FusedGelu", "x", domain="com.microsoft"))
    assert "operator com.microsoft.FusedGelu" in refusal(path)
    sketch = Sketch()
    layer(sketch)
    assert "operator set 6" in refusal(sketch.save(path, "t1_0", opset=6))

    sketch = Sketch()
    result = layer(sketch)
    sketch.save(path, result)
    assert "tensor 4, mandel 3, voigt 3" in refusal(path, declared=Declaration())
    assert "has no input 'e', but x" in refusal(path, declared=Declaration(input=Input(name="e")))
    assert "has no output 'slope', but t1_0" in refusal(path, declared=Declaration(tangent="slope"))
    wrong = Declaration(input=Input(measure="temperature_gradient"))
    assert "temperature_gradient is no input for small_strain, use strain" in refusal(path, declared=wrong)
    wrong = Declaration(output=Output(measure="second_piola_kirchhoff"))
    assert "it must be stress" in refusal(path, declared=wrong)
    assert "temperature_gradient as tensor has 2 components" in refusal(path, Measure(Physics.HEAT, 2), Declaration())

    sketch = Sketch((1, 3))
    assert "(1, 3); export it with a first one of any length" in refusal(sketch.save(path, layer(sketch)))
    sketch = Sketch()
    mixed = sketch.add("Sub", layer(sketch), sketch.add("ReduceMean", "x", axes=[0]))
    assert "depends on the other points" in refusal(sketch.save(path, mixed))
    sketch = Sketch()
    assert "not finite at rest" in refusal(sketch.save(path, sketch.add("Log", "x")))
    sketch = Sketch()
    assert "the operation MatMul" in refusal(
        sketch.save(path, sketch.add("MatMul", "x", sketch.constant(np.ones((4, 3)))))
    )
    sketch = Sketch()
    assert "the output 't0_0' has the shape (64, 2)" in refusal(
        sketch.save(path, sketch.add("MatMul", "x", sketch.constant(np.ones((3, 2)))))
    )


def test_a_tangent_that_is_none_is_refused(tmp_path: Path) -> None:
    sketch = Sketch()
    matrix = np.random.default_rng(0).normal(size=(3, 3))
    flux = sketch.add("MatMul", "x", sketch.constant(matrix.T))
    zero = sketch.add("Mul", sketch.add("Unsqueeze", "x", integers(sketch, [1])), sketch.constant(np.zeros((3, 1))))
    good, bad = (sketch.add("Add", zero, sketch.constant(values)) for values in (matrix, matrix.T))
    path = sketch.save(tmp_path / "net.onnx", flux, good, bad)
    ends = Input(packing="mandel"), Output(name=flux, packing="mandel")
    model = read_foreign(path, PLANE, Declaration(input=ends[0], output=ends[1], tangent=good))
    assert error(model.family.evaluate(states(PLANE, 3))[1], np.tile(matrix, (3, 1, 1))) < 1e-14
    text = refusal(path, declared=Declaration(input=ends[0], output=ends[1], tangent=bad))
    assert "is not the derivative of" in text


def test_a_family_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    sketch = Sketch()
    foreign = read_foreign(sketch.save(tmp_path / "net.onnx", layer(sketch)), PLANE, MANDEL)
    with pytest.raises(ModelError, match="family onnx cannot be written"):
        onnx_bytes(foreign)
