"""An executor at work on the tasks of a sweep, and what becomes of them when its workers die.

A job that kills its process breaks a pool and takes its neighbours' work with it. Then all that was
in flight is run again, job by job, each in a process of its own: the killer is recorded as failed,
with its exit code, and the others finish.
"""

import json
import multiprocessing
import signal
import uuid
from collections.abc import Callable
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import suppress
from typing import NamedTuple

from ..interrupts import passed_on
from . import chunks

IN_FLIGHT = 512  # tasks that an executor holds at once, unless it says how many workers it has


class Task(NamedTuple):
    """Jobs of one chunk: `keep(outcomes, *chunk)` is called when they are done."""

    function: Callable
    texts: list
    keep: Callable
    chunk: tuple


class JobDied(RuntimeError):
    """A job ended its process."""


class Crew:
    """Runs tasks, never more at once than its executor can use, and keeps what comes out.

    executor : None or a concurrent.futures.Executor        advance : hears how many jobs are done
    out : where the results go, for sentences
    """

    def __init__(self, executor, advance, out):
        self.executor = _Here() if executor is None else executor
        self.workers = getattr(executor, "_max_workers", None)
        self.bound = 1 if executor is None else 4 * (self.workers or IN_FLIGHT // 4)
        self.advance, self.out = advance, out
        self.flight, self.suspects, self.own = {}, [], None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        """Cancel what is in flight; what is done is kept, unless it cannot be written."""
        if not getattr(self.executor, "stops_itself", False):
            for future in self.flight:
                future.cancel()
        if error is not None and not isinstance(error, OSError):
            for future, task in self.flight.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    self._keep(task, future.result())
        self.flight = {}
        if self.own is not None:
            self.own.shutdown(wait=error is None, cancel_futures=True)

    def submit(self, task):
        """Start a task, and wait until there is room for another one."""
        try:                                # a new ticket: Dask must not answer from an old task
            future = self.executor.submit(work, task.function, task.texts, uuid.uuid4().hex)
        except BrokenExecutor as error:
            self._recover(task, error)
        except CancelledError as error:
            raise self._broken() from error
        else:
            self.flight[future] = task
        while len(self.flight) >= self.bound:
            self._wait()

    def finish(self):
        """Wait for all tasks."""
        while self.flight:
            self._wait()
        suspects, self.suspects = self.suspects, None
        for task in suspects:               # one at a time: who kills now kills alone
            self.submit(task)
            while self.flight:
                self._wait()

    def _wait(self):
        for future in wait(self.flight, return_when=FIRST_COMPLETED).done:
            if future in self.flight:       # another one may have broken the pool, and taken it
                self._take(future)

    def _take(self, future):
        """Keep what a task returned; where the executor could not run it, a failure of each job."""
        task = self.flight.pop(future)
        try:
            outcomes = future.result()
        except BrokenExecutor as error:
            return self._recover(task, error)
        except CancelledError as error:
            raise self._broken() from error
        except Exception as error:
            if type(error).__name__ == "KilledWorker" and self.suspects is not None:
                return self.suspects.append(task)               # Dask blames neighbours, too
            outcomes = [chunks.failure(error)] * len(task.texts)
        self._keep(task, outcomes)

    def _keep(self, task, outcomes):
        task.keep(outcomes, *task.chunk)
        self.advance(len(outcomes))

    def _recover(self, task, error):
        """A pool has broken: run all that was in flight job by job, and go on with a new pool."""
        if not isinstance(self.executor, ProcessPoolExecutor):
            raise self._broken() from error
        flight, self.flight = self.flight, {}
        suspects = [task]
        for future, other in flight.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                self._keep(other, future.result())
            else:
                suspects.append(other)
        broken = self.executor
        context = getattr(broken, "_mp_context", None) or multiprocessing.get_context("spawn")
        start = getattr(broken, "_initializer", None), getattr(broken, "_initargs", ())
        with _Lonely(context, start) as worker:
            for suspect in suspects:
                outcomes = [worker.run(suspect.function, text) for text in suspect.texts]
                if None in outcomes:
                    raise self._broken() from error
                self._keep(suspect, outcomes)
        if self.own is not None:
            self.own.shutdown(wait=False)
        kind = type(broken) if getattr(broken, "stops_itself", False) else ProcessPoolExecutor
        self.executor = self.own = kind(self.workers, context, *start)

    def _broken(self):
        return RuntimeError(
            f"the executor broke: its workers were killed, ran out of memory or cannot import the "
            f"function (one from a notebook, say); finished chunks in {self.out} are kept, and the "
            f"same sweep with a new executor goes on from there")


class _Here(Executor):
    """Runs a task when it is submitted."""

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def work(function, texts, ticket):
    """In the worker: the outcome of each job, which gets a copy that is its own."""
    outcomes = []
    for text in texts:
        with passed_on():               # half a search is none for a sweep, which would keep it
            try:
                outcomes.append(chunks.success(json.loads(text), function(json.loads(text))))
            except (Exception, SystemExit) as error:
                outcomes.append(chunks.failure(error))
    return outcomes


class _Lonely:
    """A process that runs one job at a time, and another in its place when a job ends it."""

    def __init__(self, context, start):
        self.context, self.start, self.process, self.line = context, start, None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.line.close()
            self.process.kill()
            self.process.join()
            self.process = None

    def run(self, function, text):
        """The job's outcome, a failure if it ended the process; None if that could not begin it."""
        if self.process is None:
            self.line, theirs = self.context.Pipe()
            self.process = self.context.Process(target=_work_alone, args=(theirs, self.start))
            self.process.start()
            theirs.close()
        received = []
        with suppress(EOFError, ConnectionError):
            self.line.send((function, text))
            while len(received) < 2:
                received.append(self.line.recv())
        if len(received) == 2:
            return received[1]
        self.process.join()
        code = self.process.exitcode
        self.__exit__()
        if not received:
            return None
        return chunks.failure(JobDied(f"the job ended its process, {_said(code)}"))


def _work_alone(line, start):
    """In that process: the jobs that come, until nobody sends any more."""
    initializer, arguments = start
    if initializer is not None:
        initializer(*arguments)
    with suppress(EOFError):
        while True:
            function, text = line.recv()
            line.send("begun")
            line.send(work(function, [text], "")[0])


def _said(exitcode):
    if exitcode is not None and exitcode < 0:
        with suppress(ValueError):
            return f"exit code {exitcode} ({signal.Signals(-exitcode).name})"
    return f"exit code {exitcode}"
