"""What one section of a case demands of another. Each check raises `WrongValue` with the key to change."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from materials.law import Law
from materials.laws import LAWS
from materials.measures import Measure, Physics
from materials.router import Router
from meshes.cells import SIMPLEX_CELLS, GriddedGeometry
from meshes.errors import MeshError
from meshes.macro import GENERATORS
from solver.case.boundary_conditions import MECHANICAL, BoundaryCondition
from solver.case.case import Case
from solver.case.closest import unknown
from solver.case.discretization import DIMENSION, SIMPLICES
from solver.case.errors import KeyPath, WrongValue
from solver.case.expression import AXES, Expression
from solver.case.foreign_networks import ONLY_ONNX
from solver.case.formulation import formulation_problem
from solver.case.mesh import MeshFile
from solver.case.messages import message
from solver.case.rves import CellFile, RveSection
from solver.case.surrogates import SurrogateRecipe
from surrogates.families import FAMILIES


def check_case(case: Case) -> None:
    """Every check that needs more than one section, from the top of the file to its end.

    Raises:
        WrongValue: with the key path and the remedy.
    """
    check_plane(case)
    check_generator(case)
    check_element(case.mesh.element, case.dimension, ("mesh", "element"))
    check_formulation(case.mesh, case.physics, ("mesh",))
    if isinstance(case.mesh, MeshFile):
        require_file(case.file_path(case.mesh.file), ("mesh", "file"))
    check_regions(case)
    for index, condition in enumerate(case.boundary_conditions):
        check_condition(condition, case.measure, ("boundary_conditions", index))
    check_overlap(case.boundary_conditions)
    check_supports(case)
    for name, material in case.materials.items():
        check_material(case, material, ("materials", name))
    for name, rve in case.rves.items():
        check_rve(rve, case.measure, ("rves", name))
    for name, recipe in case.surrogates.items():
        if recipe.rve not in case.rves:
            raise WrongValue(("surrogates", name, "rve"), unknown("cell", recipe.rve, case.rves))
        check_recipe(recipe, ("surrogates", name))
        check_descriptors(recipe, case.rves[recipe.rve], ("surrogates", name))
    check_output(case)


def check_plane(case: Case) -> None:
    """Plane stress is reserved; a plane belongs to mechanics in 2D."""
    if case.plane == "stress":
        raise WrongValue(("plane",), "plane stress is reserved for a later version, use plane strain (the default)")
    if case.plane is not None and (case.dimension == 3 or case.physics is Physics.HEAT):
        raise WrongValue(("plane",), "only mechanics in dimension 2 has a plane, remove the key")


def check_generator(case: Case) -> None:
    """A generated mesh has the dimension of the case."""
    if isinstance(case.mesh, MeshFile):
        return
    dimension: int = case.mesh.generator_class.dimension
    if dimension != case.dimension:
        fitting = ", ".join(name for name, other in GENERATORS.items() if other.dimension == case.dimension)
        text = f"{case.mesh.generator} has dimension {dimension}, the case {case.dimension}; use {fitting}"
        raise WrongValue(("mesh", "generator"), text)


def check_element(element: str | None, dimension: int, path: KeyPath) -> None:
    """Elements have the dimension of the case."""
    if element is not None and DIMENSION[element] != dimension:
        allowed = " or ".join(name for name, d in DIMENSION.items() if d == dimension)
        raise WrongValue(path, f"{element} is not an element of dimension {dimension}, use {allowed}")


def check_formulation(section: Any, physics: Physics, path: KeyPath) -> None:
    """An explicit formulation fits physics and element."""
    if section.formulation is not None:
        problem = formulation_problem(section.formulation, physics, section.element, section.degree)
        if problem:
            raise WrongValue((*path, "formulation"), problem)


def require_file(file: Path, path: KeyPath) -> None:
    """A file named in the case exists."""
    try:
        problem = "is a directory, name a file" if file.is_dir() else None
        if problem is None and not file.is_file():
            problem = "does not exist, paths are relative to the case file"
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({error})"
    if problem:
        raise WrongValue(path, f"the file {file} {problem}")


def check_regions(case: Case) -> None:
    """Regions name materials; `all` stands alone."""
    for region, material in case.regions.items():
        if material not in case.materials:
            raise WrongValue(("regions", region), unknown("material", material, case.materials))
    if "all" in case.regions and len(case.regions) > 1:
        raise WrongValue(("regions", "all"), "`all` covers every region, remove it or the other regions")


def check_condition(condition: BoundaryCondition, measure: Measure, path: KeyPath) -> None:
    """A condition belongs to the physics and has as many components as the dimension."""
    kind, value = condition.kind, condition.value
    heat = measure.physics is Physics.HEAT
    if heat == (kind in MECHANICAL):
        use = "temperature or flux" if heat else "displacement, traction or body_force"
        raise WrongValue((*path, kind), f"has no meaning for physics {measure.physics.value}, use {use}")
    if isinstance(value, tuple) and len(value) != measure.dimension:
        text = f"has {len(value)} components, dimension {measure.dimension} needs {measure.dimension}"
        raise WrongValue((*path, kind), text)


def check_overlap(conditions: Iterable[BoundaryCondition]) -> None:
    """No two conditions prescribe, or load, the same component of the same boundary."""
    taken: dict[tuple[str, int], int] = {}
    for index, condition in enumerate(conditions):
        if condition.boundary is None:
            continue
        value = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        for component, number in enumerate(value):
            if number is None or (condition.kind == "traction" and number == 0):
                continue
            earlier = taken.setdefault((condition.boundary, component), index)
            if earlier != index:
                which = f"component {'xyz'[component]} of " if len(value) > 1 else ""
                text = (
                    f"{which}boundary '{condition.boundary}' already has a condition, boundary_conditions.{earlier}; "
                    "keep one of them"
                )
                raise WrongValue(("boundary_conditions", index, condition.kind), text)


def check_supports(case: Case) -> None:
    """Every component of the unknown is prescribed somewhere, so that the body cannot move as a whole."""
    held: set[int] = set()
    for condition in case.boundary_conditions:
        if condition.kind == "temperature":
            return
        if condition.displacement is not None:
            held |= {component for component, value in enumerate(condition.displacement) if value is not None}
    if case.physics is Physics.HEAT:
        text = "no boundary has a temperature, so it is not determined; add {boundary: …, temperature: …}"
        raise WrongValue(("boundary_conditions",), text)
    for component in range(case.dimension):
        if component not in held:
            axis = "xyz"[component]
            text = f"nothing holds the body in {axis}; add {{boundary: …, displacement: […]}} with a number for {axis}"
            raise WrongValue(("boundary_conditions",), text)


def check_law(law: Law, measure: Measure, path: KeyPath) -> None:
    """A law belongs to the physics of the case; a void to any."""
    physics = measure.physics
    if law.physics is not None and law.physics is not physics:
        fitting = ", ".join(name for name, other in LAWS.items() if other.physics is physics)
        text = f"{law.name} is a law for {law.physics.value}, the physics of the case is {physics.value}; use {fitting}"
        raise WrongValue((*path, "law"), text)
    refusal = law.refusal(measure)
    if refusal is not None:
        raise WrongValue((*path, "law"), refusal)


def check_material(case: Case, material: Any, path: KeyPath) -> None:
    """A material is available, its cell exists, its law fits."""
    if material.type == "law":
        law = material.build()
        if law.void:
            raise WrongValue((*path, "law"), "void is for phases of a cell, leave the region out of the mesh instead")
        check_law(law, case.measure, path)
        return
    if material.type == "surrogate":  # its folder may be what the case is to be trained for
        check_source(material, path)
        for name, source in material.descriptors.items():
            strange = Expression(source).axes - set(AXES[: case.dimension])
            if strange:
                text = f"there is no {', '.join(strange)} in dimension {case.dimension}"
                raise WrongValue((*path, "descriptors", name), f"{text}, use {', '.join(AXES[: case.dimension])}")
        return
    if material.rve not in case.rves:
        raise WrongValue((*path, "rve"), unknown("cell", material.rve, case.rves))
    if material.type == "adaptive":
        check_adaptive(case, material, path)


def check_source(material: Any, path: KeyPath) -> None:
    """A surrogate comes from one place, and only ONNX files are declared."""
    if (material.model is None) == (material.onnx is None):
        if material.model is None:
            raise WrongValue(path, "needs the key `model`, a model folder, or `onnx`, an ONNX file")
        raise WrongValue((*path, "onnx"), "`model` and `onnx` exclude each other, keep one")
    for key in ONLY_ONNX:
        if material.onnx is None and getattr(material, key) is not None:
            raise WrongValue((*path, key), "is for ONNX files, a model folder says so itself; remove the key")


def check_adaptive(case: Case, material: Any, path: KeyPath) -> None:
    """Its recipe is there, and for its cell."""
    if material.surrogate not in case.surrogates:
        raise WrongValue((*path, "surrogate"), unknown("recipe", material.surrogate, case.surrogates))
    recipe = case.surrogates[material.surrogate]
    if recipe.rve != material.rve:
        text = f"the recipe {material.surrogate} is for the cell {recipe.rve}, the material has {material.rve}"
        raise WrongValue((*path, "surrogate"), f"{text}; name a recipe for that cell")
    if recipe.sampling.descriptors:
        text = f"the recipe {material.surrogate} samples many cells, an adaptive material has one; name another recipe"
        raise WrongValue((*path, "surrogate"), text)
    needed = {"ensemble": recipe.ensemble > 1, "variance": recipe.family == "gp"}
    if not needed.get(material.trust.measure, True):
        remedy = {"ensemble": f"set `ensemble` in surrogates.{material.surrogate}", "variance": "that is for family gp"}
        text = f"{material.trust.measure}: {remedy[material.trust.measure]}, or use distance"
        raise WrongValue((*path, "trust", "measure"), text)


def check_rve(rve: RveSection, measure: Measure, path: KeyPath) -> None:
    """A cell's element, formulation, phases and laws fit each other."""
    check_element(rve.element, measure.dimension, (*path, "element"))
    check_formulation(rve, measure.physics, path)
    check_method(rve, path)
    laws = rve.laws
    for name, law in laws.items():
        check_law(law, measure, (*path, "phases", name))
    if laws and all(law.void for law in laws.values()):
        raise WrongValue((*path, "phases"), "every phase is void, give at least one a law with stiffness")
    check_geometry(rve, path)


def check_method(rve: RveSection, path: KeyPath) -> None:
    """What a method needs of the other keys; see docs/voxels.md."""
    if rve.method == "fem":
        for key, default in (("integration", None), ("device", "cpu")):
            if getattr(rve, key) != default:
                raise WrongValue((*path, key), "is for method fft; remove the key, or set `method: fft`")
        return
    if rve.boundary != "periodic":
        text = f"{rve.boundary} is not possible with method fft, whose cells are periodic; use periodic, or method fem"
        raise WrongValue((*path, "boundary"), text)
    if isinstance(rve.geometry, CellFile) or not isinstance(rve.geometry.build_generator(), GriddedGeometry):
        text = "method fft needs phases on a regular grid; use the generator voxels or laminate, or method fem"
        raise WrongValue((*path, "geometry"), text)
    if rve.element in SIMPLICES or rve.degree != 1:
        key = "element" if rve.element in SIMPLICES else "degree"
        text = "the elements of method fft are voxels; use quadrilateral (2D) or hexahedron (3D) of degree 1"
        raise WrongValue((*path, key), text)
    if rve.quadrature_degree is not None:
        raise WrongValue((*path, "quadrature_degree"), "is for method fem; with fft `integration` says how many points")
    if rve.formulation == "bbar":
        text = "is for method fem; fft has one point per voxel with `integration: reduced`, which does not lock"
        raise WrongValue((*path, "formulation"), text)
    for name, law in rve.laws.items():
        if not law.symmetric:
            text = f"the tangent of law {law.name} is not symmetric, which method fft needs; use method fem"
            raise WrongValue((*path, "phases", name, "law"), text)


def check_geometry(rve: RveSection, path: KeyPath) -> None:
    """The phases are those of the generator, and it can be meshed with the element."""
    if isinstance(rve.geometry, CellFile):  # is read when the cell is built
        return
    generator = rve.geometry.build_generator()
    given = tuple(rve.phases)
    try:
        generator.phase_names(given)
    except MeshError as error:
        wanted: tuple[str, ...] = generator.phase_names(None)
        unknown = [name for name in given if name not in wanted]
        blamed = unknown[:1] if len(given) >= len(wanted) else []
        raise WrongValue((*path, "phases", *blamed), f"{error}; {_phase_remedy(wanted, given)}") from None
    if rve.geometry.generator in SIMPLEX_CELLS and rve.element not in SIMPLICES:
        simplex = "triangle" if DIMENSION[rve.element] == 2 else "tetrahedron"
        text = f"a cell of the generator {rve.geometry.generator} cannot be meshed with {rve.element}, use {simplex}"
        raise WrongValue((*path, "element"), text)


def _phase_remedy(wanted: Sequence[str], given: Sequence[str]) -> str:
    missing = [name for name in wanted if name not in given]
    extra = [name for name in given if name not in wanted]
    if not set(given) & set(wanted):
        return f"give laws to {len(wanted)} phases"
    if len(given) < len(wanted):
        return f"add {', '.join(missing[: len(wanted) - len(given)])}"
    return f"remove {', '.join(extra)}" if not missing else f"rename {', '.join(extra)} to {', '.join(missing)}"


def check_recipe(recipe: SurrogateRecipe, path: KeyPath) -> None:
    """The family knows the options of the network."""
    if recipe.family in FAMILIES:
        try:
            recipe.network_options()
        except ValueError as error:
            raise WrongValue((*path, "network"), str(error)) from None


def check_descriptors(recipe: SurrogateRecipe, rve: RveSection, path: KeyPath) -> None:
    """The geometry of the cell has the parameters that are to differ, and can be made over their ranges."""
    for name, ends in recipe.sampling.descriptors.items():
        for value in ends:
            try:
                rve.varied({name: value})
            except ValidationError as error:
                text = f"{name} = {value:g}: {message(error.errors(include_url=False)[0])}"
                raise WrongValue((*path, "sampling", "descriptors", name), text) from None
            except ValueError as error:
                raise WrongValue((*path, "sampling", "descriptors", name), str(error)) from None


def check_output(case: Case) -> None:
    """Fields exist in this physics; probes and localised points have the right dimension."""
    measure = case.measure
    known = [measure.primary_name, measure.gradient_name, measure.flux_name, "kind"]
    if measure.physics is Physics.FINITE_STRAIN:
        known.append("stress")
    if measure.physics is not Physics.HEAT:
        known.append("von_mises")
    if measure.out_of_plane_name is not None:
        known.append(measure.out_of_plane_name)
    if any(case.materials[name].type == "adaptive" for name in case.regions.values() if name in case.materials):
        known += Router.annotations
    for index, field in enumerate(case.output.fields or ()):
        if field not in known:
            text = unknown(f"field for physics {case.physics.value}", field, known)
            raise WrongValue(("output", "fields", index), text)
        _check_out_of_plane(case, field, ("output", "fields", index))
    names: set[str] = set()
    for index, probe in enumerate(case.output.probes):
        path: KeyPath = ("output", "probes", index)
        _check_point(probe.point, case.dimension, (*path, "point"))
        if probe.field is not None and probe.field not in known:
            text = unknown(f"field for physics {case.physics.value}", probe.field, known)
            raise WrongValue((*path, "field"), text)
        _check_out_of_plane(case, probe.field, (*path, "field"))
        if probe.name in names:
            raise WrongValue((*path, "name"), f"'{probe.name}' is the name of an earlier probe, choose another")
        names.add(probe.name)
    for index, localized in enumerate(case.output.localize):
        _check_point(localized.point, case.dimension, ("output", "localize", index, "point"))
        if localized.steps and localized.every is not None:
            raise WrongValue(("output", "localize", index, "every"), "steps say when to write, remove one of the two")
    for index, boundary in enumerate(case.output.reactions):
        if boundary in case.output.reactions[:index]:
            raise WrongValue(("output", "reactions", index), f"'{boundary}' is listed twice, remove one")


def _check_out_of_plane(case: Case, field: str | None, path: KeyPath) -> None:
    """What needs the stress out of the plane has a material that knows it."""
    if field in ("von_mises", case.measure.out_of_plane_name) and not case.knows_out_of_plane:
        text = f"{field} needs the stress out of the plane, which a surrogate does not give; remove it"
        raise WrongValue(path, text)


def _check_point(point: tuple[float, ...], dimension: int, path: KeyPath) -> None:
    if len(point) != dimension:
        raise WrongValue(path, f"has {len(point)} coordinates, dimension {dimension} needs {dimension}")
