"""gmsh's mesh files, checked before gmsh sees them."""

from pathlib import Path

import gmsh

from meshes.errors import MeshError


def merge_file(path: Path) -> None:
    """Read a .msh file into the current gmsh model.

    gmsh takes what it does not recognise for a script and runs it, and reads what it can of a truncated file: so both
    are refused here.

    Raises:
        MeshError: the file does not exist, is empty, is no .msh file or ends early.
    """
    if not path.is_file():
        raise MeshError(f"{path} is {'a folder' if path.is_dir() else 'no file that exists'}: give a gmsh .msh file")
    content = path.read_bytes()
    if not content:
        raise MeshError(f"{path} is empty: give a gmsh .msh file")
    if not content.startswith((b"$MeshFormat\n", b"$MeshFormat\r\n")):
        raise MeshError(f"{path} is no gmsh .msh file (version 2 or 4): it does not start with $MeshFormat")
    for section in (b"MeshFormat", b"Nodes", b"Elements"):
        for mark in (b"$" + section, b"$End" + section):
            if b"\n" + mark not in b"\n" + content:
                raise MeshError(f"{path} has no {mark.decode()}: it is truncated or holds no mesh, save it again")
    gmsh.merge(str(path))
