"""A sweep that is killed at random moments and resumed each time, against one that is left alone.

    python tests/kill_and_resume.py [--kills 50] [--seed 0] [--out DIR]

After each SIGKILL, every chunk file that was whole before is still there with the same bytes. At
the end the files and the table are those of the uninterrupted sweep, bit for bit. The moments are
drawn from the seed: a kill comes once so many new chunks are whole, and then somewhere within the
next one. A sweep has twice as many, so that all kills fall before its end.
"""

import argparse
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm
from waiting import wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import toymodels_np as tm

JOBS_PER_KILL, CHUNK, SIZE = 30, 2, 200
MOST = 7                # chunks that a sweep finishes before its kill, of some 15 that it has
ONE_CHUNK = 0.02        # seconds that a chunk takes
tqdm.get_lock()  # made once, before the forks: a killed process would leave its own behind


def work(job):
    """A few milliseconds of arithmetic, whose result depends on the seed."""
    A = np.random.default_rng(job["seed"]).normal(size=(SIZE, SIZE))
    for _ in range(3):
        A = np.tanh(A @ A.T / SIZE)
    return {"sum": A.sum(), "row": A[0], "single": np.float32(A[0, 0])}


def run(out, count):
    """The sweep. Without a version it would first read the package's source, for longer than it
    works, and kills would come before there is anything to lose.
    """
    jobs = ({"seed": seed} for seed in range(count))
    return tm.sweep(work, jobs, out, chunk=CHUNK, progress=False, version="1")


def kept(out):
    return {path.name: path.read_bytes() for path in out.glob("*/*.npz")}


def start(ready, out, count):
    ready.send(True)
    run(out, count)


def killed(out, kills, seed):
    """(SIGKILLs before the sweep's end, chunks that were whole at the last, files half-written)."""
    # Each sweep in a process that has imported everything.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kill_and_resume"])
    moments, before, hits = random.Random(seed), {}, 0
    for _ in range(kills):
        started, ready = context.Pipe(duplex=False)
        process = context.Process(target=start, args=(ready, out, kills * JOBS_PER_KILL))
        process.start()
        started.recv()
        count = len(before) + moments.randrange(MOST + 1)
        try:
            wait_until(lambda: len(list(out.glob("*/*.npz"))) >= count or not process.is_alive(),
                       f"chunk {count} that is whole")
            time.sleep(moments.uniform(0, ONE_CHUNK))
        finally:
            process.kill()
            process.join()
        hits += process.exitcode == -signal.SIGKILL
        for closed in (process, started, ready):
            closed.close()
        after = kept(out)
        assert before.items() <= after.items(), "a finished chunk was lost or changed"
        before = after
    return hits, len(before), len(list(out.glob("**/.*.tmp")))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder)
        hits, finished, half = killed(out / "killed", options.kills, options.seed)
        report = run(out / "killed", options.kills * JOBS_PER_KILL)
        run(out / "alone", options.kills * JOBS_PER_KILL)
        assert hits == options.kills and report.computed > 0, "the sweep ended before the last kill"
        assert report.found == finished * CHUNK and kept(out / "killed") == kept(out / "alone")
        killed_table, table = tm.load_sweep(out / "killed"), tm.load_sweep(out / "alone")
        assert killed_table["seed"].tolist() == table["seed"].tolist() == list(range(report.jobs))
        for key in ("sum", "row", "single"):
            for a, b in zip(killed_table[key], table[key], strict=True):
                assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), key
    print(f"{hits} kills, {half} files left half-written; {finished} of {report.jobs // CHUNK} "
          f"chunks were whole at the last kill; the final {report.jobs} jobs are bit for bit those "
          f"of an uninterrupted sweep")
    return hits


if __name__ == "__main__":
    import kill_and_resume  # by the name under which other processes know it

    kill_and_resume.main()
