"""What a case may contain but probably does not mean; said once, never an error."""

from materials.measures import Physics
from solver.case.case import Case
from solver.case.discretization import SIMPLICES
from solver.case.errors import KeyPath
from solver.case.formulation import default_formulation, flows_isochorically


def suspicions(case: Case) -> list[str]:
    """What is allowed but probably not meant, one line each, with file, line and key."""
    found: list[str] = []

    def warn(path: KeyPath, text: str) -> None:
        found.append(str(case.bad_input(path, text)))

    remedy = "use degree 2"
    if case.physics is Physics.SMALL_STRAIN:
        remedy += ", or quadrilaterals/hexahedra, which average the dilatation by default"
    for name, rve in case.rves.items():
        if rve.element in SIMPLICES and rve.degree == 1 and flows_isochorically(rve.laws.values()):
            warn(("rves", name, "degree"), f"J2 on linear simplices locks once it flows; {remedy}")
    laws = [law for material in set(case.regions.values()) for law in case.laws_of(material)]
    element = case.mesh.element
    if element in SIMPLICES and case.mesh.degree == 1 and flows_isochorically(laws):
        warn(("mesh", "degree"), f"J2 on linear simplices locks once it flows; {remedy}")
    locks = element is not None and default_formulation(case.physics, element, case.mesh.degree, laws) == "bbar"
    if locks and case.mesh.formulation == "standard":
        warn(("mesh", "formulation"), "J2 on linear elements locks with the standard formulation, use bbar")
    for name, rve in case.rves.items():
        for phase, law in rve.laws.items():
            if law.softens:
                text = f"{law.name} softens: past the peak the answer depends on the cell's size and mesh"
                warn(("rves", name, "phases", phase), f"{text}, and homogenisation ends where the cell localises")
    for name, material in case.materials.items():
        if material.type == "law" and (law := material.build()).softens:
            warn(("materials", name), f"{law.name} softens: past the peak the answer depends on the mesh")
    nominal = [case.load.end * step / case.load.steps for step in range(case.load.steps + 1)]
    for index, (time, _) in enumerate(case.load.factor_table[1:-1], start=1):
        if 0 < time < case.load.end and min(abs(time - hit) for hit in nominal) > 1e-9 * case.load.end:
            warn(("load", "factor", index), f"no nominal increment ends at time {time:g}, so its peak may be missed")
    used = {getattr(material, "rve", None) for material in case.materials.values()}
    used |= {recipe.rve for recipe in case.surrogates.values()}
    for name in case.rves:
        if name not in used:
            warn(("rves", name), "no material and no recipe uses this cell")
    for name in case.materials:
        if name not in case.regions.values():
            warn(("materials", name), "no region uses this material")
    if case.output.localize and not any(getattr(case.materials[name], "rve", None) for name in case.regions.values()):
        warn(("output", "localize"), "no material of this case has cells, so there is nothing to localise")
    return found
