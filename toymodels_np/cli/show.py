"""What there is to see in a saved run and in a sweep's folder: lines of text, and a picture."""

from collections import Counter

import numpy as np

from .. import plots
from ..core.models import Model
from ..experiments.command import save_figure
from ..geometry.tegum import geometry_of
from ..store.files import check_writable
from ..store.runs import load
from ..store.sweep import load_sweep
from .jobs import TASKS, judge

MOST = 10                                       # models, or names, in a list


def show_run(path):
    """Print what the file `path` of `save` holds."""
    content = load(path)
    model = content if isinstance(content, Model) else content.model
    print(model)
    if model is content or content.features is None:
        print_models(model, None)
        return
    print(f"{content.features}\n{content.steps[-1]} steps, "
          f"{', '.join(f'{name} {value}' for name, value in content.settings.items())}")
    print_models(model, judge(model, content.features))


def print_models(models, losses):
    """One line an instance: its loss and its geometry; the best ten if there are more."""
    count = int(np.prod(models.instances))
    losses = np.full(count, np.nan) if losses is None else np.reshape(losses, -1)
    print("instance  loss            geometry")
    for i in np.argsort(losses)[:MOST]:
        model = models[int(i)] if models.instances else models
        geometry = geometry_of(model.W) if hasattr(model, "W") else "-"
        loss = "-" if np.isnan(losses[i]) else f"{losses[i]:.8g}"
        print(f"{i:8d}  {loss:14s}  {geometry}")
    if count > MOST:
        print(f"… and {count - MOST} more")


def show_sweep(folder, path=None):
    """Print the table under `folder` in words; draw it to `path` if one or two settings vary."""
    path = path or folder / "sweep.png"
    check_writable(path)
    table = load_sweep(folder)
    failed = table["error"] != ""
    print(f"{len(failed)} jobs in {folder}, {failed.sum()} failed")
    for error, count in Counter(table["error"][failed]).most_common(MOST):
        print(f"{count:8d}  {error}")
    if "loss" not in table or failed.all():             # a sweep of some other function
        _summarise(table)
        return
    table = {name: column[~failed] for name, column in table.items()}
    varying, best = _best(table)
    for name in (name for name in ("geometry", "phase") if name in table):
        for value, count in Counter(filter(None, table[name][best])).most_common(MOST):
            print(f"{name:10s} {value}: best at {count} of {len(best)} points")
    losses = table["loss"][best]
    print(f"loss       {losses.min():.6g} … {losses.max():.6g} at its best")
    if not 1 <= len(varying) <= 2 or any(table[name].dtype.kind not in "iuf" for name in varying):
        print(f"settings that vary: {', '.join(varying) or 'none'}; a picture needs one or two, "
              f"both numbers")
        return
    extra = {"extra_importance", "extra_probability"} & set(varying)
    by = "phase" if extra and "phase" in table else "geometry"
    labels = table[by][best] if by in table else np.full(len(best), "model")
    save_figure(path, plots.sweep_map(varying, [table[name][best] for name in varying], losses,
                                      by, labels))


def _best(table):
    """(the settings that vary, the row of the smallest loss at each point of the grid)."""
    settings = [name for name in table if any(name in known for known in TASKS.values())]
    varying = [name for name in settings if len(set(map(str, table[name]))) > 1]
    best = {}
    for row in np.argsort(-table["loss"], kind="stable"):
        best[tuple(str(table[name][row]) for name in varying)] = row
    return varying, np.array(sorted(best.values()))


def _summarise(table):
    for name, column in table.items():
        if column.dtype.kind in "iuf":
            print(f"{name:24s} {np.nanmin(column):.6g} … {np.nanmax(column):.6g}")
        else:
            print(f"{name:24s} {len(set(map(str, column)))} different values")
