"""`--set key.path=value`: change one value of a case from the command line, before it is validated."""

import re
from collections.abc import Sequence

from solver.case.document import Node, parse_yaml
from solver.case.errors import BadInput

_ASSIGNMENT = re.compile(r"(?P<path>[^=]*)=(?P<value>.*)", re.DOTALL)
_BRACKET = re.compile(r"\[(-?[0-9]+)\]")


def apply_overrides(root: Node, name: str, overrides: Sequence[str]) -> None:
    """Set each `key.path=value` in the tree, in order; missing mappings on the way are created.

    Values are YAML; list entries are addressed by index (`boundary_conditions.1.traction` or `[1]`), and the index
    one past the end appends.

    Raises:
        BadInput: not of that form, or a path through a value that has no keys.
    """
    for override in overrides:
        origin = f"{name}:--set {override}"
        match = _ASSIGNMENT.fullmatch(override)
        parts = _BRACKET.sub(r".\1", match["path"]).split(".") if match else []
        if match is None or not all(part.strip() for part in parts):
            raise BadInput(f"{origin}: not an assignment, write --set key.path=value")
        value = parse_yaml(match["value"], origin, numbered=False)
        _assign(root, [part.strip() for part in parts], value or Node(origin, None), origin)


def _assign(root: Node, parts: list[str], value: Node, origin: str) -> None:
    node, above = root, [root]
    for position, part in enumerate(parts):
        here = ".".join(parts[: position + 1])
        last = position == len(parts) - 1
        if node.content is None:
            node.content = {}
        if isinstance(node.content, dict):
            node = _assign_key(node, part, value if last else None, origin)
        elif isinstance(node.content, list):
            node = _assign_index(node, part, value if last else None, origin, here)
        else:
            raise BadInput(f"{origin}: {here}: the value above this key is {node.content!r}, which has no keys below")
        above.append(node)
    for node in reversed(above[:-1]):
        node.refresh()


def _assign_key(node: Node, key: str, value: Node | None, origin: str) -> Node:
    assert isinstance(node.content, dict)
    if value is not None:
        node.content[key] = value
        node.key_places[key] = origin
    elif key not in node.content:
        node.content[key] = Node(origin, {})
        node.key_places[key] = origin
    else:
        node.content[key] = _own(node.content[key])
    return node.content[key]


def _assign_index(node: Node, text: str, value: Node | None, origin: str, here: str) -> Node:
    assert isinstance(node.content, list)
    length = len(node.content)
    if not text.isdecimal() or int(text) > length:
        raise BadInput(f"{origin}: {here}: the list has {length} entries, write an index from 0 to {length}")
    index = int(text)
    if index == length:
        node.content.append(Node(origin, {}))
    node.content[index] = value if value is not None else _own(node.content[index])
    return node.content[index]


def _own(node: Node) -> Node:
    """A copy of one level, so that a value shared by an alias changes only where it was addressed."""
    content = node.content
    if isinstance(content, dict):
        content = dict(content)
    elif isinstance(content, list):
        content = list(content)
    return Node(node.place, content, node.size, node.depth, dict(node.key_places))
