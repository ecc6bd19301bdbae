"""Small programs for the supervisor to run: `python -m tests.embedded.standin NAME ...`.

Some hundred of them are started, and each imports no more than what it is.
"""

import os
import signal
import subprocess
import sys


def command(name: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.embedded.standin", name, *map(str, arguments))


def run(api: str = "api", worker: str = "worker", patience: str = "30") -> None:
    """What `python -m devicehub` does, with other programs for the api and the worker."""
    from devicehub.embedded import launch

    programs = launch.Programs(api=lambda fd: command(api, fd), worker=lambda: command(worker))
    sys.exit(launch.main(programs, healthy_within=float(patience)))


def api(fd: str, health: str = "healthy") -> None:
    """Answers on an inherited socket until it is told to stop."""
    from tests.embedded import answers

    answers.serve(int(fd), health)


def sick(fd: str) -> None:
    """An api whose health never comes."""
    api(fd, "degraded")


def lingering(fd: str) -> None:
    """An api that keeps its port for as long as it is let."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    api(fd)


def worker(*_: str) -> None:
    """Waits, and ends when it is told to."""
    signal.pause()


def stubborn(*_: str) -> None:
    """Refuses to end, and so does what it started: a process in a group of its own, as a job's is."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.getpid() == os.getsid(0):
        subprocess.Popen(command("stubborn"), process_group=0)
    while True:
        signal.pause()


def doomed(*_: str) -> None:
    """Ends at once, and says why."""
    sys.exit("I was never meant to live.")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
