"""Arrays in one .npz file: written whole or not at all, and read without trusting a byte of it.

The files are plain uncompressed .npz, which np.load takes too. There is never a pickle in them.
"""

import errno
import math
import os
import re
import struct
import textwrap
import zipfile
from contextlib import contextmanager

import numpy as np

from ..disk import (
    check_folder as check_folder,
    check_path as check_path,
    check_writable as check_writable,
    clear_leftovers as clear_leftovers,
    open_regular as open_regular,
    os_errors_as as os_errors_as,
    replacing as replacing,
    rewriting as rewriting,
    sync_folder as sync_folder,
    write_text as write_text,
)

KINDS = "biufcSU"                       # booleans, integers, floats, complex numbers, bytes, text
NAME = re.compile(r"[A-Za-z0-9_./-]+")
HEADER = re.compile(
    rb"\{'descr': '([<>|][%s]\d+)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n"
    % KINDS.encode())
# A zip file's last record: …, size and offset of the directory, the note's size.
END = struct.Struct("<4s4H2LH")
LONGEST_NOTE = 32                       # bytes; version 0.1 wrote one at the end of a sweep's files
DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, EOFError,
          MemoryError, RecursionError, NotImplementedError, RuntimeError, struct.error,
          zipfile.BadZipFile)           # seen on bad bytes


def write_arrays(path, arrays):
    """Write a dictionary of arrays to `path`, whole or not at all.

    The same content is the same bytes. Raises TypeError or ValueError on bad arguments, OSError
    with a sentence.
    """
    path = check_path("path", path)
    if not isinstance(arrays, dict):
        raise TypeError(f"arrays must be a dictionary of arrays, got {arrays!r}")
    for name, array in arrays.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"names of arrays must be letters, digits and . _ - / only, "
                             f"got {name!r}")
        if type(array) is not np.ndarray or array.dtype.kind not in KINDS or (
                not array.dtype.itemsize):
            got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else ""
            raise TypeError(f"array {name!r} must be a plain NumPy array of numbers or text, got "
                            f"{type(array).__name__} {got}".rstrip())
    with os_errors_as(f"cannot write {path}"), replacing(path) as stream:
        archive = zipfile.ZipFile(stream, "w")
        try:
            for name, array in arrays.items():
                member = zipfile.ZipInfo(f"{name}.npy")         # dated 1980, always
                member.create_system = 3
                with archive.open(member, "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(array, order="C"),
                                              version=(1, 0), allow_pickle=False)
            archive.close()
        except BaseException:
            archive.fp = None           # its end would raise, in place of an interrupt
            raise


def read_arrays(path):
    """The arrays that `write_arrays` wrote to `path`; ValueError if the file is anything else."""
    path = check_path("path", path)
    with os_errors_as(f"cannot read {path}"), open_regular(path) as stream, _damage_said(path):
        return _members(stream, *_end(stream))


def _members(stream, length, count):
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if len(members) != count < 2**16 - 1:
            raise ValueError(f"it should have {count} arrays and has {len(members)}")
        if len({member.filename for member in members}) < len(members):
            raise ValueError("two arrays have the same name")
        if any(m.compress_type != zipfile.ZIP_STORED or m.compress_size != m.file_size
               for m in members):
            raise ValueError("its arrays are compressed")
        if sum(member.file_size for member in members) > length:
            raise ValueError("its arrays are larger than the file")
        arrays = {}
        for member in members:
            if not member.filename.endswith(".npy"):
                raise ValueError(f"{member.filename!r} is not an array")
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = _array(file, member)
        return arrays


def _array(file, member):
    """One array; nothing is allocated before its header agrees with the bytes that are there."""
    start = file.read(10)                           # magic, version, length of the header
    header = file.read(int.from_bytes(start[8:], "little"))
    found = HEADER.fullmatch(header)
    if start[:8] != b"\x93NUMPY\x01\x00" or not found:
        raise ValueError(f"{member.filename!r} is not a plain array of numbers or text")
    dtype = np.dtype(found[1].decode())
    shape = tuple(int(size) for size in found[3].decode().split(",") if size.strip())
    size = math.prod(shape) * dtype.itemsize
    if not dtype.itemsize or size != member.file_size - len(start) - len(header):
        raise ValueError(f"the header of {member.filename!r} disagrees with its length")
    data = bytearray(size)
    if file.readinto(data) != size or file.read(1):  # reading past the end checks the CRC
        raise ValueError(f"{member.filename!r} ends too early")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if found[2] == b"True" else "C")


def _end(stream):
    """(length of the file, number of arrays) if it ends as it should, perhaps with a note."""
    length = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, length - END.size - LONGEST_NOTE))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if 0 <= at <= len(tail) - END.size:
        *_, count, size, offset, note = END.unpack_from(tail, at)
        # In a zip64 record: 4 GiB, or as many arrays.
        elsewhere = offset == 2**32 - 1 or count == 2**16 - 1
        whole = elsewhere or offset + size + END.size + note == length
        if whole and at + END.size + note == len(tail):
            return length, count
    raise ValueError("it has no end")


@contextmanager
def _damage_said(path):
    """What bad bytes raise becomes a ValueError with one sentence."""
    try:
        yield
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise                       # EINVAL is a seek to before the start
        why = textwrap.shorten(str(error) or type(error).__name__, 120)
        raise ValueError(f"{path} is damaged or not a file of plain arrays: {why}") from None
