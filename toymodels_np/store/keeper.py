"""An executor that keeps what its jobs return, so that long work goes on where it was killed."""

from concurrent.futures import Executor, Future

from ..core import checks
from ..machine import check_executor
from . import files
from .sweep import sweep_rows


class Keeper(Executor):
    """Runs jobs as `sweep` does: what is under a folder already is read, and not computed again.

    out : folder, made once there is something to keep
    executor : None or the concurrent.futures.Executor that does the work
    progress : True, False, or None for a bar once two seconds have passed, where somebody looks

    Functions stand at the top of a file, take one job, a plain JSON-able dictionary, and return a
    dictionary of numbers, strings and arrays. Results of other code are not used. Raises ValueError
    or TypeError on bad arguments; `map` and `submit` have the errors of `sweep`, and RuntimeError
    where a job failed.
    """

    def __init__(self, out, executor=None, progress=None):
        checks.progress(progress)
        check_executor(executor)
        self.out, self.executor, self.progress = files.check_path("out", out), executor, progress

    def map(self, function, jobs):
        """An iterator over the results, in the order of the jobs; all are there when it begins."""
        part = function, list(jobs), self.out
        (_, rows), = sweep_rows([part], executor=self.executor, progress=self.progress)
        return iter([outcome for _, outcome in rows])

    def submit(self, function, *jobs):
        """A Future that is done, of one job; TypeError for work that is no job."""
        if len(jobs) != 1:
            raise TypeError(f"a Keeper's functions take one job, a dictionary, "
                            f"got {len(jobs)} arguments: this work cannot be kept")
        job, = jobs
        future = Future()
        try:
            future.set_result(next(self.map(function, [job])))
        except Exception as error:
            future.set_exception(error)
        return future
