"""Jobs that do a little and leave a trace in MongoDB."""

import os
import signal
import time
from typing import Any

from devicehub.core import mongo
from devicehub.core.errors import NotFound
from devicehub.jobs.registry import Context, job

TRACES = "test_traces"


class NothingThere(NotFound):
    code = "NOTHING_THERE"


def note(context: Context) -> dict[str, Any]:
    """Leave a note."""
    leave(context, text=context.arguments.get("text"))
    return {"noted": context.arguments.get("text")}


def stumble(context: Context) -> None:
    """Fail until the attempt `until`, with a message that is nobody's business."""
    leave(context)
    if context.attempt < context.arguments["until"]:
        raise ValueError("the password is hunter2")


def despair(context: Context) -> None:
    """Fail with an error that would come again."""
    leave(context)
    raise NothingThere()


def dawdle(context: Context) -> dict[str, Any]:
    """Take some time, as a good job does: it tells of its progress and asks whether to go on."""
    leave(context)
    for done in range(context.arguments["steps"]):
        context.progress("dawdling", done, context.arguments["steps"])
        time.sleep(0.05)
    return {"by": os.getpid()}


def sleep(context: Context) -> dict[str, Any]:
    """Take some time, and never ask."""
    leave(context)
    time.sleep(context.arguments["seconds"])
    return {"by": os.getpid()}


def be_deaf(context: Context) -> None:
    """Hear no interruption, as code that is not Python's does."""
    leave(context)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    time.sleep(60)


def leave(context: Context, **facts: Any) -> None:
    """Leave a trace: which process did what, in which attempt."""
    trace = {"job": context.job_id, "attempt": context.attempt, "pid": os.getpid(), "at": time.time_ns(), **facts}
    mongo.database()[TRACES].insert_one(trace)


def traces(**wanted: Any) -> list[dict[str, Any]]:
    """The traces left so far, oldest first."""
    return list(mongo.database()[TRACES].find(wanted).sort("at"))


def notes() -> list[str]:
    return [trace["text"] for trace in traces()]


def declare() -> None:
    """Make these jobs known to this process."""
    for work in (note, stumble, despair, dawdle):
        job(f"tests.{work.__name__}")(work)
    job("tests.sleep")(sleep)
    job("tests.be_deaf", timeout_s=0.5)(be_deaf)
