"""Any number of jobs on any executor, kept chunk by chunk: killed at any moment, a sweep goes on where it was.

A job is a plain dictionary that carries all that its result depends on, its seed too. A chunk of jobs is one file under
`out`, whole or absent, named by the hash of its jobs and of the function's name: what is there need not be computed.
Only the process that calls `sweep` writes, so workers need no shared disk. Nothing here knows of superposition.
"""

import json
import pickle
import shutil
import tempfile
import time
import uuid
import warnings
from collections import Counter
from concurrent.futures import (FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor,
                                wait)
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from ..core import checks
from . import chunks, files

IN_FLIGHT = 512                         # chunks that an executor holds at once, unless it tells how many workers it has
ORDER = "order.txt"                     # the chunks of the last sweep that ended, one name a line
HOUR = 3600                             # seconds after which nobody writes a temporary file any more


@dataclass(frozen=True)
class SweepReport:
    """What a sweep did: jobs given, of these computed now and found done; how many of them failed, now or before."""

    jobs: int
    computed: int
    found: int
    failed: int
    out: Path

    def __str__(self):
        text = f"{self.jobs} jobs in {self.out}: {self.computed} computed now, {self.found} found there"
        if self.failed:
            text += (f"; {self.failed} failed, and the columns 'error' and 'traceback' of load_sweep say why; the same "
                     f"sweep with retry_failed=True runs only those again")
        return text


def sweep(function, jobs, out, *, executor=None, chunk=1, progress=None, retry_failed=False):
    """Compute function(job) for every job whose result is not under `out` yet, and keep each finished chunk there.

    Parameters
    ----------
    function : takes a job and returns a dictionary of numbers, strings and arrays. It goes by its module and name:
        after editing it, sweep into another `out`. A job that raises is recorded, and the others go on.
    jobs : an iterable of plain JSON-able dictionaries; a generator is read no further than work has come
    out : folder, made if it is missing; what other sweeps left there stays
    executor : None or any concurrent.futures.Executor, such as a process pool or Dask's client.get_executor()
    chunk : int, jobs to a file and to a task; with another chunk or another order, jobs are computed again
    progress : True, False, or None for a bar on a terminal once two seconds have passed
    retry_failed : whether to run the jobs that failed earlier again

    Returns a SweepReport, and warns if jobs failed. Files that were cut short are computed again. Raises ValueError or
    TypeError on bad arguments, OSError when `out` cannot be written, RuntimeError when the executor breaks.
    """
    name = _check(function, jobs, executor, chunk, progress, retry_failed)
    out = files.check_path("out", out)
    _prepare(out)
    bound = 1 if executor is None else 4 * (getattr(executor, "_max_workers", None) or IN_FLIGHT // 4)
    executor = executor or _Here()
    counts = Counter()
    flight = {}                                                     # future: (path, text, outcomes, rows in work)

    def keep(futures):
        for future in futures:
            path, text, outcomes, rows = flight.pop(future)
            for row, outcome in zip(rows, _outcomes(future, len(rows), out), strict=True):
                outcomes[row] = outcome
            with _writing(out):
                if not path.parent.is_dir():
                    path.parent.mkdir(exist_ok=True)
                    files.sync_folder(out)
                chunks.write(path, text, outcomes)
            counts.update(computed=len(rows), failed=sum("error" in outcome for outcome in outcomes))
            bar.update(len(rows))

    total = len(jobs) if hasattr(jobs, "__len__") else None
    with (tempfile.SpooledTemporaryFile(2**20) as order,
          tqdm(total=total, unit="job", desc="sweep", **checks.progress(progress)) as bar):
        try:
            texts = (chunks.job_text(index, job) for index, job in enumerate(jobs))
            while batch := list(islice(texts, chunk)):
                text = chunks.chunk_text(name, batch)
                path = chunks.path(out, text)
                order.write(f"{path.stem}\n".encode())
                outcomes, failed = _found(path, len(batch), retry_failed)
                rows = [row for row, outcome in enumerate(outcomes) if outcome is None]
                counts.update(jobs=len(batch), failed=failed)
                bar.update(len(batch) - len(rows))
                if not rows:
                    continue
                with _breaking(out):                                # new ticket: Dask must not answer from an old task
                    future = executor.submit(_work, function, [batch[row] for row in rows], uuid.uuid4().hex)
                flight[future] = path, text, outcomes, rows
                while len(flight) >= bound:
                    keep(wait(flight, return_when=FIRST_COMPLETED).done)
            while flight:
                keep(wait(flight, return_when=FIRST_COMPLETED).done)
        except BaseException as error:
            for future in flight:
                future.cancel()
            if not isinstance(error, OSError):                      # what is done is kept, unless it cannot be
                keep([f for f in flight if f.done() and not f.cancelled() and f.exception() is None])
            raise
        if not counts["jobs"]:
            raise ValueError("jobs must hold at least one job, got none")
        with _writing(out), files.replacing(out / ORDER) as stream:
            order.seek(0)
            shutil.copyfileobj(order, stream)

    report = SweepReport(counts["jobs"], counts["computed"], counts["jobs"] - counts["computed"], counts["failed"], out)
    if report.failed:
        warnings.warn(str(report), RuntimeWarning, stacklevel=2)
    return report


def load_sweep(out):
    """All finished jobs under `out`, one row each, as a dictionary of columns: 1-D arrays, ready for pandas.DataFrame.

    Columns are the keys of the jobs, those of the results, "error" ("" unless the job failed) and "traceback". Numbers
    are typed columns; text, arrays, and numbers without a common type that holds them exactly are object columns. Where
    a job has no value, a column of floats has NaN, an object column None. Rows are in the order of the last sweep that
    ended here, then come the jobs that it did not name. Raises OSError, or ValueError if a file is damaged or there is
    none.
    """
    rows = load_rows(out)
    job_keys = {key for job, _ in rows for key in job}
    keys = {key for _, outcome in rows for key in outcome}
    names = [*sorted(job_keys), *sorted(keys - job_keys - {*chunks.FAILURE})]
    rows = [outcome | job for job, outcome in rows]
    table = {name: chunks.column([row.get(name) for row in rows]) for name in names}
    return table | {name: chunks.column([row.get(name, "") for row in rows]) for name in chunks.FAILURE}


def load_rows(out):
    """What `load_sweep` makes columns of: a list of (job, outcome), two dictionaries; failures have an "error"."""
    out = files.check_path("out", out)
    with files.os_errors_as(f"cannot read {out}"):
        folders = sorted(path for path in out.iterdir() if len(path.name) == 2)
        paths = {path.stem: path for folder in folders for path in sorted(folder.glob("*.npz"))}
        order = (out / ORDER).read_text("ascii", "replace").split() if (out / ORDER).is_file() else []
    rows = {}
    for stem in dict.fromkeys([*(stem for stem in order if stem in paths), *paths]):
        function, jobs, outcomes = chunks.read(paths[stem])
        for job, outcome in zip(jobs, outcomes):
            same = function, chunks.canonical(job)                  # in two files, where the chunks were cut otherwise
            if same not in rows or "error" in rows[same][1]:
                rows[same] = job, outcome
    if not rows:
        raise ValueError(f"{out} holds no finished job of a sweep")
    return list(rows.values())


def _work(function, texts, ticket):
    """In the worker: the outcome of each job, which gets a copy that is its own."""
    outcomes = []
    for text in texts:
        try:
            outcomes.append(chunks.success(json.loads(text), function(json.loads(text))))
        except (Exception, SystemExit) as error:
            outcomes.append(chunks.failure(error))
    return outcomes


class _Here(Executor):
    """Runs a task when it is submitted."""

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def _found(path, size, retry_failed):
    """(outcomes, failures) that are kept at `path`: None for each job to run, () if there is none."""
    failed = chunks.failures(path)
    if failed is None:
        return [None] * size, 0
    if not (failed and retry_failed):
        return (), failed
    try:
        return [None if "error" in outcome else outcome for outcome in chunks.read(path)[2]], 0
    except ValueError:                                              # damaged: all of it again
        return [None] * size, 0


def _outcomes(future, size, out):
    """What the task returned; where the executor could not run it, a failure of each of its jobs."""
    with _breaking(out):
        try:
            return future.result()
        except (BrokenExecutor, CancelledError):
            raise
        except Exception as error:
            return [chunks.failure(error)] * size


@contextmanager
def _breaking(out):
    try:
        yield
    except (BrokenExecutor, CancelledError) as error:
        raise RuntimeError(f"the executor broke: its workers were killed, ran out of memory or cannot import the "
                           f"function (one from a notebook, say); finished chunks in {out} are kept, and the same "
                           f"sweep with a new executor goes on from there") from error


def _writing(out):
    return files.os_errors_as(f"cannot write to {out}, where what is finished stays and the same sweep can go on later")


def _prepare(out):
    """Make the folder, see that it can be written, and remove what killed processes left half-written."""
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
        for folder in [out, *(path for path in out.iterdir() if len(path.name) == 2)]:
            for path in files.temporaries(folder):
                with suppress(FileNotFoundError):                   # another sweep has just finished it
                    if time.time() - path.stat().st_mtime > HOUR:
                        path.unlink()


def _check(function, jobs, executor, chunk, progress, retry_failed):
    """The function's name, if all arguments are good."""
    name = getattr(function, "__qualname__", None)
    if not callable(function) or not isinstance(name, str):
        raise TypeError(f"function must be a function with a name, since results are kept under it, got {function!r}")
    if isinstance(jobs, (dict, str, bytes)) or not hasattr(jobs, "__iter__"):
        raise TypeError(f"jobs must be an iterable of dictionaries, got {jobs!r}")
    if executor is not None and not isinstance(executor, Executor):
        hint = "; a Dask client has client.get_executor()" if hasattr(executor, "get_executor") else ""
        raise TypeError(f"executor must be None or a concurrent.futures.Executor, got {executor!r}{hint}")
    checks.integer("chunk", chunk)
    checks.progress(progress)
    if not isinstance(retry_failed, bool):
        raise TypeError(f"retry_failed must be True or False, got {retry_failed!r}")
    if isinstance(executor, ProcessPoolExecutor):
        try:
            pickle.dumps(function)
        except Exception as error:
            raise TypeError(f"function must stand at the top of a module, where worker processes find it by its "
                            f"name, got {name}: {error}") from None
    if isinstance(jobs, (list, tuple)):                             # other iterables may be read only once
        for index, job in enumerate(jobs):
            chunks.job_text(index, job)
    return f"{function.__module__}.{name}"
