"""Become another program that dies with the one that started it: `bound.py PARENT SIGNAL COMMAND...`.

A script rather than a `preexec_fn`: nothing of ours runs between fork and exec, so it is safe whatever threads
the parent has. Only Linux can promise this; elsewhere the program merely starts.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def become(parent: int, death_signal: int, *command: str) -> None:
    """Ask the kernel for `death_signal` when `parent` dies, then turn into `command`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            sys.exit(1)
    try:
        os.execv(command[0], command)  # noqa: S606 (that is the point)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    become(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
