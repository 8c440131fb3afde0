"""The sweep and the report with two workers, ended by signals at random moments.

    python tests/killing.py [--rounds 50] [--verbs sweep report] [--signals TERM KILL INT]

A command is started in a session of its own, and after a moment that the seed draws it gets
SIGTERM or SIGKILL, which its workers do not get, or SIGINT, which all of them get, as from a
terminal. Ten seconds later no process of the session may be there, and every file of finished work
must be what it was. A round goes on from the files of the round before: what was finished is not
computed again, or its file would be another one. Exit code 1 if any of this does not hold.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import toymodels_np as tm

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 10                           # seconds after which no process may be left
LATEST = {"sweep": 12, "report": 20}    # seconds after the start: no signal comes later
CONFIG = "n_features = 2\nn_hidden = 1\nbatch_size = 8\nseeds = 1000000\nsteps = 3\n"
CODES = {signal.SIGTERM: {143, -15}, signal.SIGKILL: {-9}, signal.SIGINT: {130, -2}}


class Round(NamedTuple):
    """One round: what is wrong with it, how long the last process lived after the signal in
    seconds, how many files of finished work there were, the line that was said at the end, and how
    many processes there were at the signal.
    """

    faults: list
    seconds: float
    finished: int
    said: str
    processes: int


def words(verb, folder):
    """The command line of a verb that works for longer than any round."""
    out = ["--out", str(folder / "out"), "--workers", "2"]
    if verb == "report":
        return ["report", "--quick", *out]
    (folder / "config.toml").write_text(CONFIG)
    return ["sweep", str(folder / "config.toml"), *out, "--chunk", "10"]


def living(session):
    """The processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:                                         # it ended just now
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


def kept(folder):
    """{file of finished work: (the file itself, its bytes)}."""
    return {path: (path.stat().st_ino, path.read_bytes())
            for path in (folder / "out").rglob("??/*.npz")}


def one_round(verb, number, moment, folder, before):
    """A Round; None if the command was done before the signal came."""
    with subprocess.Popen(
            [sys.executable, "-m", "toymodels_np", *words(verb, folder)], cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)) as child:
        time.sleep(moment)
        there, processes = kept(folder), len(living(child.pid))
        (os.killpg if number == signal.SIGINT else os.kill)(child.pid, number)
        sent = time.monotonic()
        while (left := living(child.pid)) and time.monotonic() < sent + PATIENCE:
            time.sleep(0.02)
        seconds = time.monotonic() - sent
        for process in left:
            os.kill(process, signal.SIGKILL)
        said = child.stderr.read().decode(errors="replace")
    if child.returncode in (0, 1) and not left and "interrupted" not in said:
        return None
    faults = [f"{len(left)} processes are left"] if left else []
    if child.returncode not in CODES[number]:
        faults.append(f"exit code {child.returncode}")
    if "Traceback" in said:
        faults.append(f"a traceback: {said[-300:]}")
    after = kept(folder)
    changed = sum(after.get(path) != file for path, file in [*before.items(), *there.items()])
    if changed:
        faults.append(f"{changed} finished files were lost or written again")
    last = said.strip().splitlines()[-1] if said.strip() else ""
    return Round(faults, seconds, len(after), last, processes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="of each verb with each signal")
    parser.add_argument("--verbs", nargs="+", default=[*LATEST], choices=[*LATEST])
    parser.add_argument("--signals", nargs="+", default=["TERM", "KILL"],
                        choices=["TERM", "KILL", "INT"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latest", type=float, help="seconds after which no signal comes")
    options = parser.parse_args()
    bad = 0
    for verb in options.verbs:
        for name in options.signals:
            bad += rounds(verb, f"SIG{name}", options)
    return int(bad > 0)


def rounds(verb, name, options):
    """Do so many rounds, print how they went, and return how many of them had faults."""
    rng, done, faulty, said = random.Random(f"{options.seed}/{verb}/{name}"), [], 0, Counter()
    number = getattr(signal, name)
    with tempfile.TemporaryDirectory(prefix="killing-") as place:
        folder, before = Path(place), {}
        while len(done) < options.rounds:
            moment = rng.uniform(0, options.latest or LATEST[verb])
            result = one_round(verb, number, moment, folder, before)
            if result is None:                                  # all is computed: from the start
                shutil.rmtree(folder / "out")
                before = {}
                continue
            before = kept(folder)
            done.append(result)
            faulty += bool(result.faults)
            said[result.said.partition(":")[0]] += 1
            for fault in result.faults:
                print(f"{verb} {name} round {len(done)}: {fault}", flush=True)
        readable = all(tm.load_sweep(path)["error"].size for path in sweeps(folder))
    met = Counter(one.processes for one in done)
    print(f"{verb:7s} {name:8s} {len(done)} rounds, {faulty} with faults; the last process ended "
          f"after at most {max(one.seconds for one in done):.1f} s; {done[-1].finished} finished "
          f"files at the end, all readable: {readable}; said at the end: {dict(said)}; the signals "
          f"met so many processes: {dict(sorted(met.items()))}", flush=True)
    return faulty + (not readable)


def sweeps(folder):
    """The folders of sweeps that hold finished work."""
    return {path.parents[1] for path in kept(folder)}


if __name__ == "__main__":
    sys.exit(main())
