import copy
import json

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from solver.case.errors import BadInput
from solver.restart import Progress, RestartPoint, Rows
from solver.results.checkpoint import Header, read_checkpoint, write_checkpoint
from solver.results.restart import file_digests, first_difference

CASE = {
    "title": "a",
    "physics": "heat",
    "mesh": {"generator": "box", "size": [1.0, 2.0, 3.0]},
    "load": {"end": 1.0, "adaptive": {"min_step": 0.1}},
    "output": {"every": 1},
}
HEADER = Header(CASE, {}, {"numpy": "2"})


@pytest.fixture
def point() -> RestartPoint:
    rng = np.random.default_rng(3)
    ids = rng.permutation(40)
    tables = {
        "solution": Rows(ids, rng.standard_normal((40, 6))),
        "material/a b/state": Rows(ids[:7], rng.standard_normal((7, 5, 3))),
        "material/a b/none": Rows(ids[:7], np.empty((7, 360, 0))),
        "material/c/scalar": Rows(ids, rng.standard_normal(40)),
        "material/d/state": Rows(np.empty(0, np.int64), np.empty((0, 4))),
    }
    return RestartPoint(Progress(4, 0.7, 0.125, 2, 3.5e3), tables)


def test_a_restart_point_reads_back_exactly(tmp_path, point):
    write_checkpoint(tmp_path / "r.h5", point, HEADER, MPI.COMM_SELF)
    read, header = read_checkpoint(tmp_path / "r.h5", MPI.COMM_SELF)
    assert read.progress == point.progress
    assert type(read.progress.step) is int
    assert header == HEADER
    assert set(read.tables) == set(point.tables)
    for name, rows in point.tables.items():
        np.testing.assert_array_equal(read.tables[name].ids, rows.ids)
        np.testing.assert_array_equal(read.tables[name].values, rows.values)
        assert read.tables[name].values.shape == rows.values.shape


def test_a_file_takes_about_the_room_of_its_content(tmp_path, point):
    write_checkpoint(tmp_path / "r.h5", point, HEADER, MPI.COMM_SELF)
    content = sum(rows.values.nbytes + rows.ids.nbytes for rows in point.tables.values())
    assert (tmp_path / "r.h5").stat().st_size < content + 40_000


@pytest.mark.parametrize("position", [0.3, 0.5, 0.7, 0.9])
def test_damage_anywhere_in_the_numbers_is_noticed(tmp_path, point, position):
    file = tmp_path / "r.h5"
    write_checkpoint(file, point, HEADER, MPI.COMM_SELF)
    with h5py.File(file) as content:
        chunk = content["tables/solution/values"].id.get_chunk_info(0)
    data = bytearray(file.read_bytes())
    data[chunk.byte_offset + int(position * chunk.size)] ^= 0x10
    file.write_bytes(data)
    with pytest.raises(BadInput, match="damaged") as raised:
        read_checkpoint(file, MPI.COMM_SELF)
    assert "\n" not in str(raised.value)
    assert "--restart" in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_no_restart_point_is_refused(tmp_path, content):
    (tmp_path / "r.h5").write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        read_checkpoint(tmp_path / "r.h5", MPI.COMM_SELF)


def test_a_missing_restart_point_and_another_format_are_refused(tmp_path, point):
    with pytest.raises(BadInput, match="no restart point"):
        read_checkpoint(tmp_path / "r.h5", MPI.COMM_SELF)
    write_checkpoint(tmp_path / "r.h5", point, HEADER, MPI.COMM_SELF)
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file.attrs["format"] = 99
    with pytest.raises(BadInput, match="format 99"):
        read_checkpoint(tmp_path / "r.h5", MPI.COMM_SELF)


def test_a_failed_write_leaves_the_previous_restart_point(tmp_path, point):
    file = tmp_path / "r.h5"
    write_checkpoint(file, point, HEADER, MPI.COMM_SELF)
    broken = RestartPoint(point.progress, {"bad": Rows(np.arange(3), np.array([object()] * 3))})
    with pytest.raises(OSError, match="write"):
        write_checkpoint(file, broken, HEADER, MPI.COMM_SELF)
    assert read_checkpoint(file, MPI.COMM_SELF)[0].progress == point.progress
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("path", "value", "refused"),
    [
        (("title",), "b", False),
        (("output", "every"), 3, False),
        (("load", "adaptive"), {"min_step": 0.01}, False),
        (("solver",), {"scheme": "nested"}, False),
        (("load", "end"), 2.0, True),
        (("mesh", "size"), [1.0, 2.0, 4.0], True),
        (("physics",), "small_strain", True),
    ],
)
def test_only_what_changes_the_computation_is_refused(path, value, refused):
    case = copy.deepcopy(CASE)
    inner = case
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    difference = first_difference(Header(case, {}, {}), HEADER)
    assert (difference is not None) == refused
    if refused:
        assert difference.startswith(".".join(path))


def test_a_file_that_changed_under_its_name_is_refused(tmp_path):
    mesh = tmp_path / "part.msh"
    mesh.write_text("one")
    case = {"mesh": {"file": str(mesh)}, "rves": {"c": {"geometry": {"file": str(tmp_path / "none.msh")}}}}
    then = Header(case, file_digests(case), {})
    assert first_difference(Header(case, file_digests(case), {}), then) is None
    mesh.write_text("two")
    assert "part.msh" in first_difference(Header(case, file_digests(case), {}), then)


def test_the_header_survives_json():
    assert Header(**json.loads(json.dumps(HEADER._asdict()))) == HEADER
