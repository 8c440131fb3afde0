"""Files of arrays: what is written comes back to the bit, whole or not at all; bad bytes say so."""

import errno
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from toymodels_np import disk
from toymodels_np.store import files

ARRAYS = {
    "x": np.arange(6.0).reshape(2, 3),
    "transposed": np.arange(6, dtype=">i4").reshape(2, 3).T,
    "no": np.zeros((0, 3)),
    "scalar": np.array(-0.0),
    "text": np.array(["", "é\n"]),
    "nan": np.array([np.nan, 1], np.float32),
    "bytes": np.array([b"ab", b"\xff"]),
    "complex": np.array([1j]),
    "flags/0": np.array([True, False]),
    "half": np.array([6e-8], np.float16),
    "large": np.array([2**64 - 1], np.uint64),
}


def same(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes()
        for k in a
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.npz"


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


# -- what is written comes back -------------------------------------------------------------------

def test_a_round_trip_keeps_every_bit(path):
    files.write_arrays(path, ARRAYS)
    assert same(files.read_arrays(path), ARRAYS)
    assert names(path.parent) == ["a.npz"]
    with np.load(path, allow_pickle=False) as loaded:
        assert same(dict(loaded), ARRAYS)


@given(st.dictionaries(st.text("abcXYZ019._-/", min_size=1, max_size=9), hnp.arrays(
    hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.floating_dtypes()
    | hnp.complex_number_dtypes(),
    hnp.array_shapes(min_dims=0, min_side=0)), max_size=4))
def test_any_arrays_come_back(tmp_path_factory, arrays):
    path = tmp_path_factory.getbasetemp() / "drawn.npz"
    files.write_arrays(path, arrays)
    assert same(files.read_arrays(path), arrays)


def test_arrays_that_were_read_can_be_written_to(path):
    files.write_arrays(path, ARRAYS)
    for array in files.read_arrays(path).values():
        assert array.flags.writeable


def test_the_same_content_is_the_same_bytes(path):
    files.write_arrays(path, ARRAYS)
    first = path.read_bytes()
    files.write_arrays(str(path), {name: a.copy() for name, a in ARRAYS.items()})
    assert path.read_bytes() == first
    files.write_arrays(path, ARRAYS | {"scalar": np.array(0.0)})
    assert path.read_bytes() != first


def test_what_np_savez_wrote_can_be_read(path):
    np.savez(path, **ARRAYS)
    assert same(files.read_arrays(path), ARRAYS)


# -- whole or not at all --------------------------------------------------------------------------

@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_failed_write_leaves_the_old_file_and_no_other(path, monkeypatch, call, number):
    files.write_arrays(path, {"x": np.zeros(3)})
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError) as caught:
            files.write_arrays(path, ARRAYS)
    assert (
        str(caught.value) == f"cannot write {path}: {os.strerror(number)}"
        and caught.value.errno == number
    )
    assert names(path.parent) == ["a.npz"] and path.read_bytes() == before


def test_an_interrupted_write_leaves_no_file(path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            files.write_arrays(path, ARRAYS)
    assert names(path.parent) == []


def test_bytes_are_on_the_disk_before_the_name_is(path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (calls.append(("fsync", os.fstat(fd).st_size > 0)), fsync(fd))
    )
    monkeypatch.setattr(
        os, "replace", lambda a, b: (calls.append(("replace", os.path.exists(b))), replace(a, b))
    )
    files.write_arrays(path, ARRAYS)
    assert calls[:2] == [("fsync", True), ("replace", False)] and len(calls) == 3


@pytest.mark.parametrize("where, exception", [
    ("missing/a.npz", FileNotFoundError), ("file/a.npz", NotADirectoryError),
    ("folder", IsADirectoryError)])
def test_where_nothing_can_be_written_or_read(tmp_path, where, exception):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(exception, match="^cannot write .*: "):
        files.write_arrays(tmp_path / where, ARRAYS)
    with pytest.raises(exception, match="^cannot read .*: "):
        files.read_arrays(tmp_path / where)
    assert names(tmp_path) == ["file", "folder"]


# -- what is replaced, and what never -------------------------------------------------------------

def test_a_link_is_followed_and_modes_are_kept(tmp_path):
    target, link = tmp_path / "there" / "a.npz", tmp_path / "link.npz"
    target.parent.mkdir()
    files.write_arrays(target, {"x": np.zeros(3)})
    target.chmod(0o600)
    link.symlink_to(target)
    files.write_arrays(link, ARRAYS)
    assert link.is_symlink() and same(files.read_arrays(target), ARRAYS)
    assert target.stat().st_mode & 0o777 == 0o600 and names(tmp_path) == ["link.npz", "there"]
    assert names(target.parent) == ["a.npz"]


def test_a_link_to_nothing_makes_what_it_names(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "new.npz")
    files.write_arrays(tmp_path / "link", ARRAYS)
    assert (
        same(files.read_arrays(tmp_path / "new.npz"), ARRAYS) and (tmp_path / "link").is_symlink()
    )


def test_a_pipe_or_a_device_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    for path in (tmp_path / "pipe", tmp_path / "null"):
        before = path.stat().st_mode
        for write in (lambda: files.write_arrays(path, ARRAYS), lambda: files.write_text(path, "x"),
                      lambda: files.check_writable(path)):
            with pytest.raises(OSError, match="^cannot write .*: it is a device or a pipe"):
                write()
        assert path.stat().st_mode == before
    assert names(tmp_path) == ["null", "pipe"]


def test_one_of_two_hard_links_is_not_cut_off(tmp_path):
    files.write_arrays(tmp_path / "a", {"x": np.zeros(3)})
    os.link(tmp_path / "a", tmp_path / "b")
    with pytest.raises(OSError, match="2 names"):
        files.write_arrays(tmp_path / "b", ARRAYS)
    assert (tmp_path / "a").samefile(tmp_path / "b") and same(
        files.read_arrays(tmp_path / "a"), {"x": np.zeros(3)}
    )


def test_leftovers_go_and_what_is_being_written_stays(path):
    """Whatever their age says: a clock may be wrong, a lock is not."""
    left = path.with_name(f".{'0a' * 8}.tmp")
    left.write_bytes(b"half a file")
    other = path.with_name(".theirs.tmp")
    other.touch()
    with files.replacing(path) as stream:
        stream.write(b"half")
        os.utime(stream.name, (0, 0))
        files.clear_leftovers(path.parent)
        assert not left.exists() and os.path.exists(stream.name)
    assert path.read_bytes() == b"half" and names(path.parent) == [".theirs.tmp", "a.npz"]


def test_a_temporary_that_was_cleared_before_it_was_locked_is_made_again(path, monkeypatch):
    true, first = open, []

    def opened_and_cleared(name, mode):
        stream = true(name, mode)
        if not first:
            first.append(name)
            os.unlink(name)
        return stream

    monkeypatch.setattr(disk, "open", opened_and_cleared, raising=False)
    files.write_arrays(path, ARRAYS)
    assert first and same(files.read_arrays(path), ARRAYS)


def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    for where in ("missing/a", "file/a", "."):
        with pytest.raises(OSError, match="^cannot write "):
            files.check_writable(tmp_path / where)
    for where in ("file", "file/below"):
        with pytest.raises(OSError, match="^cannot write to "):
            files.check_folder(tmp_path / where)
    files.check_writable(tmp_path / "new")
    files.check_folder(tmp_path / "made" / "too")
    assert names(tmp_path) == ["file", "made"]


# -- bytes that are not a file of arrays ----------------------------------------------------------

def refused(path):
    with pytest.raises(ValueError) as caught:
        files.read_arrays(path)
    sentence = str(caught.value)
    assert type(caught.value) is ValueError and sentence.startswith(
        f"{path} is damaged or not a file of plain arrays"
    )
    assert "\n" not in sentence and len(sentence) < len(str(path)) + 200
    return sentence


SMALL = {"x": np.arange(3.0), "y": np.array(["ab"])}


def test_a_file_that_was_cut_anywhere_is_refused(path):
    files.write_arrays(path, SMALL)
    whole = path.read_bytes()
    for length in range(0, len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


def test_a_flipped_byte_is_refused_or_harmless(path):
    files.write_arrays(path, SMALL)
    whole = path.read_bytes()
    harmless = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1:])
        try:
            harmless += same(files.read_arrays(path), SMALL)        # a date, an attribute
        except ValueError:
            refused(path)
        else:
            assert same(files.read_arrays(path), SMALL), position
    assert harmless < len(whole) / 4


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_spliced_bytes_do_nothing_but_raise(tmp_path_factory, junk, start, stop):
    path = tmp_path_factory.getbasetemp() / "spliced.npz"
    files.write_arrays(path, SMALL)
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + junk + whole[stop:])
    try:
        files.read_arrays(path)
    except ValueError as error:
        assert str(path) in str(error)


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def npy(header, data=b""):
    header = header.encode() if isinstance(header, str) else header
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def member(descr="<f8", shape="(3,)", data=bytes(24), order="False"):
    return npy(f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n", data)


def archive(*members, **options):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as z:
        for index, data in enumerate(members):
            z.writestr(f"{index}.npy", data)
    return stream.getvalue()


def listed_twice(count):
    """One large member that the directory lists `count` times."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as z:
        z.writestr("0.npy", member(shape="(100000,)", data=bytes(800_000)))
        for index in range(1, count):
            copy = zipfile.ZipInfo(f"{index}.npy")
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(copy, field, getattr(z.infolist()[0], field))
            z.filelist.append(copy)
    return stream.getvalue()


HOSTILE = {
    "empty": (b"", "no end"),
    "text": (b"hello, world\n" * 100, "no end"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(1000), "no end"),
    "a bare .npy": (member(), "no end"),
    "a zip of text": (archive(b"hello"), "not a plain array"),
    "a foreign member": (archive(member()).replace(b"0.npy", b"0.txt"), "not an array"),
    "an empty member": (archive(b""), "not a plain array"),
    "compressed": (archive(member(), compression=zipfile.ZIP_DEFLATED), "compressed"),
    "a bomb": (
        archive(member(shape="(12500000,)", data=bytes(10**8)), compression=zipfile.ZIP_DEFLATED),
        "compressed",
    ),
    "one member a thousand times": (listed_twice(1000), "larger than the file"),
    "the same name twice": (archive(member(), member()).replace(b"1.npy", b"0.npy"), "same name"),
    "more than there is": (archive(member(shape="(4,)")), "disagrees"),
    "less than there is": (archive(member(shape="(2,)")), "disagrees"),
    "a shape beyond memory": (archive(member(shape="(1000000000000000,)")), "disagrees"),
    "a shape beyond 64 bits": (archive(member(shape="(99999999999999999999999,)")), "disagrees"),
    "nothing of a shape beyond 64 bits": (
        archive(member(shape="(0, 99999999999999999999999,)", data=b"")),
        "",
    ),
    "a hundred axes": (archive(member(shape=f"({'1, ' * 100})", data=bytes(8))), ""),
    "a negative shape": (archive(member(shape="(-3,)")), "not a plain array"),
    "a number of too many digits": (archive(member(shape=f"({'9' * 5000},)")), ""),
    "items of no bytes": (archive(member("|S0", "(1000000000000,)", b"")), "disagrees"),
    "items beyond memory": (archive(member("<U999999999999")), ""),
    "an impossible dtype": (archive(member("<f7")), "f7"),
    "objects": (archive(member("|O")), "not a plain array"),
    "dates": (archive(member("<M8[s]")), "not a plain array"),
    "records": (
        archive(
            npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }\n", bytes(24))
        ),
        "not a plain array",
    ),
    "an expression": (
        archive(npy("{'descr': __import__('os').getcwd(), }\n", bytes(24))),
        "not a plain",
    ),
    "a deep header": (archive(npy("(" * 9000)), "not a plain array"),
    "a header that is not there": (archive(b"\x93NUMPY\x01\x00\xff\xff{"), "not a plain array"),
    "another version": (
        archive(member().replace(b"\x01\x00", b"\x03\x00", 1)),
        "not a plain array",
    ),
    "a pickle": (archive(pickle.dumps({"a": 1})), "not a plain array"),
}


@pytest.mark.parametrize("data, word", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_get_a_sentence(path, data, word):
    path.write_bytes(data)
    assert word in refused(path)


def test_a_pickled_array_is_refused_and_nothing_runs(path):
    np.savez(path, x=np.array([Payload(path.parent / "made"), None], object))
    assert "not a plain array" in refused(path)
    assert names(path.parent) == ["a.npz"]
    np.load(path, allow_pickle=True)["x"]
    assert names(path.parent) == ["a.npz", "made"]          # the control: the payload works


# -- bad calls ------------------------------------------------------------------------------------

ONE = {"x": np.zeros(2)}


def write(*arguments):
    return files.write_arrays("a", *arguments)


CALLS = [
    (
        "write_arrays: a number for a path",
        lambda: files.write_arrays(3, ONE),
        TypeError,
        ["path", "3"],
    ),
    (
        "write_arrays: bytes for a path",
        lambda: files.write_arrays(b"a.npz", ONE),
        TypeError,
        ["path", "b'a.npz'"],
    ),
    (
        "write_arrays: None for a path",
        lambda: files.write_arrays(None, ONE),
        TypeError,
        ["path", "None"],
    ),
    (
        "write_arrays: an empty path",
        lambda: files.write_arrays("", ONE),
        ValueError,
        ["path", "empty"],
    ),
    (
        "write_arrays: a null character",
        lambda: files.write_arrays("a\0b", ONE),
        ValueError,
        ["path", "null"],
    ),
    ("write_arrays: a list", lambda: write([np.zeros(2)]), TypeError, ["arrays", "dictionary"]),
    ("write_arrays: a number", lambda: write({"x": 1.0}), TypeError, ["'x'", "array", "float"]),
    ("write_arrays: a nested list", lambda: write({"x": [1, 2]}), TypeError, ["'x'", "list"]),
    ("write_arrays: objects", lambda: write({"x": np.array([None])}), TypeError, ["'x'", "object"]),
    (
        "write_arrays: dates",
        lambda: write({"x": np.array(["2020"], "M8[Y]")}),
        TypeError,
        ["datetime"],
    ),
    (
        "write_arrays: records",
        lambda: write({"x": np.zeros(2, "f8,i4")}),
        TypeError,
        ["'x'", "dtype"],
    ),
    (
        "write_arrays: a masked array",
        lambda: write({"x": np.ma.zeros(2)}),
        TypeError,
        ["MaskedArray"],
    ),
    (
        "write_arrays: a number for a name",
        lambda: write({1: np.zeros(2)}),
        ValueError,
        ["names", "1"],
    ),
    ("write_arrays: an empty name", lambda: write({"": np.zeros(2)}), ValueError, ["names", "''"]),
    ("write_arrays: a space in a name", lambda: write({"a b": np.zeros(2)}), ValueError, ["'a b'"]),
    (
        "read_arrays: a stream for a path",
        lambda: files.read_arrays(io.BytesIO()),
        TypeError,
        ["path", "BytesIO"],
    ),
    ("read_arrays: an empty path", lambda: files.read_arrays(""), ValueError, ["path", "empty"]),
    ("read_arrays: True for a path", lambda: files.read_arrays(True), TypeError, ["path", "True"]),
]


@pytest.mark.parametrize("function, exception, words", [row[1:] for row in CALLS],
                         ids=[row[0] for row in CALLS])
def test_a_bad_call_is_refused_with_a_sentence(tmp_path, monkeypatch, function, exception, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(exception) as caught:
        function()
    assert type(caught.value) is exception
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, f"{missing} not in {str(caught.value)!r}"
    assert names(tmp_path) == []
