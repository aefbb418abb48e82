"""A YAML document as a tree of nodes that know where they were written.

The tree is composed from the parser's events, so that duplicate keys, tags, runaway aliases and nesting are refused
while they are read, with their line, and no tag ever constructs an object.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from solver.case.errors import BadInput, KeyPath, dotted
from solver.case.scalars import Scalar, plain_scalar

MAX_BYTES = 1_000_000
MAX_VALUES = 300_000
"""Largest number of values in a document, after aliases are replaced by what they stand for."""
MAX_DEPTH = 40
_SHOWN_DEPTH = 6  # keys of a path that a message about nesting shows


@dataclass
class Node:
    """A value and the place it was written: a scalar, a `dict` of nodes or a `list` of nodes."""

    place: str
    """`file:line`, or `file:--set …`."""
    content: "Scalar | dict[str, Node] | list[Node]"
    size: int = 1
    """Number of values in this subtree, aliases expanded."""
    depth: int = 0
    key_places: dict[str, str] = field(default_factory=dict)
    """Where each key of a mapping was written."""

    def plain(self) -> Any:
        """The value without places, as JSON would hold it."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, node in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain() for node in self.content]
        return self.content

    def child(self, part: str | int) -> "Node | None":
        """Node below a key or an index, or None."""
        if isinstance(self.content, dict):
            return self.content.get(str(part))
        if isinstance(self.content, list) and isinstance(part, int) and -1 < part < len(self.content):
            return self.content[part]
        return None

    def located(self, path: KeyPath) -> str:
        """Place of the key at `path`, or of the innermost mapping or list on the way that exists."""
        node, place = self, self.place
        for part in path:
            below = node.child(part)
            if below is None:
                break
            place = node.key_places.get(str(part), below.place)
            node = below
        return place

    def refresh(self) -> None:
        """Recompute size and depth from the children."""
        children: list[Node] = []
        if isinstance(self.content, dict):
            children = list(self.content.values())
        elif isinstance(self.content, list):
            children = self.content
        self.size = 1 + sum(child.size for child in children)
        self.depth = 1 + max((child.depth for child in children), default=-1)


class _Composer:
    """Builds the node tree from parser events, refusing what a case file may not contain."""

    def __init__(self, events: Iterator[Event], name: str, *, numbered: bool) -> None:
        self.events = events
        self.name = name
        self.numbered = numbered
        self.anchors: dict[str, Node | None] = {}
        self.path: list[str | int] = []

    def place(self, event: Event) -> str:
        return f"{self.name}:{event.start_mark.line + 1}" if self.numbered else self.name

    def refuse(self, event: Event, message: str) -> BadInput:
        shown = self.path if len(self.path) <= _SHOWN_DEPTH else [*self.path[:_SHOWN_DEPTH], "…"]
        key = f"{dotted(tuple(shown))}: " if self.path else ""
        return BadInput(f"{self.place(event)}: {key}{message}")

    def document(self) -> Node | None:
        """The only document of the stream, None if there is none."""
        root: Node | None = None
        for event in self.events:
            if isinstance(event, NodeEvent):
                if root is not None:
                    raise self.refuse(event, "a second document starts here, a case file holds one; remove the `---`")
                root = self.node(event)
        return root

    def node(self, event: Event) -> Node:
        if isinstance(event, AliasEvent):
            return self.alias(event)
        assert isinstance(event, ScalarEvent | CollectionStartEvent)
        if event.tag is not None:
            raise self.refuse(event, f"the tag `{event.tag}` is not allowed, case files hold plain values; remove it")
        anchor: str | None = event.anchor
        if anchor is not None:
            self.anchors[anchor] = None
        if len(self.path) > MAX_DEPTH:
            raise self.refuse(event, f"nested deeper than {MAX_DEPTH} levels, a case file is far flatter")
        if isinstance(event, ScalarEvent):
            node = Node(self.place(event), self.scalar(event))
        elif isinstance(event, SequenceStartEvent):
            node = self.sequence(event)
        else:
            node = self.mapping(event)
        if node.size > MAX_VALUES:
            raise self.refuse(event, f"holds more than {MAX_VALUES} values once aliases are expanded, use fewer")
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def alias(self, event: AliasEvent) -> Node:
        if event.anchor not in self.anchors:
            raise self.refuse(event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it, add one")
        target = self.anchors[event.anchor]
        if target is None:
            raise self.refuse(event, f"the alias *{event.anchor} stands inside its own anchor, move it out")
        if len(self.path) + target.depth > MAX_DEPTH:
            raise self.refuse(event, f"nested deeper than {MAX_DEPTH} levels, a case file is far flatter")
        return target

    def scalar(self, event: ScalarEvent) -> Scalar:
        text: str = event.value
        if event.style is not None and event.style != "":
            return text
        try:
            return plain_scalar(text)
        except ValueError as error:
            raise self.refuse(event, str(error)) from None

    def sequence(self, start: Event) -> Node:
        items: list[Node] = []
        size = 1
        for event in self.events:
            if isinstance(event, CollectionEndEvent):
                break
            self.path.append(len(items))
            items.append(self.node(event))
            size += items[-1].size
            if size > MAX_VALUES:
                raise self.refuse(event, f"holds more than {MAX_VALUES} values once aliases are expanded, use fewer")
            self.path.pop()
        node = Node(self.place(start), items)
        node.refresh()
        return node

    def mapping(self, start: Event) -> Node:
        entries: dict[str, Node] = {}
        places: dict[str, str] = {}
        for event in self.events:
            if isinstance(event, CollectionEndEvent):
                break
            if not isinstance(event, ScalarEvent):
                raise self.refuse(event, "a key is a list, a mapping or an alias, write plain text")
            if event.tag is not None:
                raise self.refuse(event, f"the tag `{event.tag}` is not allowed on a key, remove it")
            key: str = event.value
            self.path.append(key)
            if key in entries:
                raise self.refuse(event, f"the key is given twice (first at {places[key]}), keep one of them")
            if key == "<<" and not event.style:
                raise self.refuse(event, "merge keys are not part of YAML 1.2, write the keys out")
            places[key] = self.place(event)
            entries[key] = self.node(next(self.events))
            self.path.pop()
        node = Node(self.place(start), entries, key_places=places)
        node.refresh()
        return node


def parse_yaml(text: str, name: str, *, numbered: bool = True) -> Node | None:
    """Compose the one document of `text`, None when there is none.

    Args:
        text: YAML 1.2 source.
        name: what to call the source in places and messages.
        numbered: whether lines are meaningful, as they are in a file and not in `--set`.

    Raises:
        BadInput: anything that is not plain YAML of one document.
    """
    yaml = YAML(typ="safe", pure=True)
    composer = _Composer(yaml.parse(text), name, numbered=numbered)
    try:
        return composer.document()
    except MarkedYAMLError as error:
        opened = error.context_mark if "flow" in str(error.context) or "quoted" in str(error.context) else None
        mark = opened or error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark is not None and numbered else name
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise BadInput(f"{place}: not valid YAML, {what}; check indentation, brackets and quotes here") from None
    except YAMLError as error:
        first = str(error).strip().splitlines()[0]
        raise BadInput(f"{name}: not valid YAML, {first}; write plain text in UTF-8") from None
