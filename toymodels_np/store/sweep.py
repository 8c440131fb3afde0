"""Any number of jobs on any executor, kept chunk by chunk: killed at any moment, it goes on.

A job is a plain dictionary that carries all that its result depends on, its seed too. A chunk of
jobs is one file under `out`, whole or absent, named by the hash of its jobs and of the code that
computed it: what is there need not be computed, and what other code has left is never used. Only
the process that calls `sweep` writes, so workers need no shared disk. Nothing here knows of
superposition.
"""

import json
import pickle
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from tqdm.auto import tqdm

from ..core import checks
from ..machine import check_executor
from . import chunks, files
from .crew import Crew, Task
from .source import identify

ORDER = "order.txt"             # the chunks of the last sweep that ended, one name a line
MARKS = "code-*.json"           # the code of each function's last sweep, by the hash of its name


class RunsFailed(RuntimeError):
    """Some jobs failed where all are needed; the others are kept."""


@dataclass(frozen=True)
class SweepReport:
    """What a sweep did.

    jobs : given        computed : of these, now        found : of these, done before
    failed : now or before                              out : the folder
    unused : results of other code for the same chunks of jobs, which were not used
    damaged : files that were there and could not be read, and were computed anew
    """

    jobs: int
    computed: int
    found: int
    failed: int
    out: Path
    unused: int = 0
    damaged: int = 0

    def __str__(self):
        text = (f"{self.jobs} job{'s' * (self.jobs != 1)} in {self.out}: "
                f"{self.computed} computed now, {self.found} found there")
        if self.unused:
            they = ("result of other code is there and was" if self.unused == 1 else
                    "results of other code are there and were")
            text += f"; {self.unused} {they} not used"
        if self.damaged:
            they = "file was" if self.damaged == 1 else "files were"
            text += f"; {self.damaged} damaged {they} computed anew"
        if self.failed:
            text += (f"; {self.failed} failed, and the columns 'error' and 'traceback' of "
                     f"load_sweep say why; the same sweep with retry_failed=True runs only those "
                     f"again")
        return text


def sweep(function, jobs, out, *, executor=None, chunk=1, progress=None, retry_failed=False,
          version=None):
    """Compute function(job) for every job whose result is not under `out` yet, and keep it there.

    Parameters
    ----------
    function : takes a job and returns a dictionary of numbers, strings and arrays. A job that
        raises, or that kills its process, is recorded as failed, and the others go on.
    jobs : an iterable of plain JSON-able dictionaries; a generator is read no further than work
        has come
    out : folder, made if it is missing; what other sweeps left there stays
    executor : None or any concurrent.futures.Executor, such as a process pool or Dask's
        client.get_executor()
    chunk : int, jobs to a file and to a task; with another chunk or another order, jobs are
        computed again
    progress : True, False, or None for a bar once two seconds have passed, where somebody looks
    retry_failed : whether to run the jobs that failed earlier again
    version : a string that stands for the function's code, for those who know when its results
        change. None takes the source: the function's file, the files that it imports from beside
        it, from this package and from folders of `sys.path` such as PYTHONPATH's, its defaults and
        the plain numbers and strings that it names; what is installed does not count.
        Lambdas, closures and bound methods have no source that tells, and need a version.

    Returns a SweepReport, and warns if jobs failed. Results of other code are never used, and
    files that are damaged are computed again; the report counts both. Raises ValueError or
    TypeError on bad arguments, OSError when `out` cannot be written, RuntimeError when the
    executor breaks.
    """
    _check(function, jobs, executor, chunk, retry_failed)
    part = _Part(function, jobs, out, chunk, retry_failed, version)
    _run([part], executor, progress)
    report = part.report()
    if not report.jobs:
        raise ValueError("jobs must hold at least one job, got none")
    if report.failed:
        warnings.warn(str(report), RuntimeWarning, stacklevel=2)
    return report


def sweep_rows(parts, *, executor=None, progress=None):
    """Several sweeps at once, on one executor: a list of (SweepReport, rows), one for each.

    parts : list of (function, jobs, out); jobs that failed earlier are run again
    rows are (job, outcome), two dictionaries, in the order of the jobs. Raises RunsFailed with the
    first reason if any job failed, when all are done.
    """
    for function, jobs, _ in parts:
        _check(function, jobs, executor, 1, True)
    parts = [_Part(function, jobs, out, 1, True, None) for function, jobs, out in parts]
    _run(parts, executor, progress)
    found = [(part.report(), part.rows()) for part in parts]
    errors = [outcome["error"] for _, rows in found for _, outcome in rows if "error" in outcome]
    if errors:
        total = sum(len(rows) for _, rows in found)
        raise RunsFailed(f"{len(errors)} of {total} runs failed, the first with {errors[0]}")
    return found


def _run(parts, executor, progress):
    """Do what is missing of all parts."""
    known = all(hasattr(part.jobs, "__len__") for part in parts)
    total = sum(len(part.jobs) for part in parts) if known else None
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part)
        bar = stack.enter_context(
            tqdm(total=total, unit="job", desc="sweep", **checks.progress(progress)))
        crew = stack.enter_context(Crew(executor, bar.update, parts[0].out))
        for part in parts:
            for task in part.missing(bar.update):
                crew.submit(task)
        crew.finish()
        for part in parts:
            part.end()


class _Part:
    """One function over its jobs in one folder; a context, since it keeps a list on the disk."""

    def __init__(self, function, jobs, out, chunk, retry_failed, version):
        self.function, self.jobs, self.chunk = function, jobs, chunk
        self.retry_failed = retry_failed
        self.name, self.code = identify(function, version)
        self.out = files.check_path("out", out)
        self.counts = Counter()
        self.others = {}                # folder: how many files there do each work
        self.order = None               # a file, once it is sure to be closed

    def __enter__(self):
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.out).close()
            for folder in [self.out, *(path for path in self.out.iterdir() if len(path.name) == 2)]:
                files.clear_leftovers(folder)
        return self

    def __exit__(self, *_):
        if self.order is not None:
            self.order.close()

    def missing(self, advance):
        """A Task for each chunk that is not there as a whole; `advance` hears of the rest."""
        self.order = tempfile.SpooledTemporaryFile(2**20)
        texts = (chunks.job_text(index, job) for index, job in enumerate(self.jobs))
        while batch := list(islice(texts, min(self.chunk, sys.maxsize))):
            if not self.counts:
                self._mark()
            work = chunks.work_text(self.name, batch)
            path = chunks.path(self.out, work, self.code)
            self.order.write(f"{path.stem}\n".encode())
            outcomes = self._found(path, len(batch))
            rows = [row for row, outcome in enumerate(outcomes) if outcome is None]
            self.counts.update(
                jobs=len(batch),
                failed=sum("error" in outcome for outcome in outcomes if outcome is not None),
            )
            advance(len(batch) - len(rows))
            if rows:
                self.counts.update(unused=len(batch) * self._other_code(path))
                yield Task(self.function, [batch[row] for row in rows],
                           self._keep, (path, work, outcomes, rows))

    def _found(self, path, size):
        """The outcomes that are kept at `path`: None for each job to run."""
        try:
            outcomes = chunks.read(path).outcomes
        except (FileNotFoundError, NotADirectoryError):
            return [None] * size
        except ValueError:                                      # damaged: all of it again
            self.counts.update(damaged=1)
            return [None] * size
        again = self.retry_failed
        return [None if again and "error" in outcome else outcome for outcome in outcomes]

    def _other_code(self, path):
        """Whether other code has done the work of the chunk at `path`."""
        if path.parent not in self.others:
            stems = (other.stem for other in path.parent.glob("*.npz"))
            self.others[path.parent] = Counter(stem.partition("-")[0] for stem in stems)
        return self.others[path.parent][path.stem.partition("-")[0]] > path.is_file()

    def _keep(self, done, path, work, outcomes, rows):
        """Write a chunk when its missing outcomes are `done`."""
        for row, outcome in zip(rows, done, strict=True):
            outcomes[row] = outcome
        with writing(self.out):
            if not path.parent.is_dir():
                path.parent.mkdir(exist_ok=True)
                files.sync_folder(self.out)
            chunks.write(path, work, self.code, outcomes)
        self.counts.update(computed=len(rows), failed=sum("error" in outcome for outcome in done))

    def _mark(self):
        """Say that from now on this code is the function's newest."""
        mark = self.out / MARKS.replace("*", blake2b(self.name.encode(), digest_size=8).hexdigest())
        text = json.dumps({"function": self.name, "code": self.code})
        with writing(self.out):
            if not mark.is_file() or mark.read_bytes() != text.encode():        # it may be damaged
                files.write_text(mark, text)

    def end(self):
        """Keep the order of the jobs."""
        if self.counts:
            self.order.seek(0)
            with writing(self.out), files.replacing(self.out / ORDER) as stream:
                shutil.copyfileobj(self.order, stream)

    def report(self):
        """The SweepReport."""
        counts = self.counts
        return SweepReport(counts["jobs"], counts["computed"], counts["jobs"] - counts["computed"],
                           counts["failed"], self.out, counts["unused"], counts["damaged"])

    def rows(self):
        """(job, outcome) for each job, in order, from the files."""
        texts = [chunks.job_text(index, job) for index, job in enumerate(self.jobs)]
        paths = [chunks.path(self.out, chunks.work_text(self.name, [text]), self.code)
                 for text in texts]
        return [(json.loads(text), chunks.read(path).outcomes[0])
                for text, path in zip(texts, paths, strict=True)]


def load_sweep(out, *, function=None, other_code=False):
    """All finished jobs under `out`, one row each, as a dictionary of 1-D arrays, the columns.

    function : None for all functions that were swept there, or the name of one, as in the column
    other_code : whether to show results of the functions' earlier code, too; the column "function"
        says which. Without it each function's newest code counts alone, that of its last sweep.

    Columns are the keys of the jobs, those of the results, "function", "error" ("" unless the job
    failed) and "traceback"; pandas.DataFrame takes them as they are. Numbers are typed columns;
    text, arrays, and numbers without a common type that holds them exactly are object columns.
    Where a job has no value, a column of floats has NaN, an object column None. Rows are in the
    order of the last sweep that ended here, then come the jobs that it did not name. Raises
    OSError, or ValueError if a file is damaged or there is none.
    """
    rows = load_rows(out, function=function, other_code=other_code)
    job_keys = {key for job, _ in rows for key in job}
    keys = {key for _, outcome in rows for key in outcome}
    names = [*sorted(job_keys), *sorted(keys - job_keys - {*chunks.RESERVED})]
    rows = [outcome | job for job, outcome in rows]
    table = {name: chunks.column([row.get(name) for row in rows]) for name in names}
    return table | {name: chunks.column([row.get(name, "") for row in rows])
                    for name in chunks.RESERVED}


def load_rows(out, *, function=None, other_code=False):
    """What `load_sweep` makes columns of: a list of (job, outcome), two dictionaries.

    Each outcome has its "function"; failures have an "error".
    """
    out = files.check_path("out", out)
    if not isinstance(function, (str, type(None))):
        raise TypeError(f"function must be None or a name, got {function!r}")
    if not isinstance(other_code, bool):
        raise TypeError(f"other_code must be True or False, got {other_code!r}")
    with files.os_errors_as(f"cannot read {out}"):
        folders = sorted(path for path in out.iterdir() if len(path.name) == 2)
        paths = {path.stem: path for folder in folders for path in sorted(folder.glob("*.npz"))}
        order = _order(out)
        newest = _newest(out)
    rows, seen = {}, {}
    for stem in dict.fromkeys([*(stem for stem in order if stem in paths), *paths]):
        name, code, jobs, outcomes = chunks.read(paths[stem])
        if function not in (None, name) or not other_code and newest.get(name, code) != code:
            continue
        seen.setdefault(name, set()).add(code)
        said = f"{name} [{code or 'toymodels_np 0.1'}]" if other_code else name
        for job, outcome in zip(jobs, outcomes, strict=True):
            same = name, code, chunks.canonical(job)    # in two files, where chunks were cut
            if same not in rows or "error" in rows[same][1]:                    # otherwise
                rows[same] = job, outcome | {"function": said}
    mixed = next((name for name, codes in seen.items() if len(codes) > 1), None)
    if mixed and not other_code:
        raise ValueError(f"{out} has results of {mixed} by several codes, and the file that says "
                         f"which is the newest is gone: run the sweep again, or load with "
                         f"other_code=True")
    if not rows:
        raise ValueError(f"{out} holds no finished job of a sweep"
                         f"{'' if function is None else f' of {function}'}")
    return list(rows.values())


def _order(out):
    path = out / ORDER
    return path.read_text("ascii", "replace").split() if path.is_file() else []


def _newest(out):
    """{function: the code of its last sweep}, as the marks say; one that cannot be read is none."""
    newest = {}
    for path in sorted(out.glob(MARKS)):
        try:
            mark = json.loads(path.read_text("utf-8", "replace"))
            newest[str(mark["function"])] = str(mark["code"])
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return newest


@contextmanager
def writing(out):
    """An OSError inside says what stays."""
    with files.os_errors_as(f"cannot write to {out}, where what is finished stays and the same "
                            f"sweep can go on later"):
        yield


def _check(function, jobs, executor, chunk, retry_failed):
    """TypeError or ValueError unless all arguments are good."""
    try:
        if isinstance(jobs, (dict, str, bytes)):
            raise TypeError
        iter(jobs)
    except TypeError:
        raise TypeError(f"jobs must be an iterable of dictionaries, got {jobs!r}") from None
    check_executor(executor)
    checks.integer("chunk", chunk)
    if not isinstance(retry_failed, bool):
        raise TypeError(f"retry_failed must be True or False, got {retry_failed!r}")
    if isinstance(executor, ProcessPoolExecutor) and callable(function):
        try:
            pickle.dumps(function)
        except Exception as error:
            name = getattr(function, "__qualname__", function)
            raise TypeError(f"function must stand at the top of a module, where worker processes "
                            f"find it by its name, got {name}: {error}") from None
    if isinstance(jobs, (list, tuple)):                         # others may be read only once
        for index, job in enumerate(jobs):
            chunks.job_text(index, job)
