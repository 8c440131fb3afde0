"""Small runs of the paper's rows, and what each row's tests ask of them."""

from axes_of_p import row_figure

import toymodels_np as tm
from toymodels_np.experiments.claims import FAILS, HOLDS


def small_runs(name, settings):
    """The experiment of this name and its runs with these settings."""
    experiment = tm.experiments[name]
    jobs = experiment.jobs(experiment.settings(changes=settings))
    return experiment, [job | experiment.run(job) for job in jobs]


def verdicts(experiment, runs, controls=()):
    """{claim: (measured, verdict)}."""
    return {record["name"]: (record["measured"], record["verdict"])
            for record in experiment.check(runs, controls)}


def fails_untrained(experiment, runs, fewest):
    """None of the paper's claims holds on untrained `runs`, and at least `fewest` of them fail.

    The others say why they are not measured. A row that measured nothing would pass without this.
    """
    paper = [record for record in experiment.check(runs, runs, full=True)
             if record["kind"] == "paper"]
    assert [record["name"] for record in paper if record["verdict"] == HOLDS] == []
    assert sum(record["verdict"] == FAILS for record in paper) >= fewest


def draws_what_it_found(experiment, runs):
    """There is a record of every claim, and a figure with more on it than its frame."""
    assert len(experiment.check(runs, runs)) == len(experiment.claims)
    png = row_figure(experiment, runs)._repr_png_()
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and len(png) > 20_000
