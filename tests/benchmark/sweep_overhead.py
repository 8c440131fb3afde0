"""What a sweep costs beside calling the function: time a job, time to resume, memory for a million
jobs.

    python tests/benchmark/sweep_overhead.py [--jobs 100000] [--simulated 1000000] [--workers 2]

The jobs do next to nothing. Memory is what Python's allocations reach during the sweep
(tracemalloc), over a generator of jobs in chunks of 1000, for a tenth of the simulated jobs and for
all of them: flat if the two are the same.
"""

import argparse
import sys
import tempfile
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import toymodels_np as tm

CHUNK = 1000


def tiny(job):
    return {"y": 2.0 * job["x"], "n": job["seed"] + 1}


def jobs(count):
    return ({"x": 0.5 * seed, "seed": seed} for seed in range(count))


def seconds(function, *arguments, **options):
    start = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - start


def call_all(count):
    for job in jobs(count):
        tiny(job)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--simulated", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    alone = seconds(call_all, options.jobs)
    print(f"{options.jobs} jobs in chunks of {CHUNK}; the function alone takes "
          f"{alone / options.jobs * 1e6:.2f} us")
    print("executor   overhead us/job  resumed s  loaded s")
    with ProcessPoolExecutor(options.workers) as pool:
        list(pool.map(abs, range(options.workers)))             # the workers are there
        for name, executor in (("none", None), ("processes", pool)):
            with tempfile.TemporaryDirectory() as out:
                first, again = (seconds(tm.sweep, tiny, jobs(options.jobs), out, executor=executor,
                                        chunk=CHUNK)
                                for _ in (0, 1))
                load = seconds(tm.load_sweep, out)
            print(f"{name:10} {(first - alone) / options.jobs * 1e6:15.1f} {again:10.2f} "
                  f"{load:9.2f}")
    for count in (options.simulated // 10, options.simulated):
        with tempfile.TemporaryDirectory() as out:
            tracemalloc.start()
            tm.sweep(tiny, jobs(count), out, chunk=CHUNK)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        print(f"{count} jobs: {peak / 2**20:.1f} MB at most")


if __name__ == "__main__":
    main()
