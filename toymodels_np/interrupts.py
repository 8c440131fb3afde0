"""Ctrl-C and SIGTERM inside of work that answers them with half of its result.

Half a search is a result for who searches. It is none for who needs the whole one: a sweep, which
would keep it for good, or a proof that begins with it.
"""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def heard():
    """A list of the interrupts inside, those too that were caught there."""
    interrupts = []
    main = threading.current_thread() is threading.main_thread()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    usual = {number: one for number, one in usual.items() if main and callable(one)}

    def note(number, frame):
        try:
            usual[number](number, frame)
        except KeyboardInterrupt as interrupt:
            interrupts.append(interrupt)
            raise

    for number in usual:
        signal.signal(number, note)
    try:
        yield interrupts
    finally:
        for number, one in usual.items():
            signal.signal(number, one)


@contextmanager
def passed_on():
    """Interrupts inside that were caught there are raised at the end, after all."""
    with heard() as interrupts:
        yield
    if interrupts:
        raise interrupts[0]


@contextmanager
def saying(words):
    """An interrupt inside says, in words, what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise type(interrupt)(words) from None
