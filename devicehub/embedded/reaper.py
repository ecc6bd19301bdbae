"""Outlives a supervisor that was killed, just long enough to end everything it leaves behind.

PDEATHSIG reaches only the children themselves, and only with a signal they may refuse: not gunicorn's workers,
not the process that runs a job. They all share their child's session, though, and nobody leaves that by accident.
A script of its own, without our packages, since it waits all day and should cost next to nothing.
"""

import contextlib
import os
import signal
import sys
import time

GENTLE_S = 3.0
POLL_S = 0.05


def members(sessions: set[int]) -> list[int]:
    """The living processes of `sessions`; none where there is no /proc to ask."""
    if not os.path.isdir("/proc"):
        return []
    processes = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [process for process in processes if _session(process) in sessions]


def _session(process: int) -> int | None:
    """The session of a living process: a zombie has come to its end already."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            state, _parent, _group, session = stat.read().rpartition(")")[2].split()[:4]
    except OSError:
        return None
    return None if state == "Z" else int(session)


def end(sessions: set[int], seconds: float) -> None:
    """Ask every process of `sessions` to stop, and after `seconds` insist."""
    _send(signal.SIGTERM, members(sessions))
    deadline = time.monotonic() + seconds
    while members(sessions) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    _send(signal.SIGKILL, members(sessions))


def _send(number: signal.Signals, processes: list[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def main(seconds: float = GENTLE_S) -> None:
    """Read who runs, a line for each change, until the supervisor is gone; then end the last ones named."""
    running = ""
    for line in sys.stdin:
        running = line
    end({int(session) for session in running.split()}, seconds)


if __name__ == "__main__":
    main()
