"""What each command of the command line does with its options."""

import warnings
from collections import Counter
from contextlib import contextmanager

import numpy as np
from tqdm.auto import tqdm

from ..core import checks
from ..core.models import MODELS
from ..engine.train import History, resume, train
from ..theory.minima import find_minimum
from ..theory.phase import phase_diagram
from .. import plots
from ..experiments import NAMES
from ..experiments.command import (print_records, run_all, save_figure, write_json,
                                   write_text)
from .jobs import TASKS, check_job, judge, read_config, run_job, training_settings
from ..report import page
from ..store.runs import load, save
from ..store.shell import worker_pool
from .show import check_folder, print_models, show_run, show_sweep
from ..store.sweep import load_sweep, sweep

COMMAND = "python -m toymodels_np"
PART = 500                                      # steps between two saves of a run that can be continued


def _job(options):
    """The options as a job, and its Features."""
    job = {name: getattr(options, name) for name in (*TASKS[options.task], "seed")}
    for name in ("feature_probability", "importance"):
        if isinstance(job[name], list) and len(job[name]) == 1:
            job[name] = job[name][0]
    return job, check_job(job)


def run_train(options):
    job, features = _job(options)
    steps, done, history = job["steps"], 0, None
    if options.resume is not None:
        history = load(options.resume)
        if not isinstance(history, History):
            raise ValueError(f"{options.resume} holds a model and no run to go on with")
    else:
        model = MODELS[job["model"]].init(features.n_features, job["n_hidden"], job["instances"], seed=job["seed"])
        settings = training_settings(job) | {"record_every": min(100, steps)}
    in_parts = options.out is not None and (history is not None or job["schedule"] == "constant")
    if options.out is not None:
        check_folder(options.out)
    with tqdm(total=steps, unit="step", desc="train", delay=2, leave=False, disable=None if in_parts else True) as bar:
        while done < steps:
            part = {"steps": min(PART, steps - done) if in_parts else steps, "progress": False if in_parts else None}
            try:
                history = resume(history, **part) if history else train(model, features, **settings | part)
            except KeyboardInterrupt:
                raise KeyboardInterrupt("nothing was kept" if not in_parts or not done else
                                        f"{done} of {steps} steps are in {options.out}; go on with: {COMMAND} train "
                                        f"--resume {options.out} --steps {steps - done} --out {options.out}") from None
            done += part["steps"]
            bar.update(part["steps"])
            if options.out is not None:
                save(options.out, history)
    print_models(history.model, judge(history.model, history.features))
    if options.out is not None:
        print(f"wrote {options.out}")


def run_minimum(options):
    job, features = _job(options)
    if options.out is not None:
        check_folder(options.out)
    minimum = find_minimum(features, job["n_hidden"], starts=job["starts"], seed=job["seed"])
    print(f"geometry        {minimum.geometry}\nloss            {minimum.loss:.12g}")
    print(f"gradient norm   {minimum.gradient_norm:.1e}")
    eigenvalues = minimum.hessian_eigenvalues
    print(f"Hessian         rank {minimum.hessian_rank} of {len(eigenvalues)}, smallest {min(eigenvalues):.2e}")
    print(f"starts          {(minimum.start_losses <= minimum.loss * (1 + 1e-6)).sum()} of {len(minimum.start_losses)} "
          f"ended here")
    print_models(minimum.model, np.asarray(minimum.loss))
    if options.out is not None:
        save(options.out, minimum.model)
        print(f"wrote {options.out}")


def run_phase(options):
    checks.integer("--points", options.points, minimum=2)
    check_folder(options.out)
    diagram = phase_diagram(options.features, options.hidden, importance=np.geomspace(0.1, 10, options.points),
                            feature_probability=np.geomspace(0.01, 1, options.points))
    importance, probability = np.meshgrid(diagram.importance, diagram.feature_probability, indexing="ij")
    figure = plots.sweep_map(("importance of the last feature", "feature probability"),
                               (importance.ravel(), probability.ravel()), diagram.loss.ravel(), "phase",
                               diagram.phase.ravel())
    print(f"{diagram.loss.size} true minima, gradients of norm {diagram.gradient_norm.max():.1e} at most")
    for name, values in (("phase", diagram.phase), ("geometry", diagram.geometry)):
        for value, count in Counter(values.ravel()).most_common():
            print(f"{name:10s} {value}: {count} cells")
    print(f"the paper's candidates say otherwise in {int(diagram.differs.sum())} cells")
    save_figure(options.out, figure)


def run_claims(options):
    if options.json is not None:
        check_folder(options.json)
    records = [record for row in run_all(options, list(NAMES)) for record in row.records]
    print_records(records)
    if options.json is not None:
        write_json(options.json, records)


def run_report(options):
    rows = run_all(options, list(NAMES))
    path = options.out / ("report-full.html" if options.full else "report.html")
    write_text(path, page(rows, full=options.full))
    counts = Counter(record["verdict"] for row in rows for record in row.records)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def run_sweep(options):
    jobs = read_config(options.config)
    checks.integer("--workers", options.workers)
    if options.dask and options.workers > 1:
        raise ValueError("--workers and --dask do not go together")
    try:
        with _executor(options) as executor, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)             # it says what the report says
            report = sweep(run_job, jobs, options.out, executor=executor, chunk=options.chunk,
                           retry_failed=options.retry_failed)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"finished jobs are in {options.out}; the same command goes on from there") from None
    print(f"{report.jobs} jobs in {report.out}: {report.computed} computed now, {report.found} found there")
    if report.failed:
        table = load_sweep(options.out)
        reasons = Counter(error for error in table["error"] if error)
        print(f"{report.failed} failed; run them again with --retry-failed. The most frequent reason: "
              f"{reasons.most_common(1)[0][0]}")
    print(f"look at it with: {COMMAND} show {report.out}")


@contextmanager
def _executor(options):
    """None, a pool of processes, or a Dask cluster."""
    if options.dask:
        try:
            from distributed import Client
        except ImportError:
            raise ImportError('--dask needs dask and distributed: pip install "toymodels_np[dask]"') from None
        with Client(options.dask, timeout=10) as client:
            yield client.get_executor()
    else:
        with worker_pool(options.workers) as pool:
            yield pool


def run_show(options):
    if options.path.is_dir():
        show_sweep(options.path, options.figure)
    elif options.figure is not None:
        raise ValueError("--figure is for the folder of a sweep")
    else:
        show_run(options.path)
