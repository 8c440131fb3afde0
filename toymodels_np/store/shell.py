"""What a command owes to who typed it: errors in one line, an exit code, workers that end with it.

    0    done                             2    refused, with one line on stderr
    1    done, but some jobs failed       130, 143    Ctrl-C, SIGTERM: what is kept, how to go on
                                          141         who reads has read enough, as `head` does
"""

import argparse
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait

from tqdm import tqdm

from .. import early
from ..machine import memory

WORKER = 2**26                          # bytes of memory that a process takes for itself, at least
KNOWN_ERRORS = (ValueError, TypeError, OSError, ArithmeticError, RuntimeError, ImportError,
                MemoryError)


class Terminated(KeyboardInterrupt):
    """SIGTERM, which is to be as clean as Ctrl-C."""


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line and exit code 2."""

    def error(self, message):
        print(f"error: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)

    def parse_known_args(self, args=None, namespace=None):
        """As argparse's, but a command refuses what it does not know itself: its help says more."""
        if getattr(sys.stdout, "errors", "") == "strict":       # where a letter that it lacks would
            sys.stdout.reconfigure(errors="backslashreplace")   # be an error
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown


def exit_code(run, options):
    """The exit code of the command `run(options)`, which returns one or None for 0."""
    early.ready()
    with _terminable():
        try:
            code = run(options) or 0
            print(end="", flush=True)           # so that what fails now is said here
            return code
        except KeyboardInterrupt as interrupt:
            print(f"interrupted: {str(interrupt) or 'nothing was kept'}", file=sys.stderr)
            return 143 if isinstance(interrupt, Terminated) else 130
        except BrokenPipeError:
            return 141
        except KNOWN_ERRORS as error:
            said = " ".join(str(error).split()) or type(error).__name__
            print(f"error: {said}", file=sys.stderr)
            return 2
        finally:
            _drop_unwritten()


def _drop_unwritten():
    """What stdout cannot take is not tried again as Python ends, or that would be said twice."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _terminable():
    """SIGTERM raises Terminated inside, in the main thread and where nobody else handles it."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def terminate(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)           # one is enough
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class WorkerPool(ProcessPoolExecutor):
    """A pool that is stopped as a whole.

    Whoever cancels its futures one by one makes its own thread stumble over them when its workers
    are gone (before Python 3.12), so a sweep leaves that to `shutdown`.
    """

    stops_itself = True


@contextmanager
def worker_pool(workers):
    """None for one worker, else a pool of processes that leave Ctrl-C to this one.

    None of them outlives this process, however that ends. ValueError if they would not fit into the
    memory that is free.
    """
    memory("--workers", workers * WORKER)
    if workers == 1:
        yield None
        return
    pool = WorkerPool(workers, multiprocessing.get_context("spawn"), start_worker)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by workers that start now,
    try:
        for _ in range(workers):
            pool.submit(int)                                # one for each task while none is idle
    finally:
        signal.signal(signal.SIGINT, handler)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    pool.shutdown()


def start_worker():
    """What a worker process does first: it will end when its parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tqdm.set_lock(threading.RLock())    # that of all bars: its own would outlive who is stopped
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent):
    wait([parent.sentinel])
    os._exit(1)
