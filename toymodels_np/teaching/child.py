"""The process in which a learner's file is loaded and checked: limited, and silent.

`judge_file` starts it and gives it SECONDS and MEMORY. It answers in one line of JSON, in which the
checker puts what the function printed for the input that is shown; all else that the learner's code
prints goes nowhere.
"""

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from .checker import Raised, Verdict, call, examine, first_line
from .draw import drawn
from .records import find

SECONDS = 20                # that a check may take
MEMORY = 2**31              # bytes that it may take beside what the package itself takes
LONGEST = 10**6             # bytes of a learner's file
READY = "ready"
# With -m Python would warn that this module, which `toymodels_np.teaching` needs, is there already.
BEGIN = f"import sys; from {__name__} import main; main(*sys.argv[1:])"


def judge_file(exercise, path, seconds=SECONDS):
    """The Verdict on the file at `path`, whatever is in it."""
    path = Path(path).absolute()                # the child begins in its folder
    command = [sys.executable, "-P", "-c", BEGIN, str(path), exercise.name]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=path.parent,
                          env=_environment(), encoding="utf-8", errors="replace") as process:
        try:
            return _listen(exercise, process, seconds)
        finally:
            process.kill()


def _listen(exercise, process, seconds):
    first = process.stdout.readline().strip()
    if first != READY:
        return _refused(process.stderr.read() or first)
    late = threading.Event()

    def stop():
        late.set()
        process.kill()

    timer = threading.Timer(seconds, stop)
    timer.start()
    text = process.stdout.read()
    timer.cancel()
    try:
        return Verdict(*json.loads(text))
    except (ValueError, TypeError):
        if late.is_set():
            return Verdict(False, f"{exercise.file} was still running after {seconds:g} seconds: "
                                  f"a loop may never end.")
        return Verdict(False, f"{exercise.file} ended the program before it could be checked; let "
                              f"{exercise.function} return the answer instead.")


def _refused(said):
    """The child could not begin: its last line says why."""
    line = said.strip().splitlines()[-1] if said.strip() else "it said nothing"
    if line.startswith("ImportError: "):
        raise ImportError(line.removeprefix("ImportError: "))
    raise RuntimeError(f"the process that checks an exercise could not begin: {line}")


def _environment():
    """Here the child finds the package where this process has it."""
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def load(exercise, path):
    """(the learner's function, None), or (None, a Verdict that says why there is none)."""
    text, said = _read(path)
    if said:
        return None, Verdict(False, f"{exercise.file} {said}.")
    try:
        code = compile(text, str(path), "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        where = f" in line {error.lineno}" if getattr(error, "lineno", None) else ""
        why = getattr(error, "msg", None) or first_line(error)
        return None, Verdict(False, f"{exercise.file} cannot be read by Python{where}: {why}.")
    sys.path.append(str(Path(path).absolute().parent))      # last: no file of theirs hides others
    space = {"__name__": "exercise", "__file__": str(path)}
    raised = call(lambda: exec(code, space), ())
    if isinstance(raised, Raised):
        kind = type(raised.error).__name__
        return None, Verdict(False, f"{exercise.file} raises {kind} while it is loaded: "
                                    f"{first_line(raised.error)}.", raised.traceback)
    if exercise.function not in space:
        return None, Verdict(False, f"{exercise.file} has no function {exercise.function}.")
    return space[exercise.function], None


def _read(path):
    """(text, "") of a file of Python, or ("", half a sentence)."""
    try:
        if Path(path).stat().st_size > LONGEST:
            return "", f"is longer than {LONGEST:,} bytes and no exercise"
        return Path(path).read_text(encoding="utf-8-sig"), ""      # some editors write a mark
    except UnicodeDecodeError:
        return "", "is not a text in UTF-8"
    except (OSError, ValueError) as error:      # ValueError: a null character in the path
        number = getattr(error, "errno", None)
        return "", f"cannot be read: {os.strerror(number) if number else error}"


def _limit_memory():
    """Give this process MEMORY more than it has. Where that is not possible, time alone is kept."""
    with suppress(ImportError, OSError, ValueError, AttributeError):
        resource = import_module("resource")
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + MEMORY
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def main(path, name):
    """What the child does: all but its answer is said into nothing."""
    exercise = find(name)
    drawn(exercise)                             # Hypothesis is imported, or missing, before READY
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    print(READY, file=answer, flush=True)
    _limit_memory()
    function, verdict = load(exercise, path)
    verdict = verdict or examine(exercise, function)
    text = json.dumps(verdict)
    print(text, file=answer, flush=True)
    os._exit(0)                                 # no thread and no exit hook of the learner's waits
