"""The doors of the command line: `devicehub jobs list|show|cancel|retry`, for whoever runs the service."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click
from flask import Flask

from devicehub.core import clock, config
from devicehub.core.actor import SYSTEM
from devicehub.core.config import Settings
from devicehub.core.errors import DeviceHubError
from devicehub.jobs import service
from devicehub.jobs.models import STATUSES, Job


def _prepared(command: Callable[..., None]) -> Callable[..., None]:
    """Make the application once it is sure what is to be done: `--help` needs none."""

    @click.pass_obj
    @wraps(command)
    def run(create_app: Callable[[Settings], Flask], *args: Any, **kwargs: Any) -> None:
        create_app(config.load_for_command())
        command(*args, **kwargs)

    return run


@click.group()
def jobs() -> None:
    """Look after background jobs."""


@jobs.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these; `failed` are those that were given up.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@_prepared
def list_(status: str | None, limit: int) -> None:
    """List jobs, the newest first."""
    for job in service.find(SYSTEM, status=status, limit=limit):
        code = job.error.get("code", "")
        click.echo(f"{job.id}  {clock.rfc3339(job.created_at)}  {job.status:10}  {job.name}  {code}".rstrip())


@jobs.command()
@click.argument("job_id")
@_prepared
def show(job_id: str) -> None:
    """Show what is known of a job; not its arguments, which may be private."""
    with _refusals():
        click.echo(json.dumps(_described(service.get(SYSTEM, job_id)), indent=2, default=str))


@jobs.command()
@click.argument("job_id")
@_prepared
def cancel(job_id: str) -> None:
    """Call a job off."""
    with _refusals():
        status = service.cancel(SYSTEM, job_id).status
    click.echo("Cancelled." if status == "cancelled" else "It is worked on; its worker was asked to stop.")


@jobs.command()
@click.argument("job_id")
@_prepared
def retry(job_id: str) -> None:
    """Let a job that failed or was cancelled begin anew."""
    with _refusals():
        service.retry(SYSTEM, job_id)
    click.echo("It begins anew.")


def _described(job: Job) -> dict[str, Any]:
    times = ("created_at", "run_at", "started_at", "finished_at", "lease_until", "cancel_requested_at")
    words = ("name", "status", "attempts", "key", "request_id", "organization_id", "user_id")
    known = {name: getattr(job, name) for name in words}
    known |= {name: clock.rfc3339(at) for name in times if (at := getattr(job, name)) is not None}
    known |= {name: dict(getattr(job, name)) for name in ("progress", "result", "error")}
    return {"id": str(job.id)} | {name: value for name, value in known.items() if value not in (None, {})}


@contextmanager
def _refusals() -> Iterator[None]:
    """An error of ours is a sentence, not a trace."""
    try:
        yield
    except DeviceHubError as error:
        raise click.ClickException(str(error)) from None


commands = (jobs,)
