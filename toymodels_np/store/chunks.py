"""What a sweep keeps: jobs as canonical JSON, their outcomes, and the file of a chunk of both.

An outcome is a dictionary of strings, NumPy scalars and arrays: what the job returned, or its
"error" and "traceback". A file's name has two parts, the hash of the work (the function's name and
the jobs) and that of the code which did it.
"""

import json
import traceback
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from . import files

FORMAT = 1                              # of the text that says the work; part of the files' names
FAILURE = ("error", "traceback")        # what a failed job has
RESERVED = ("function", *FAILURE)       # columns of the table, and no keys of a job or a result

HEALED = "delete it and run the sweep again"

NUMBERS = (bool, int, float, complex, np.number, np.bool_)
canonical = json.JSONEncoder(sort_keys=True, allow_nan=False, separators=(",", ":")).encode


def job_text(index, job):
    """The job as canonical JSON, else TypeError or ValueError."""
    if not isinstance(job, dict):
        raise TypeError(f"jobs must be dictionaries, job {index} is {job!r}")
    try:
        text = canonical(job)
        if json.loads(text) != job:
            raise TypeError("a tuple, or a key that is not a string, would come back as something "
                            "else")
    except (TypeError, ValueError, RecursionError) as error:
        raise (TypeError if isinstance(error, TypeError) else ValueError)(
            f"job {index} must hold only strings, finite numbers, True, False, None, lists and "
            f"dictionaries with string keys: {error}") from None
    if any(key in job for key in RESERVED):
        raise ValueError(f"job {index} must not have the key 'function', 'error' or 'traceback', "
                         f"which are columns of the table")
    return text


class Chunk(NamedTuple):
    """What is in a chunk file; `code` is "" in files of version 0.1, which do not say."""

    function: str
    code: str
    jobs: list
    outcomes: list


def work_text(function, texts):
    """What there is to do, as canonical JSON: the format, the function's name and the jobs."""
    return f'{{"format":{FORMAT},"function":{canonical(function)},"jobs":[{",".join(texts)}]}}'


def name(work, code):
    """The file's stem: 32 hexadecimal digits for the work and 16 for the code, if it is known."""
    parts = [blake2b(work.encode(), digest_size=16).hexdigest()]
    return "-".join(parts + [blake2b(code.encode(), digest_size=8).hexdigest()] * (code != ""))


def path(out, work, code):
    """Where under `out` the chunk is kept; 256 folders share the files."""
    stem = name(work, code)
    return out / stem[:2] / f"{stem}.npz"


def failure(error):
    """The outcome of a job that raised `error`."""
    return {"error": "".join(traceback.format_exception_only(error)).strip(),
            "traceback": "".join(traceback.format_exception(error))}


def success(job, result):
    """The outcome of a job that returned `result`, but for what that repeats of the job."""
    if not isinstance(result, dict):
        raise TypeError(f"function must return a dictionary, got {type(result).__name__}")
    outcome = {}
    for key, value in result.items():
        if not isinstance(key, str) or key in RESERVED:
            raise ValueError(f"keys of a result must be strings other than 'function', 'error' and "
                             f"'traceback', got {key!r}")
        value = _kept(key, value)
        if key not in job:
            outcome[key] = value
        elif isinstance(value, np.ndarray) or isinstance(job[key], (list, dict)) or (
                value != job[key]):
            raise ValueError(f"{key!r} is a key of the job, and the result has another value for "
                             f"it")
    return outcome


def _kept(key, value):
    """The value as it is kept under `key`, else TypeError."""
    if isinstance(value, str):
        return str(value)
    array = type(value) is np.ndarray
    if array and value.dtype.kind in files.KINDS and value.dtype.itemsize:
        return value.copy()                             # the function may write into it again
    if isinstance(value, NUMBERS) and np.asarray(value).dtype.kind in files.KINDS:
        return np.asarray(value)[()]
    got = f"array of dtype {value.dtype}" if array else type(value).__name__
    raise TypeError(f"a result must be a string, a number of at most 64 bits or a NumPy array of "
                    f"numbers or text, got {got} for {key!r}")


def write(path, work, code, outcomes):
    """Write the chunk file of this work; values of one key, kind, dtype and shape lie together."""
    blocks = {}
    for row, outcome in enumerate(outcomes):
        for key, value in outcome.items():
            kind = ("text",) if isinstance(value, str) else (
                type(value) is np.ndarray, value.dtype, value.shape)
            rows, values = blocks.setdefault((key, *kind), ([], []))
            rows.append(row)
            values.append(value)
    columns, arrays = [], {}
    for index, ((key, kind, *dtype), (rows, values)) in enumerate(blocks.items()):
        if kind == "text":              # a text array would lose null characters at the end
            columns.append([key, rows, "text", values])
        else:
            columns.append([key, rows, "array" if kind else "scalar", str(index)])
            together = np.stack if kind else np.array
            arrays[str(index)] = together(values, dtype=dtype[0])
    head = {"jobs": work, "code": code, "columns": json.dumps(columns)}
    arrays = {name: np.frombuffer(text.encode(), np.uint8) for name, text in head.items()} | arrays
    files.write_arrays(path, arrays | {"digest": _digest(arrays)})


def _digest(arrays):
    """16 bytes that change when any array's name, type, shape or value does."""
    hashed = blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        hashed.update(f"{name} {array.dtype.str} {array.shape};".encode() + array.tobytes())
    return np.frombuffer(hashed.digest(), np.uint8)


def read(path):
    """The Chunk in a file; ValueError with a sentence if a bit of it is not as it was written."""
    try:
        arrays = files.read_arrays(path)
    except ValueError as error:
        raise ValueError(f"{error}; {HEALED}") from None
    try:
        old = "code" not in arrays      # version 0.1 wrote no code and no digest
        if not old and arrays.pop("digest").tobytes() != _digest(arrays).tobytes():
            raise ValueError("its digest is not that of its content")
        code = "" if old else arrays["code"].tobytes().decode()
        work = arrays["jobs"].tobytes().decode()
        if name(work, code) != path.stem:
            raise ValueError("its name is not that of its jobs")
        chunk = json.loads(work)
        outcomes = [{} for _ in chunk["jobs"]]
        for key, rows, kind, values in json.loads(arrays["columns"].tobytes()):
            if kind == "array":
                values = [arrays[values][i, ...] for i in range(len(rows))]
            elif kind == "scalar":
                values = list(arrays[values])
            for row, value in zip(rows, values, strict=True):
                outcomes[row][key] = value
        return Chunk(chunk["function"], code, chunk["jobs"], outcomes)
    except files.DAMAGE as error:
        raise ValueError(f"{path} is not a chunk of a sweep ({error}); {HEALED}") from None


def column(values):
    """The values as an array: typed if numbers of a common type that holds each, else objects."""
    kinds = {type(value) for value in values} - {type(None)}
    gaps = any(value is None for value in values)
    if kinds and all(issubclass(kind, NUMBERS) for kind in kinds):
        dtype = np.result_type(*(np.int64 if kind is int else np.dtype(kind) for kind in kinds))
        if not gaps or dtype.kind in "fc":
            try:
                typed = np.array([np.nan if value is None else value for value in values], dtype)
                pairs = zip(typed.tolist(), map(_python, values))
                if len(kinds) == 1 or all(b is None or a == b or a != a for a, b in pairs):
                    return typed
            except OverflowError:                               # an integer beyond 64 bits
                pass
    objects = np.empty(len(values), object)
    for row, value in enumerate(values):
        objects[row] = _python(value)
    return objects


def _python(value):
    return value.item() if isinstance(value, np.generic) else value
