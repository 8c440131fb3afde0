"""Runs of equal length on threads that end together."""

import multiprocessing
import os
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

import numpy as np


def count():
    """How many threads there are to use: the cores, or one in a worker, which has siblings."""
    return 1 if multiprocessing.parent_process() else os.cpu_count() or 1


def run_all(run, sizes, threads, start, stop, failed):
    """[run(i, None, stop) for each size] on `threads` threads; sizes are the runs' costs.

    Runs may be cut: run(i, None, turn) on one thread, and what it returns goes into run(i, that,
    stop) on another one. Calls failed() as soon as a run raises, so that the others may stop, and
    raises what it raised.
    """
    if threads == 1:                                        # here, where a GPU may have been chosen
        return [run(i, None, stop) for i in range(len(sizes))]
    turns = [start + cut for cut in cuts(sizes, threads, stop - start)]
    with ThreadPoolExecutor(threads) as pool:
        order = sorted(range(len(sizes)), key=lambda i: turns[i] == stop)  # shared runs begin first
        begun = {i: pool.submit(run, i, None, turns[i]) for i in order}
        ended = [begun[i] if turns[i] == stop
                 else pool.submit(lambda i=i: run(i, begun[i].result(), stop))
                 for i in range(len(sizes))]
        futures = [*begun.values(), *ended]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in filter(Future.done, futures):
                future.result()
            return [future.result() for future in ended]
        except BaseException:
            failed()
            pool.shutdown(cancel_futures=True)
            raise


def cuts(sizes, threads, steps):
    """After how many of its steps each run changes threads, `steps` for never: McNaughton's rule.

    Lay all runs on one line and give every thread an equal share of it. A run that crosses a border
    begins on the later thread, first thing, and ends on the earlier one, as its last: never on both
    at once, unless it is longer than a share.
    """
    sizes = np.asarray(sizes, float)
    share = max(sizes.sum() / threads, sizes.max())
    ends = np.cumsum(sizes)
    border = np.ceil(ends / share * (1 - 1e-12)) * share - share       # the last one before the end
    behind = np.round(steps * (ends - border) / sizes).astype(int)
    return np.where((0 < behind) & (behind < steps), behind, steps).tolist()
