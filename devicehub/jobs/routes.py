"""Looking after background jobs: the door for platform admins."""

from typing import Any

from flask.views import MethodView

from devicehub.core.errors import Busy, InvalidDateRange
from devicehub.jobs import operations, schemas
from devicehub.jobs.errors import JobIsNotOver, JobIsOver, JobNotFound
from devicehub.web import pagination
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor

blp = Blueprint(
    "jobs", __name__, url_prefix="/api/admin/jobs", description="Background jobs, for platform admins."
)


@blp.route("")
class Jobs(MethodView):
    @blp.guard(platform_admin=True)
    @blp.arguments(schemas.JobQuerySchema, location="query")
    @blp.response(200, schemas.JobCursorListSchema)
    @blp.raises(InvalidDateRange)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List jobs

        Of all organizations, newest first. `dead=true` lists the dead letters: those that were given up.
        """
        found = operations.find(current_actor(), query, pagination.take_cursor(query, "jobs"))
        return pagination.cursor_list(found, "jobs")


@blp.route("/retry")
class DeadJobs(MethodView):
    @blp.guard(platform_admin=True)
    @blp.arguments(schemas.DeadJobsSchema, required=False)
    @blp.response(200, schemas.RetriedSchema)
    @blp.raises(InvalidDateRange, Busy)
    def post(self, query: dict[str, Any]) -> dict[str, Any]:
        """Let dead letters begin anew

        All that match, the oldest first, and at most `limit` a call; ask again while `hasMore`.
        """
        retried, has_more = operations.retry_dead(current_actor(), query)
        return {"retried": retried, "has_more": has_more}


@blp.route("/<id:job_id>")
class JobById(MethodView):
    @blp.guard(platform_admin=True)
    @blp.response(200, schemas.JobSchema)
    @blp.raises(JobNotFound)
    def get(self, job_id: str) -> Any:
        """Read a job"""
        return operations.get(current_actor(), job_id)


@blp.route("/<id:job_id>/retry")
class JobRetry(MethodView):
    @blp.guard(platform_admin=True)
    @blp.response(200, schemas.JobSchema)
    @blp.raises(JobNotFound, JobIsNotOver, Busy)
    def post(self, job_id: str) -> Any:
        """Let a job begin anew

        One that failed or was cancelled, with all its attempts before it.
        """
        return operations.retry(current_actor(), job_id)


@blp.route("/<id:job_id>/cancel")
class JobCancellation(MethodView):
    @blp.guard(platform_admin=True)
    @blp.response(200, schemas.JobSchema)
    @blp.raises(JobNotFound, JobIsOver, Busy)
    def post(self, job_id: str) -> Any:
        """Call a job off

        At once when it waits; when it is worked on, its worker stops within 2 seconds (`cancelRequestedAt`).
        """
        return operations.cancel(current_actor(), job_id)
