"""A 2 -> 1 phase sweep on a Dask cluster: one job a model, kept as they come, resumed if run again.

The cluster here is real and local: a scheduler and two worker processes. For other machines, change
only cluster():

    SLURM        dask_jobqueue.SLURMCluster(cores=32, processes=32, memory="64GB",
                 walltime="04:00:00"), then cluster.scale(jobs=10)      pip install dask-jobqueue
    Kubernetes   dask_kubernetes.operator.KubeCluster(name="sweep", image=an image that has
                 toymodels_np), then cluster.scale(50)                  pip install dask-kubernetes
    ssh          distributed.SSHCluster(["node0", "node1", "node2"],
                 worker_options={"nthreads": 1, "n_workers": 16}); the first is the scheduler
                                                                        pip install asyncssh

Every worker needs toymodels_np of the same version, and no shared disk: results travel to this
process, which writes them. One thread a worker, as NumPy wants its own.
"""

import common
import numpy as np

import toymodels_np as tm

IMPORTANCE = (0.1, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0, 10.0)        # of the second of two features
PROBABILITY = (0.02, 0.05, 0.1, 0.3, 1.0)                       # of both
SEEDS = 3
STEPS, BATCH, RATE = 1000, 256, 0.02
CHUNK = 4                                                       # jobs to a task and to a file
WORKERS = 2
LETTER = {"not learned": ".", "superposed": "s", "own dimension": "O"}


def cluster(distributed):
    return distributed.LocalCluster(n_workers=WORKERS, threads_per_worker=1, host="127.0.0.1",
                                    dashboard_address="127.0.0.1:0")


def train_one(job):
    """Two features in one dimension, from the job's seed: the exact loss, weights and the phase."""
    features = tm.Features(2, job["feature_probability"], [1, job["importance"]])
    model = tm.train(tm.ReluOutput.init(2, 1, seed=job["seed"]), features, steps=STEPS,
                     batch_size=BATCH, learning_rate=RATE, schedule="cosine", seed=job["seed"],
                     record_every=STEPS, progress=False).model
    return {"loss": tm.expected_loss(model, features), "W": model.W, "b": model.b,
            "phase": tm.extra_phase(model.W)}


def best_of_seeds(table):
    """The row of the smallest loss in each cell, (importances, probabilities)."""
    shape = len(IMPORTANCE), len(PROBABILITY), SEEDS
    rows = np.arange(len(table["loss"])).reshape(shape)
    return rows[*np.indices(shape[:2]), table["loss"].reshape(shape).argmin(-1)]


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/sweep_on_dask.py --out out", seed=False)
    options = common.parse(parser, arguments)
    try:
        import distributed
    except ImportError:
        parser.error('this needs Dask: pip install "toymodels_np[dask]"')

    jobs = [{"importance": r, "feature_probability": p, "seed": seed}
            for r in IMPORTANCE for p in PROBABILITY for seed in range(SEEDS)]
    out = options.out / "sweep_on_dask"
    with cluster(distributed) as machines, distributed.Client(machines) as client:
        print(tm.sweep(train_one, jobs, out, executor=client.get_executor(), chunk=CHUNK))

    table = tm.load_sweep(out)                                      # in the order of the jobs
    if any(table["error"]):
        parser.error(f"some jobs failed, the first with {next(filter(None, table['error']))}")
    best = best_of_seeds(table)
    print(f"phase of the second feature, best of {SEEDS} seeds: "
          f"{', '.join(f'{v} {k}' for k, v in LETTER.items())}")
    print("importance  p = " + "".join(f"{p:>6g}" for p in PROBABILITY))
    for r, row in zip(IMPORTANCE, table["phase"][best]):
        print(f"{r:10g}      " + "".join(f"{LETTER[phase]:>6}" for phase in row))

    cells = {name: table[name][best.ravel()]
             for name in ("importance", "feature_probability", "loss", "phase")}
    figure = tm.plots.sweep_map(("importance of the second feature", "feature_probability"),
                                (cells["importance"], cells["feature_probability"]), cells["loss"],
                                "phase", cells["phase"])
    for path in (out, *common.write(figure, cells, options.out / "sweep_on_dask")):
        print("wrote", path)


if __name__ == "__main__":
    main()
