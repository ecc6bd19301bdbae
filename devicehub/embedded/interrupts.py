"""Ctrl-C, SIGTERM and a hang-up, heard where a run waits and nowhere else.

Python raises KeyboardInterrupt between any two instructions: where subprocess has just taken a lock that it gives
back a line later, where a child is there and known to nobody yet, or under an `except` that has it disappear. So a
signal is noted, and raised by whoever waits next.
"""

import signal

_noted = False


def listen_for(*signals: signal.Signals) -> None:
    """Note each of `signals`, except a hang-up that `nohup` has us ignore."""
    for number in signals:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _note)


def ignore(*signals: signal.Signals) -> None:
    """Forget these, and what came by now: make, say, passes on a SIGTERM that we have had already."""
    global _noted
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
    _noted = False


def check() -> None:
    """Raise KeyboardInterrupt, once, if a signal came."""
    global _noted
    if _noted:
        _noted = False
        raise KeyboardInterrupt


def _note(*_: object) -> None:
    global _noted
    _noted = True
