"""Ctrl-C and SIGTERM from the first line on: until the command line is ready, they end the process.

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
    script = [os.path.basename(word) for word in words[1:2]]
    return [word.split(".")[0] for word in module] == ["toymodels_np"] or script == ["toymodels-np"]


def end(number, frame):
    """End the process in one line."""
    os.write(2, b"interrupted: nothing was kept\n")
    os._exit(128 + number)


def ready():
    """From now on the signals do what they did before this file."""
    for number, before in USUAL.items():
        if signal.getsignal(number) is end:
            signal.signal(number, before)


USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
if _is_command():
    for one, usual in USUAL.items():
        if signal.getsignal(one) is usual:
            signal.signal(one, end)
