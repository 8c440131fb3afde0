"""An executor at work on the tasks of a sweep, and what becomes of them when its workers die.

A job that kills its process breaks a pool and takes its neighbours' work with it. Then all that was
in flight is run again, job by job, each in a process of its own: the killer is recorded as failed,
with its exit code, and the others finish.
"""

import json
import multiprocessing
import signal
import uuid
from concurrent.futures import (FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future,
                                ProcessPoolExecutor, wait)
from contextlib import suppress
from typing import Callable, NamedTuple

from . import chunks

IN_FLIGHT = 512         # tasks that an executor holds at once, unless it says how many workers it has


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
        for suspect in suspects:
            self._keep(suspect, [self._alone(context, start, suspect.function, text)
                                 for text in suspect.texts])
        if self.own is not None:
            self.own.shutdown(wait=False)
        self.executor = self.own = ProcessPoolExecutor(self.workers, context, *start)

    def _alone(self, context, start, function, text):
        """The outcome of one job in a process of its own, even where the job ends that."""
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work_alone, args=(theirs, start, function, text))
        received = []
        try:
            process.start()
            theirs.close()
            with suppress(EOFError):
                while len(received) < 2:
                    received.append(ours.recv())
            process.join()
        finally:
            if process.pid is not None:
                process.kill()
                process.join()
            ours.close()
        if not received:                    # it ended before the job began
            raise self._broken()
        if len(received) == 2:
            return received[1]
        return chunks.failure(JobDied(f"the job ended its process, {_said(process.exitcode)}"))

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
        try:
            outcomes.append(chunks.success(json.loads(text), function(json.loads(text))))
        except (Exception, SystemExit) as error:
            outcomes.append(chunks.failure(error))
    return outcomes


def _work_alone(connection, start, function, text):
    initializer, arguments = start
    if initializer is not None:
        initializer(*arguments)
    connection.send("begun")
    connection.send(work(function, [text], "")[0])
    connection.close()


def _said(exitcode):
    if exitcode is not None and exitcode < 0:
        with suppress(ValueError):
            return f"exit code {exitcode} ({signal.Signals(-exitcode).name})"
    return f"exit code {exitcode}"
