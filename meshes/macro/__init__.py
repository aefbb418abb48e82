"""Meshes of parts: generators and gmsh files, with named regions and boundaries. To add a generator, add one file."""

from meshes.macro.box import Box
from meshes.macro.cook_membrane import CookMembrane
from meshes.macro.l_shape import LShape
from meshes.macro.macro_mesh import Generator, MacroMesh, build_macro_mesh
from meshes.macro.plate_with_hole import PlateWithHole
from meshes.macro.rectangle import Rectangle

GENERATORS: dict[str, type[Rectangle] | type[Box] | type[CookMembrane] | type[PlateWithHole] | type[LShape]] = {
    "rectangle": Rectangle,
    "box": Box,
    "cook_membrane": CookMembrane,
    "plate_with_hole": PlateWithHole,
    "l_shape": LShape,
}
"""Name in a case file -> generator."""

__all__ = [
    "GENERATORS",
    "Box",
    "CookMembrane",
    "Generator",
    "LShape",
    "MacroMesh",
    "PlateWithHole",
    "Rectangle",
    "build_macro_mesh",
]
