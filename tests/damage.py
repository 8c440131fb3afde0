"""Damaged files of every kind that is read, and what becomes of them.

    python tests/damage.py --seed 1 --files 1000

A run, a model, a chunk of a sweep and a certificate are damaged: bits flipped, cut off, spliced
with one another, parts repeated or zeroed, or replaced by a hostile archive. Each is read, in a
folder of its own. A file must either be refused in a sentence or give what was written; a chunk
must be whole after the next sweep. Exit code 1 if one does not.
"""

import argparse
import io
import json
import random
import signal
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import toymodels_np as tm

PATIENCE = 20                   # seconds for a file
HARMLESS = ("refused", "as written", "healed")
JOBS = [{"x": 1}, {"x": 2}, {"x": 3}]


def square(job):
    """A job of a sweep."""
    return {"y": job["x"] ** 2, "a": np.arange(6.0) * job["x"], "text": "words"}


# -- damage ---------------------------------------------------------------------------------------

def flip(data, rng, others):
    """One to four bits turned over."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut(data, rng, others):
    return data[:rng.randrange(len(data))]


def splice(data, rng, others):
    """The beginning of this file and the end of another one."""
    other = rng.choice(others)
    return data[:rng.randrange(len(data))] + other[rng.randrange(len(other)):]


def repeat(data, rng, others):
    start, end = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:end] + data[start:]


def zero(data, rng, others):
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice([1, 4, 64, 512]))
    return data[:start] + bytes(end - start) + data[end:]


def swap(data, rng, others):
    """Another file altogether."""
    return rng.choice(others)


def archive(data, rng, others):
    """A zip file that claims too much: huge shapes, pickles, bombs, odd names, no members."""
    shape = rng.choice(["(1000000000000,)", "(0,)", "(-1,)", "()", "(2, 3)", "(1,) * 9"])
    descr = rng.choice(["'<f8'", "'|O'", "'<U1000000000'", "[('a', '<f8')]", "'<M8[s]'", "''"])
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    member = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()
    member += rng.randbytes(rng.choice([0, 8, 48]))
    content = rng.choice([member, bytes(10**6), b"", data])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice([0, zipfile.ZIP_DEFLATED])) as zipped:
        for _ in range(rng.randrange(4)):
            name = rng.choice(["model/W.npy", "jobs.npy", "../../x.npy", "/x.npy", "W", "é.npy"])
            if name not in zipped.namelist():
                zipped.writestr(name, content)
    return stream.getvalue()


WAYS = (flip, flip, flip, cut, splice, repeat, zero, swap, archive)


# -- what is damaged, and what is read from it ----------------------------------------------------

def plain(value):
    """A run or a model as text: what it says to the bit."""
    parts = [value] if isinstance(value, tm.Model) else [value.model, value.parameters]
    arrays = [a for part in parts for a in part.parameters]
    arrays += [] if isinstance(value, tm.Model) else [value.steps, value.losses]
    said = [(str(a.dtype), a.shape, a.tobytes()) for a in arrays]
    return type(value).__name__, [type(part).__name__ for part in parts], said


class Subjects:
    """A good file of each kind, and a judge of what a damaged one gives."""

    def __init__(self, folder):
        self.folder = Path(folder)
        model, law = tm.ReluOutput.init(3, 2), tm.Features(3, 0.2)
        run = tm.train(model, law, steps=4, batch_size=4, record_every=2, progress=False)
        minimum = tm.find_minimum(tm.Features(2, 0.1), 1, starts=4, progress=False)
        self.certificate = tm.certify(minimum, tm.Features(2, 0.1)).to_dict()
        tm.save(self.folder / "run.npz", run)
        tm.save(self.folder / "model.npz", model)
        (self.folder / "certificate.json").write_text(json.dumps(self.certificate))
        self.sweep = self.folder / "sweep"
        tm.sweep(square, JOBS, self.sweep, chunk=3, progress=False, version="1")
        self.chunk, = self.sweep.glob("*/*.npz")
        self.table = self.rows()
        paths = [self.folder / name for name in ("run.npz", "model.npz", "certificate.json")]
        self.files = {path: path.read_bytes() for path in [*paths, self.chunk]}
        self.written = {path: plain(tm.load(path)) for path in paths[:2]}

    def rows(self):
        """The sweep's table, as text."""
        table = tm.load_sweep(self.sweep)
        return {name: repr(column.tolist()) for name, column in sorted(table.items())}

    def judge(self, path):
        """What becomes of the damaged file at `path`."""
        if path == self.chunk:
            report = tm.sweep(square, JOBS, self.sweep, chunk=3, progress=False, version="1")
            whole = self.rows() == self.table
            if not whole:
                return "wrong data"
            return "healed" if report.damaged == 1 else "as written"
        try:
            if path.suffix == ".json":
                record = json.loads(path.read_bytes())
                tm.check_certificate(path)
                return "as written" if record == self.certificate else "wrong data"
            whole = plain(tm.load(path)) in self.written.values()   # a swap is another whole file
            return "as written" if whole else "wrong data"
        except ValueError as error:
            return "refused" if len(str(error).split()) > 3 else "raw"
        except TimeoutError:
            raise
        except Exception as error:
            return f"raw {type(error).__name__}"


def expired(*_):
    raise TimeoutError("the file took too long to read")


def run(seed, count, tell=lambda *record: None):
    """{(kind, way, outcome): how many files}, of files that the seed and their number damage."""
    counts = Counter()
    signal.signal(signal.SIGALRM, expired)
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        subjects = Subjects(folder)
        for number in range(count):
            rng = random.Random(f"{seed}/{number}")
            path, way = rng.choice([*subjects.files]), rng.choice(WAYS)
            others = [data for other, data in subjects.files.items() if other != path]
            path.write_bytes(way(subjects.files[path], rng, others))
            signal.alarm(PATIENCE)
            try:
                outcome = subjects.judge(path)
            except TimeoutError:
                outcome = "hanging"
            except Exception as error:
                outcome = f"raw {type(error).__name__}: {error}"[:300]
            signal.alarm(0)
            path.write_bytes(subjects.files[path])
            kind = "chunk" if path == subjects.chunk else path.stem
            counts[kind, way.__name__, outcome] += 1
            if outcome not in HARMLESS:
                tell(number, kind, way.__name__, outcome)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=1000)
    options = parser.parse_args()
    counts = run(options.seed, options.files, lambda *record: print(*record, flush=True))
    for key, number in sorted(counts.items()):
        print(f"{key[0]:12s} {key[1]:8s} {key[2]:16s} {number:6d}")
    return int(any(outcome not in HARMLESS for *_, outcome in counts))


if __name__ == "__main__":
    sys.exit(main())
