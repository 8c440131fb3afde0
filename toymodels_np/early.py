"""Ctrl-C from the first line on: until the command line is ready for it, it ends the process.

The package imports this file before all else, and numpy takes its time. It does something only
where the process is the command line: an import into a program changes no signals.
"""

import os
import signal
import sys


def _is_command():
    """Whether this process is `python -m toymodels_np…` or the script toymodels-np."""
    words = sys.orig_argv
    module = words[words.index("-m") + 1:][:1] if "-m" in words else []
    script = os.path.basename(sys.argv[0]) if sys.argv else ""
    return any(word.split(".")[0] == "toymodels_np" for word in module) or script == "toymodels-np"


def end(*_):
    """End the process in one line."""
    os.write(2, b"interrupted: nothing was kept\n")
    os._exit(130)


def ready():
    """From now on Ctrl-C is an exception again."""
    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end)
