"""Schemathesis against a running server: what one answer tells is used in the next request."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import Case
from schemathesis.generation.stateful import APIStateMachine

from tests.factories import make_account
from tests.fuzz.conftest import CAMPAIGN, Document, examples


def test_what_was_made_can_be_used_and_what_was_deleted_cannot(document: Document) -> None:
    """Every scenario is somebody else's, so that none depends on those before it."""
    schema = document(few=10, mode="positive").exclude(tag="auth")  # nobody ends his session halfway
    base: type[APIStateMachine] = schema.as_state_machine()

    class Sequences(base):  # type: ignore[misc, valid-type]
        def setup(self) -> None:
            self.caller = make_account(platform_admin=True)

        def before_call(self, case: Case) -> None:
            for name in ("Idempotency-Key", "If-Match"):  # made up, they would end most of them too early
                case.headers.pop(name, None)

        def get_call_kwargs(self, case: Case) -> dict[str, dict[str, str]]:
            return {"headers": self.caller.headers}

    run_state_machine_as_test(
        Sequences,
        settings=settings(
            max_examples=examples(10),
            stateful_step_count=6,
            derandomize=not CAMPAIGN,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
