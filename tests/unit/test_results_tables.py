import os

import pytest

from solver.results.atomic import replacing, write_text
from solver.results.table import Table, read_rows


def test_rows_read_back_exactly(tmp_path):
    table = Table(tmp_path / "t.csv", ["step", "time", "u"])
    values = [(1, 0.1, 1 / 3), (2, 0.2, -1e-300)]
    for step, time, u in values:
        table.append({"step": step, "time": time, "u": u})
    rows = read_rows(tmp_path / "t.csv")
    assert [(int(row["step"]), float(row["time"]), float(row["u"])) for row in rows] == values


def test_a_row_is_in_the_file_at_once(tmp_path):
    table = Table(tmp_path / "t.csv", ["step", "u"])
    assert (tmp_path / "t.csv").read_text() == "step,u\n"
    table.append({"step": 1, "u": 2.5})
    assert (tmp_path / "t.csv").read_text() == "step,u\n1,2.5\n"


def test_a_restart_keeps_rows_up_to_its_step_and_a_new_run_none(tmp_path):
    table = Table(tmp_path / "t.csv", ["step", "u"])
    for step in range(1, 6):
        table.append({"step": step, "u": 10.0 * step})
    Table(tmp_path / "t.csv", ["step", "u"], keep_through=3).append({"step": 4, "u": -1.0})
    assert [row["u"] for row in read_rows(tmp_path / "t.csv")] == ["10.0", "20.0", "30.0", "-1.0"]
    Table(tmp_path / "t.csv", ["step", "u"])
    assert read_rows(tmp_path / "t.csv") == []


def test_a_column_that_is_new_at_a_restart_is_empty_before(tmp_path):
    Table(tmp_path / "t.csv", ["step", "u"]).append({"step": 1, "u": 3.0})
    Table(tmp_path / "t.csv", ["step", "v", "u"], keep_through=1).append({"step": 2, "v": 1.0, "u": 4.0})
    assert (tmp_path / "t.csv").read_text() == "step,v,u\n1,,3.0\n2,1.0,4.0\n"


def test_a_row_that_a_crash_cut_off_is_left_out(tmp_path):
    (tmp_path / "t.csv").write_text("step,time,u\n1,0.5,2.0\n2,1.")
    assert [row["step"] for row in read_rows(tmp_path / "t.csv")] == ["1"]


def test_a_row_with_other_columns_is_refused(tmp_path):
    table = Table(tmp_path / "t.csv", ["step", "u"])
    with pytest.raises(ValueError, match="columns"):
        table.append({"step": 1, "v": 2.0})


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "f"
    write_text(target, "old")

    def write_half() -> None:
        with replacing(target) as unfinished:
            unfinished.write_text("half")
            raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="space"):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
