"""One file on the disk: found fit before the work, written whole or not at all, read if it is one.

Devices, pipes, links and files of several names stay what they are.
"""

import errno
import os
import secrets
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:                     # on Windows
    fcntl = None


def check_path(name, value):
    """`value` as a Path, else TypeError or ValueError."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str):
        raise TypeError(f"{name} must be a path (str or pathlib.Path), got {value!r}")
    if "\0" in os.fspath(value) or not os.fspath(value):
        raise ValueError(f"{name} must be a path that is not empty and has no null character, "
                         f"got {value!r}")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be a path that can be encoded, got {value!r}") from None
    return Path(value)


@contextmanager
def os_errors_as(sentence):
    """An OSError inside keeps its type and errno and reads "`sentence`: what the system says"."""
    try:
        yield
    except OSError as error:
        told = type(error)(f"{sentence}: {os.strerror(error.errno) if error.errno else error}")
        told.errno = error.errno
        raise told from error


@contextmanager
def replacing(path):
    """A binary stream that takes the place of the file `path` when the block ends, if it does well.

    Links are followed and modes are kept. OSError where `path` is a device, a pipe, or one of
    several hard links to a file: replacing one of them would cut it off.
    """
    path = Path(os.path.realpath(path))
    mode = _replaceable(path)
    stream = _temporary(path.parent)
    try:
        with stream:
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(stream.name, path)  # while it is locked: then nobody clears it away
    except BaseException:
        with suppress(OSError):
            os.unlink(stream.name)
        raise
    sync_folder(path.parent)


def _replaceable(path):
    """The mode of the file at `path`, None if there is none; OSError if it must stay."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is a device or a pipe, and only regular files are replaced")
    if status.st_nlink > 1:
        raise OSError(f"it has {status.st_nlink} names (hard links), and only one of them would be "
                      f"replaced")
    return stat.S_IMODE(status.st_mode)


def _temporary(folder):
    """A new file in `folder`, locked until it is closed: `clear_leftovers` leaves it alone."""
    while True:
        stream = open(folder / f".{secrets.token_hex(8)}.tmp", "xb")
        if _lock(stream) is not False and os.fstat(stream.fileno()).st_nlink:
            return stream
        stream.close()  # it was cleared away before it was locked


def _lock(stream):
    """Whether the lock on the file could be had: True or False; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def clear_leftovers(folder):
    """Remove what killed processes have left in `folder`; what is being written now stays."""
    for path in folder.glob(f".{'[0-9a-f]' * 16}.tmp"):
        with (
            suppress(OSError),
            open(path, "rb") as stream,
        ):  # another process may have just finished or removed it
            if _lock(stream):
                path.unlink()


def check_writable(path):
    """OSError with a sentence, before the work, if `path` could not be written after it."""
    path = check_path("path", path)
    with os_errors_as(f"cannot write {path}"):
        real = Path(os.path.realpath(path))
        _replaceable(real)
        if not real.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {real.parent}")
        tempfile.TemporaryFile(dir=real.parent).close()


def check_folder(path):
    """Make the folder `path` if it is missing; OSError if nothing can be written there."""
    path = check_path("path", path)
    with os_errors_as(f"cannot write to {path}"):
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()


@contextmanager
def rewriting(path):
    """`replacing` for a file of the reader's: what killed processes left beside it goes, and an
    OSError is a sentence.
    """
    path = check_path("path", path)
    clear_leftovers(path.parent)
    with os_errors_as(f"cannot write {path}"), replacing(path) as stream:
        yield stream


def write_text(path, text):
    """Write a text file in UTF-8, whole or not at all; OSError with a sentence."""
    with rewriting(path) as stream:
        stream.write(text.encode("utf-8"))


def sync_folder(folder):
    """Ask the disk to keep the names in `folder`."""
    with suppress(OSError):  # not every system can, and the files themselves are safe
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_regular(path):
    """The file at `path`, to read; OSError where it is a device or a pipe, which may never end."""
    if not stat.S_ISREG(mode := os.stat(path).st_mode) and not stat.S_ISDIR(mode):
        raise OSError("it is a device or a pipe, and no file")
    return open(path, "rb")
