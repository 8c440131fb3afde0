"""What each command of the command line does with its options."""

import shlex
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from .. import plots
from ..core import checks
from ..core.loop import History
from ..core.models import MODELS, Model
from ..engine.train import resume, train
from ..experiments import NAMES
from ..experiments.claims import KINDS, VERDICTS
from ..experiments.command import (
    going_on,
    print_records,
    run_all,
    save_figure,
    write_json,
    write_text,
)
from ..interrupts import heard, passed_on, saying
from ..report import page
from ..store.files import check_folder, check_writable, open_regular, os_errors_as
from ..store.runs import load, save
from ..store.shell import worker_pool
from ..store.sweep import load_sweep, sweep
from ..teaching.book import book
from ..theory.certify import check_certificate
from ..theory.descent import blank_loss
from ..theory.phase import phase_diagram
from ..theory.search import PERFECT, SAME
from .jobs import check_job, job_minimum, judge, read_config, run_job, training_settings
from .options import check_agreement, check_output, holds_records, job_of, same_file
from .show import print_models, show_run, show_sweep

COMMAND = "python -m toymodels_np"
PART = 500                      # steps between two saves of a run that can be continued


def run_train(options):
    job = job_of(options)
    history = None if options.resume is None else _run_to_resume(options)
    features = check_job(job) if history is None else history.features
    checks.integer("steps", job["steps"])
    if options.out is not None:
        goes_on = options.resume is not None and same_file(options.resume, options.out)
        check_output(options.out, options.overwrite or goes_on, kind=History)
    if history is None:
        model = MODELS[job["model"]].init(features.n_features, job["n_hidden"], job["instances"],
                                          seed=job["seed"])
        settings = training_settings(job) | {"record_every": min(100, job["steps"])}
        history = _train_in_parts(options, job["steps"], job["schedule"] == "constant",
                                  lambda part: train(model, features, **settings | part))
    else:
        history = _train_in_parts(options, job["steps"], True,
                                  lambda part: resume(history, **part))
    with saying("nothing was kept" if options.out is None else f"the run is in {options.out}"):
        print_models(history.model, judge(history.model, history.features))
    if options.out is not None:
        print(f"wrote {options.out}")


def _run_to_resume(options):
    """The run that the options ask to continue, if they do not contradict it."""
    history = load(options.resume)
    if not isinstance(history, History):
        raise ValueError(f"{options.resume} holds a model and no run to go on with")
    check_agreement(options, history)
    return history


def _train_in_parts(options, steps, can_go_on, begin):
    """The History of so many steps, which `begin(part)` begins; saved every PART, if it can be."""
    in_parts = options.out is not None and can_go_on
    done, history = 0, None
    with tqdm(total=steps, unit="step", desc="train", delay=2, leave=False,
              disable=None if in_parts else True) as bar:
        try:
            while done < steps:
                part = {"steps": min(PART, steps - done) if in_parts else steps,
                        "progress": False if in_parts else None}
                history = resume(history, **part) if history else begin(part)
                done += part["steps"]
                bar.update(part["steps"])
                if options.out is not None:
                    save(options.out, history)
        except KeyboardInterrupt as interrupt:
            if options.out is None or history is None:
                raise
            save(options.out, history)          # it may be this that was interrupted
            raise type(interrupt)(_how_to_go_on(options.out, done, steps)) from None
    return history


def _how_to_go_on(path, done, steps):
    """What is in the file of a run that was interrupted, and the command that does the rest."""
    file = shlex.quote(str(path))
    return f"{done} of {steps} steps are in {path}" + (
        f"; go on with: {COMMAND} train --resume {file} --steps {steps - done} --out {file}"
        if done < steps else "")


def run_minimum(options):
    job = job_of(options)
    features = check_job(job)
    if options.out is not None:
        check_output(options.out, options.overwrite, kind=Model)
    with heard() as interrupts:
        minimum = job_minimum(job, features)
    try:                                # where one of both fails, the other is not lost
        if options.out is not None:
            save(options.out, minimum.model)
    finally:
        _print_minimum(minimum, features)
    if options.out is not None:
        print(f"wrote {options.out}")
    if interrupts:
        raise type(interrupts[0])("the search was broken off, and this is its best point so far; "
                                  "to go on, begin it again")


def _print_minimum(minimum, features):
    losses, loss = minimum.start_losses, max(0.0, minimum.loss)     # rounding may leave less than 0
    same = loss * (1 + SAME) + PERFECT * blank_loss(features)
    print(f"geometry        {minimum.geometry}\nloss            {loss:.12g}")
    print(f"gradient norm   {minimum.gradient_norm:.1e}{'' if minimum.converged else ', not zero'}")
    print(f"Hessian         {_hessian_said(minimum)}")
    print(f"starts          {(losses <= same).sum()} of {len(losses)} ended here")
    print_models(minimum.model, np.asarray(loss))


def _hessian_said(minimum):
    """Rank and lowest eigenvalue, as far as they are known."""
    values, P = minimum.hessian_eigenvalues, sum(a.size for a in minimum.model.parameters)
    rank = f"rank {minimum.hessian_rank} of {P}" if len(values) == P else f"rank unknown, of {P}"
    return f"{rank}, smallest {min(values):.2e}" if len(values) else rank


def run_phase(options):
    checks.integer("--points", options.points, minimum=2)
    checks.memory("--points", 1000 * options.points**2)
    check_output(options.out, options.overwrite)
    diagram = phase_diagram(options.features, options.hidden,
                            importance=np.geomspace(0.1, 10, options.points),
                            feature_probability=np.geomspace(0.01, 1, options.points))
    importance, probability = np.meshgrid(diagram.importance, diagram.feature_probability,
                                          indexing="ij")
    figure = plots.sweep_map(("importance of the last feature", "feature_probability"),
                             (importance.ravel(), probability.ravel()), diagram.loss.ravel(),
                             "phase", diagram.phase.ravel())
    print(f"{diagram.loss.size} true minima, gradients of norm "
          f"{diagram.gradient_norm.max():.1e} at most")
    for name, values in (("phase", diagram.phase), ("geometry", diagram.geometry)):
        for value, count in Counter(values.ravel()).most_common():
            print(f"{name:10s} {value}: {_cells(count)}")
    print(f"the paper's candidates say otherwise in {_cells(int(diagram.differs.sum()))}")
    save_figure(options.out, figure)


def _cells(count):
    return f"{count} cell{'s' * (count != 1)}"


def run_claims(options):
    if options.json is not None:
        check_output(options.json, holds_records(options.json), option=False)
    with going_on(options):
        records = [record for row in run_all(options, list(NAMES)) for record in row.records]
        try:
            if options.json is not None:
                write_json(options.json, records)
        finally:
            print_records(records)
        _print_counts(records)


def run_report(options):
    path = options.out / ("report-full.html" if options.full else "report.html")
    check_folder(options.out)
    check_writable(path)
    with going_on(options):
        rows = run_all(options, list(NAMES))
        write_text(path, page(rows, full=options.full))
        _print_counts([record for row in rows for record in row.records])


def run_book(options):
    path = options.out / "book.html"
    check_folder(options.out)
    check_writable(path)
    with passed_on():                           # a search in a figure gives half its work back
        text = book()
    write_text(path, text)


def run_check(options):
    """Exit code 1 if the certificate does not hold."""
    with os_errors_as(f"cannot read {options.path}"):
        open_regular(options.path).close()
    try:
        check_certificate(options.path)
    except ValueError as error:
        print(f"{options.path} proves nothing: {error}")
        return 1
    print(f"{options.path} holds: all that it says is proved anew")
    return 0


def _print_counts(records):
    """How many claims of each kind have which verdict, a line a kind."""
    for kind, said in KINDS.items():
        counts = Counter(record["verdict"] for record in records if record["kind"] == kind)
        if counts:
            verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
            print(f"{said}: {counts.total()} claims: {verdicts}")


def run_sweep(options):
    """Exit code 1 if some jobs failed."""
    jobs = read_config(options.config)
    checks.integer("--workers", options.workers)
    if options.dask and options.workers > 1:
        raise ValueError("--workers and --dask do not go together")
    with saying(f"finished jobs are in {options.out}; the same command goes on from there"):
        with _executor(options) as executor, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)     # it says what the report says
            report = sweep(run_job, jobs, options.out, executor=executor, chunk=options.chunk,
                           retry_failed=options.retry_failed)
        print(str(replace(report, failed=0)))
        print(f"look at it with: {COMMAND} show {shlex.quote(str(report.out))}")
        if report.failed:
            reasons = Counter(error for error in load_sweep(options.out)["error"] if error)
            print(f"{report.failed} of {report.jobs} jobs failed; run them again with "
                  f"--retry-failed. The most frequent reason: {reasons.most_common(1)[0][0]}")
            return 1
        return 0


@contextmanager
def _executor(options):
    """None, a pool of processes, or a Dask cluster."""
    if options.dask:
        try:
            from distributed import Client
        except ImportError:
            raise ImportError("--dask needs dask and distributed: pip install "
                              '"toymodels_np[dask]"') from None
        try:
            client = Client(options.dask, timeout=10)
        except (ValueError, OSError) as error:
            raise type(error)(f"--dask {options.dask!r} cannot be reached: {error}") from None
        with client:
            yield client.get_executor()
    else:
        with worker_pool(options.workers) as pool:
            yield pool


def run_show(options):
    if options.path.is_dir():
        if options.figure is not None:
            check_output(options.figure, options.overwrite)
        show_sweep(options.path, options.figure)
    elif options.figure is not None and options.path.exists():
        raise ValueError("--figure is for the folder of a sweep")
    else:
        show_run(options.path)
