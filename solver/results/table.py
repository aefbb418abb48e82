"""A CSV table with one row per accepted increment."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from solver.results.atomic import write_text

Value = int | float | str


class Table:
    """A CSV file that grows row by row; each row is in the file when `append` returns.

    The first column is always `step`. Floats are written with all their digits, so that reading returns them exactly.
    """

    def __init__(self, path: Path, columns: Sequence[str], keep_through: int = 0) -> None:
        """Start the table, keeping the rows of an earlier run up to step `keep_through` (0 keeps none).

        Kept rows are carried over by column name: a column that is new stays empty for them.
        """
        if columns[0] != "step":
            raise ValueError(f"the first column of {path.name} must be step, not {columns[0]}")
        self.path = path
        self.columns = tuple(columns)
        kept = [row for row in read_rows(path) if int(row["step"]) <= keep_through] if keep_through else []
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        write_text(path, text.getvalue())

    def append(self, row: Mapping[str, Value]) -> None:
        """Add one row; its keys are exactly the columns."""
        if set(row) != set(self.columns):
            raise ValueError(f"{self.path.name} has the columns {self.columns}, the row {tuple(row)}")
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            csv.DictWriter(stream, self.columns, lineterminator="\n").writerow(row)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table by column name, in order. Without the rows that a crash cut off; none for a missing file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if None not in row and None not in row.values()]
