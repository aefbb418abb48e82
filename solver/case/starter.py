"""`fe2 new NAME`: a commented case to start from, that runs as it is."""

from pathlib import Path

from solver.case.errors import BadInput

TEMPLATE = """\
# A two-scale case: `fe2 check {name}` shows the plan, `fe2 run {name}` computes it.
# `fe2 schema` describes every key for editors. Units are whatever consistent set you choose.
title: {title}
physics: small_strain          # small_strain | finite_strain | heat
dimension: 2                   # 2 (plane strain) | 3

mesh:                          # macroscale: a generator, or `file: part.msh` with physical groups
  generator: rectangle         # rectangle | box | cook_membrane | plate_with_hole | l_shape
  size: [4.0, 1.0]
  divisions: [8, 2]            # elements along x and y
  element: quadrilateral       # triangle | quadrilateral | tetrahedron | hexahedron
  degree: 1                    # 1 | 2

regions: {{all: composite}}      # physical group, or `all` -> a material below

boundary_conditions:           # generated meshes name: left right bottom top (front back)
  - {{boundary: left, displacement: [0, 0]}}
  - {{boundary: right, displacement: [null, -0.02]}}   # null leaves a component free
  # - {{boundary: top, traction: [0, -1.0]}}           # dead load per reference length or area
  # - {{body_force: [0, -9.81], constant: true}}       # `constant` keeps a value unscaled by the load factor

load:
  end: 1.0                     # pseudo-time
  steps: 4                     # nominal increments, equal in time
  # factor: [[0, 0], [0.5, 1], [1, 0]]                 # load factor over time: load, then unload
  # adaptive: {{min_step: 1.0e-4, max_step: 0.5}}        # cut back on failure, grow on easy steps

materials:
  composite: {{type: rve, rve: cell}}
  # or one law for the whole part: {{type: law, law: elastic, E: 70e3, nu: 0.3}}

rves:
  cell:
    geometry: {{generator: inclusion, volume_fraction: 0.3, resolution: 6}}   # or laminate
    element: triangle
    degree: 2
    boundary: periodic         # periodic | linear | traction
    phases:                    # phase name -> law
      matrix:    {{law: j2, E: 70e3, nu: 0.3, yield_stress: 100, hardening: 500}}
      inclusion: {{law: elastic, E: 400e3, nu: 0.2}}

output:
  fields: [displacement, strain, stress]
  probes: [{{name: tip, point: [4.0, 0.5]}}]
  reactions: [right]
"""


def write_starter(name: str) -> Path:
    """Write the starter case to NAME.yaml (or NAME, where it ends in .yaml) and return its path.

    Raises:
        BadInput: the file exists already, or cannot be written.
    """
    path = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    if not name.removesuffix(".yaml").removesuffix(".yml").rpartition("/")[2].strip(". "):
        raise BadInput(f"{path}: has no name, write `fe2 new NAME`")
    title = "".join(character if character.isprintable() else " " for character in path.stem)
    text = TEMPLATE.format(name=path, title=f'"{title.replace(chr(92), " ").replace(chr(34), " ")}"')
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise BadInput(f"{path}: exists already, choose another name or remove it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"{path}: cannot be written ({reason}), choose a folder that exists and is writable") from None
    return path
