"""The one exception that reaches the user for anything wrong with what they typed."""


class BadInput(Exception):
    """Bad input: `str` is one line, `file:line: key.path: what is wrong, what would be right`. Exit code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


KeyPath = tuple[str | int, ...]
"""Path of a value in a case file: mapping keys and list indices, outermost first."""


def dotted(path: KeyPath) -> str:
    """Key path as `--set` takes it: `boundary_conditions.1.traction`."""
    return ".".join(str(part) for part in path)


class WrongValue(Exception):
    """A value that contradicts another one, at a key path; the loader adds file and line."""

    def __init__(self, path: KeyPath, message: str) -> None:
        super().__init__(f"{dotted(path)}: {message}")
        self.path = path
        self.message = message
