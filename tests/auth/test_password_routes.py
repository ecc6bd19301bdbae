"""Another password: changed by who knows the present one, or reset by who reads the mail."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.audit.models import AuditEntry
from devicehub.auth import email_change, resets, sessions
from devicehub.auth.errors import InvalidRefreshToken
from devicehub.auth.models import PasswordChallenge
from devicehub.core import clock as system_clock
from devicehub.core import mongo, redis
from devicehub.core.config import Settings
from devicehub.jobs.models import Job
from devicehub.mail.models import Mail
from devicehub.organizations import members
from devicehub.users.models import User
from tests.auth.test_lockout import ELSEWHERE, HERE, exhaust, guess, sign_in
from tests.auth.test_routes import refresh
from tests.conftest import Servers, wait_until
from tests.factories import PASSWORD, Account, log_in, make_account, make_code
from tests.jobs.inline import run_due_jobs
from tests.organizations.test_members import member_of
from tests.web.refusals import refused

PATH = "/api/auth/password"
NEW, NEWER = "staple battery horse", "tray table upright"
PROFILE = "/api/users/profile"
NOBODYS = "A" * 22


def change(client: FlaskClient, account: Account, current: str = PASSWORD, new: str = NEW) -> Any:
    body = {"currentPassword": current, "newPassword": new}
    return client.post(f"{PATH}/change", json=body, headers=account.headers | {"User-Agent": "tests"})


def forget(client: FlaskClient, email: str) -> Any:
    return client.post(f"{PATH}/forgot", json={"email": email})


def verify(client: FlaskClient, challenge_id: str, otp: str) -> Any:
    return client.post(f"{PATH}/verify-otp", json={"challengeId": challenge_id, "otp": otp})


def reset(client: FlaskClient, token: str, password: str = NEW, *, ip: str = HERE) -> Any:
    body = {"resetToken": token, "newPassword": password}
    return client.post(f"{PATH}/reset", json=body, environ_base={"REMOTE_ADDR": ip})


def reset_token(client: FlaskClient, email: str) -> str:
    return str(verify(client, *make_code(email)).json["resetToken"])


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


def test_a_stranger_changes_nothing(client: FlaskClient) -> None:
    answer = client.post(f"{PATH}/change", json={"currentPassword": PASSWORD, "newPassword": NEW})
    refused(answer, 401, "AUTHENTICATION_REQUIRED")


def test_a_changed_password_opens_and_the_one_before_does_not(client: FlaskClient, told: Any) -> None:
    ada = make_account()
    assert change(client, ada).status_code == 200
    assert sign_in(client, ada.email, NEW).status_code == 200
    refused(sign_in(client, ada.email, PASSWORD), 401, "INVALID_CREDENTIALS")
    [event] = [event for event in told if event.name == "user.password_changed"]
    assert event.data == {"user_id": ada.actor.user_id}
    [mail] = Mail.objects(kind="password_changed")
    assert (mail.to, mail.data["ip"]) == (ada.email, "127.0.0.1")


def test_the_caller_goes_on_with_a_new_pair_and_all_others_are_out(client: FlaskClient) -> None:
    ada = make_account()
    elsewhere, bystander = log_in(ada.email), make_account()
    answer = change(client, ada)
    fresh = {"Authorization": f"Bearer {answer.json['accessToken']}"}
    assert client.get(PROFILE, headers=fresh).status_code == 200
    assert refresh(client, answer.json["refreshToken"], **{"User-Agent": "tests"}).status_code == 200
    listed = client.get("/api/auth/sessions", headers=fresh).json["items"]
    assert [item["id"] for item in listed] == [ada.actor.session_id]
    refused(client.get(PROFILE, headers=ada.headers), 401, "TOKEN_STALE")
    refused(client.get(PROFILE, headers=elsewhere.headers), 401, "TOKEN_REVOKED")
    refused(refresh(client, elsewhere.refresh_token), 401, "INVALID_REFRESH_TOKEN")
    assert client.get(PROFILE, headers=bystander.headers).status_code == 200


def test_the_callers_refresh_token_of_before_is_worth_nothing_and_ends_nothing(client: FlaskClient) -> None:
    """Not even a twin's: whoever had stolen it is out, and whoever changed the password is not."""
    ada = make_account()
    answer = change(client, ada)
    refused(refresh(client, ada.refresh_token, **{"User-Agent": "tests"}), 401, "INVALID_REFRESH_TOKEN")
    assert refresh(client, answer.json["refreshToken"], **{"User-Agent": "tests"}).status_code == 200


def test_a_session_opened_with_the_password_of_before_at_that_very_moment_does_not_last(
    client: FlaskClient,
) -> None:
    ada = make_account()
    user = User.objects(email=ada.email).first()  # as a sign-in that is still comparing has read it
    change(client, ada)
    grant = sessions.open_session(user, ip=None, user_agent="tests")
    with pytest.raises(InvalidRefreshToken):
        sessions.rotate(grant.refresh_token, ip=None, user_agent="tests")


def test_known_devices_are_no_longer_known_but_the_one_it_was_changed_on(client: FlaskClient) -> None:
    ada = make_account()
    before = sign_in(client, ada.email).json["deviceToken"]
    after = change(client, ada).json["deviceToken"]
    guess(client, ada.email, times=5)
    refused(sign_in(client, ada.email, NEW, deviceToken=before), 423, "ACCOUNT_LOCKED")
    assert sign_in(client, ada.email, NEW, deviceToken=after).status_code == 200


def test_a_wrong_present_password_changes_nothing_and_is_counted(client: FlaskClient) -> None:
    ada = make_account()
    told = [change(client, ada, "wrong horse battery").json["code"] for _ in range(6)]
    assert told == ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"]
    locked = change(client, ada)
    refused(locked, 423, "ACCOUNT_LOCKED")
    assert locked.headers["Retry-After"] == "60"
    assert client.get(PROFILE, headers=ada.headers).status_code == 200
    assert sign_in(client, ada.email).status_code == 200


def test_failures_of_others_keep_nobody_from_changing_their_password(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = make_account()
    guess(client, ada.email, times=6, ip="127.0.0.1")
    exhaust(client, ada.email, monkeypatch)
    assert change(client, ada).status_code == 200


@pytest.mark.parametrize("unfit", ["short", "password123", "Lovelace1815", "\u00e9" * 40])
def test_an_unfit_password_is_refused_by_its_name(client: FlaskClient, unfit: str) -> None:
    problem = refused(change(client, make_account(), new=unfit), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == ["newPassword"]


@pytest.mark.parametrize("unfit", ["short", "\u00e9" * 40])
def test_one_of_no_fit_length_is_refused_before_anything_is_looked_up(client: FlaskClient, unfit: str) -> None:
    for answer in (
        change(client, make_account(), "no password of theirs", unfit),
        reset(client, "no token", unfit),
    ):
        problem = refused(answer, 422, "VALIDATION_ERROR")
        assert list(problem["errors"]) == ["newPassword"]


def test_the_present_password_and_the_one_before_are_refused_and_older_ones_not(client: FlaskClient) -> None:
    ada = make_account()
    refused(change(client, ada, PASSWORD, PASSWORD), 422, "PASSWORD_REUSED")
    ada.access_token = change(client, ada, PASSWORD, NEW).json["accessToken"]
    refused(change(client, ada, NEW, PASSWORD), 422, "PASSWORD_REUSED")
    ada.access_token = change(client, ada, NEW, NEWER).json["accessToken"]
    assert change(client, ada, NEWER, PASSWORD).status_code == 200


def test_of_two_changes_at_once_one_is_done(client: FlaskClient, app: Any) -> None:
    ada = make_account()

    def ask(new: str) -> Any:
        return change(app.test_client(), ada, new=new)

    with ThreadPoolExecutor(2) as callers:
        answers = dict(zip((NEW, NEWER), callers.map(ask, (NEW, NEWER)), strict=True))
    [set_now] = [new for new, answer in answers.items() if answer.status_code == 200]
    assert {answer.status_code for answer in answers.values()} == {200, 401}
    assert sign_in(client, ada.email, set_now).status_code == 200
    assert User.objects(email=ada.email).first().password_version == 1


def without(answer: Any, *members: str) -> Any:
    return {name: value for name, value in answer.json.items() if name not in members}


def test_forgetting_is_answered_alike_whether_there_is_such_an_account_or_not(client: FlaskClient) -> None:
    answers = [forget(client, email) for email in (make_account().email, "nobody@example.com")]
    for answer in answers:
        assert answer.status_code == 202
        assert set(answer.json) == {"challengeId", "expiresIn"}
        assert (answer.json["expiresIn"], len(answer.json["challengeId"])) == (600, 22)
    assert Mail.objects.count() == 0  # nothing has been looked up
    assert [job.arguments for job in Job.objects(name="auth.send_otp").order_by("created_at", "id")] == [
        {"challengeId": answer.json["challengeId"]} for answer in answers
    ]


def do_jobs() -> None:
    run_due_jobs("auth.send_otp")


def test_the_job_mails_a_code_to_whom_it_is_and_to_nobody_else(client: FlaskClient) -> None:
    ada = make_account()
    for email in (ada.email.upper(), "nobody@example.com"):
        forget(client, email)
    do_jobs()
    [mail] = Mail.objects(kind="otp")
    assert (mail.to, mail.data["minutes"], str(mail.user_id)) == (ada.email, 10, ada.actor.user_id)
    assert re.fullmatch("[0-9]{6}", mail.data["code"])
    assert 590 < (mail.dies_at - system_clock.now()).total_seconds() <= 600


def test_what_is_kept_of_a_challenge_tells_no_address_and_no_code(client: FlaskClient) -> None:
    ada = make_account()
    for email in (ada.email, "nobody@example.com"):
        forget(client, email)
    do_jobs()
    [mail] = Mail.objects(kind="otp")
    db = mongo.database()
    kept = [
        *db["password_challenges"].find(),
        *db["otp_requests"].find(),
        *db["jobs"].find({"name": "auth.send_otp"}),
    ]
    values = [redis.current().client.get(key) for key in redis.current().client.keys("otp:*")]
    assert len(values) == 1
    assert "example.com" not in str(kept)
    assert mail.data["code"] not in str(kept) + str(values)
    assert all(row["expires_at"] for row in kept if "name" not in row)


def test_a_job_that_is_done_again_mails_nothing_more(client: FlaskClient) -> None:
    challenge_id = forget(client, make_account().email).json["challengeId"]
    do_jobs()
    resets.send_code(challenge_id, attempt=1)
    assert Mail.objects(kind="otp").count() == 1


def test_a_code_is_exchanged_for_a_token_that_sets_another_password(client: FlaskClient, told: Any) -> None:
    ada = make_account()
    token = verify(client, *make_code(ada.email))
    assert token.status_code == 200
    assert reset(client, token.json["resetToken"]).status_code == 204
    assert sign_in(client, ada.email, NEW).status_code == 200
    refused(sign_in(client, ada.email, PASSWORD), 401, "INVALID_CREDENTIALS")
    assert Mail.objects(kind="password_changed", to=ada.email).count() == 1
    [event] = [event for event in told if event.name == "user.password_changed"]
    assert event.data == {"user_id": ada.actor.user_id}


def test_a_reset_ends_every_session_and_every_known_device(client: FlaskClient) -> None:
    ada = make_account()
    known = sign_in(client, ada.email).json["deviceToken"]
    elsewhere = log_in(ada.email)
    reset(client, reset_token(client, ada.email), ip=ELSEWHERE)
    for account in (ada, elsewhere):
        refused(client.get(PROFILE, headers=account.headers), 401, "TOKEN_REVOKED")
        refused(refresh(client, account.refresh_token), 401, "INVALID_REFRESH_TOKEN")
    guess(client, ada.email, times=5)
    refused(sign_in(client, ada.email, NEW, deviceToken=known), 423, "ACCOUNT_LOCKED")


def test_a_code_is_good_once(client: FlaskClient) -> None:
    challenge_id, code = make_code(make_account().email)
    assert verify(client, challenge_id, code).status_code == 200
    problem = refused(verify(client, challenge_id, code), 401, "INVALID_OTP")
    assert problem["attemptsRemaining"] == 3


def test_of_many_who_send_the_code_at_once_one_is_given_the_token(app: Any) -> None:
    challenge_id, code = make_code(make_account().email)
    with ThreadPoolExecutor(5) as callers:
        answers = list(callers.map(lambda _: verify(app.test_client(), challenge_id, code), range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]


def test_five_wrong_tries_use_a_challenge_up(client: FlaskClient) -> None:
    challenge_id, code = make_code(make_account().email)
    left = [
        refused(verify(client, challenge_id, other_than(code)), 401, "INVALID_OTP")["attemptsRemaining"]
        for _ in range(6)
    ]
    assert left == [4, 3, 2, 1, 0, 0]
    refused(verify(client, challenge_id, code), 401, "INVALID_OTP")


def test_the_fifth_try_may_be_the_right_one(client: FlaskClient) -> None:
    challenge_id, code = make_code(make_account().email)
    for _ in range(4):
        verify(client, challenge_id, other_than(code))
    assert verify(client, challenge_id, code).status_code == 200


def test_a_challenge_of_nobody_and_one_that_never_was_answer_like_one_of_somebody(client: FlaskClient) -> None:
    known, code = make_code(make_account().email)
    nobodys = forget(client, "nobody@example.com").json["challengeId"]
    do_jobs()
    for _ in range(7):
        answers = [verify(client, challenge, other_than(code)) for challenge in (known, nobodys, NOBODYS)]
        assert {answer.status_code for answer in answers} == {401}
        told = [without(answer, "requestId") for answer in answers]
        assert told[0] == told[1] == told[2]


def test_the_newest_challenge_counts(client: FlaskClient) -> None:
    email = make_account().email
    first, second = make_code(email), make_code(email)
    refused(verify(client, *first), 401, "INVALID_OTP")
    assert verify(client, *second).status_code == 200


def test_a_code_of_one_challenge_is_none_of_another(client: FlaskClient) -> None:
    (ours, _), (_, theirs) = make_code(make_account().email), make_code(make_account().email)
    refused(verify(client, ours, theirs), 401, "INVALID_OTP")


def test_a_code_is_good_for_ten_minutes(client: FlaskClient, clock: Any) -> None:
    (early, code), (late, later_code) = make_code(make_account().email), make_code(make_account().email)
    clock(599)
    assert verify(client, early, code).status_code == 200
    clock(2)
    refused(verify(client, late, later_code), 401, "INVALID_OTP")


def test_no_code_outlives_its_challenge_in_redis(client: FlaskClient) -> None:
    challenge_id, _ = make_code(make_account().email)
    assert 590 < redis.current().client.ttl(f"otp:{challenge_id}") <= 600


def test_three_codes_an_hour_are_mailed_and_more_are_answered_all_the_same(
    client: FlaskClient, clock: Any
) -> None:
    email = make_account().email
    answers = []
    for _ in range(5):
        answers.append(forget(client, email))
        do_jobs()
    assert [answer.status_code for answer in answers] == [202] * 5
    assert Mail.objects(kind="otp").count() == 3
    code = Mail.objects(kind="otp").order_by("-id").first().data["code"]
    assert verify(client, answers[2].json["challengeId"], code).status_code == 200, "the last that was mailed"
    clock(3601)
    forget(client, email)
    do_jobs()
    assert Mail.objects(kind="otp").count() == 4


def test_a_job_that_comes_too_late_mails_nothing(client: FlaskClient, clock: Any) -> None:
    forget(client, make_account().email)
    clock(601)
    do_jobs()
    assert Mail.objects(kind="otp").count() == 0


def test_a_job_tried_again_mails_another_code_and_that_one_counts(
    client: FlaskClient, servers: Servers, clock: Any
) -> None:
    challenge_id = forget(client, make_account().email).json["challengeId"]
    servers.redis.stop()
    try:
        do_jobs()
        assert Mail.objects(kind="otp").count() == 0
        assert forget(client, make_account().email).status_code == 202
        refused(verify(client, challenge_id, "000000"), 503, "SERVICE_UNAVAILABLE")
    finally:
        servers.restart_redis()
    wait_until(redis.current().is_alive)
    clock(5)
    do_jobs()
    code = Mail.objects(key=f"otp:{challenge_id}:2").first().data["code"]
    assert verify(client, challenge_id, code).status_code == 200
    assert PasswordChallenge.objects(id=challenge_id).first().tries == 1, "without Redis nobody has tried"


def test_every_step_of_a_reset_stands_in_the_audit_trail(client: FlaskClient) -> None:
    ada = make_account()
    challenge_id = forget(client, ada.email).json["challengeId"]
    do_jobs()
    code = Mail.objects(kind="otp").first().data["code"]
    refused(verify(client, challenge_id, other_than(code)), 401, "INVALID_OTP")
    assert reset(client, verify(client, challenge_id, code).json["resetToken"]).status_code == 204
    trail = AuditEntry.objects(actor_id=ObjectId(ada.actor.user_id), action__startswith="user.password")
    assert [(entry.action, entry.outcome) for entry in trail.order_by("sequence")] == [
        ("user.password_reset_requested", "done"),
        ("user.password_reset_proven", "done"),
        ("user.password_changed", "intended"),
        ("user.password_changed", "done"),
    ]


def test_a_reset_token_is_good_once(client: FlaskClient) -> None:
    token = reset_token(client, make_account().email)
    assert reset(client, token).status_code == 204
    refused(reset(client, token, NEWER), 401, "INVALID_TOKEN")


def test_of_many_who_send_a_reset_token_at_once_one_sets_the_password(app: Any, client: FlaskClient) -> None:
    ada = make_account()
    token = reset_token(client, ada.email)
    wanted = [f"staple battery horse {number}" for number in range(5)]
    with ThreadPoolExecutor(5) as callers:
        answers = list(callers.map(lambda new: reset(app.test_client(), token, new), wanted))
    [won] = [new for new, answer in zip(wanted, answers, strict=True) if answer.status_code == 204]
    assert sorted(answer.status_code for answer in answers) == [204, 401, 401, 401, 401]
    assert sign_in(client, ada.email, won).status_code == 200


@pytest.mark.parametrize(
    ("password", "code"),
    [("short", "VALIDATION_ERROR"), ("password123", "VALIDATION_ERROR"), (PASSWORD, "PASSWORD_REUSED")],
)
def test_a_password_that_is_refused_does_not_use_the_token_up(
    client: FlaskClient, password: str, code: str
) -> None:
    token = reset_token(client, make_account().email)
    problem = refused(reset(client, token, password), 422, code)
    assert list(problem["errors"]) == ["newPassword"]
    assert reset(client, token).status_code == 204


def test_a_reset_token_is_good_for_ten_minutes(client: FlaskClient, clock: Any) -> None:
    token = reset_token(client, make_account().email)
    clock(601)
    refused(reset(client, token), 401, "INVALID_TOKEN")


def test_a_changed_password_uses_reset_tokens_up(client: FlaskClient) -> None:
    ada = make_account()
    token = reset_token(client, ada.email)
    change(client, ada)
    refused(reset(client, token, NEWER), 401, "INVALID_TOKEN")


@pytest.mark.parametrize("spoil", ["", "x", "dhp1", "{token}x", "dhl1.{rest}", "{device}", "{refresh}"])
def test_nothing_else_resets_a_password(client: FlaskClient, spoil: str) -> None:
    ada = make_account()
    token, device = reset_token(client, ada.email), sign_in(client, ada.email).json["deviceToken"]
    spoiled = spoil.format(token=token, rest=token[5:], device=device, refresh=ada.refresh_token)
    refused(reset(client, spoiled), 401, "INVALID_TOKEN")


def test_restoring_a_backup_ends_reset_tokens(client: FlaskClient) -> None:
    token = reset_token(client, make_account().email)
    mongo.database()["system"].insert_one({"_id": "token_epoch", "value": 1})
    refused(reset(client, token), 401, "INVALID_TOKEN")


def test_a_reset_opens_the_address_to_where_it_was_made_even_while_it_is_closed(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = make_account()
    exhaust(client, ada.email, monkeypatch)
    reset(client, reset_token(client, ada.email), ip=ELSEWHERE)
    refused(sign_in(client, ada.email, NEW), 423, "ACCOUNT_LOCKED")
    assert sign_in(client, ada.email, NEW, ip=ELSEWHERE).status_code == 200


@pytest.mark.parametrize("otp", ["12345", "1234567", "12345a", "\u0661" * 6, "123456\n", "", 123456, None])
def test_a_code_has_six_digits(client: FlaskClient, otp: Any) -> None:
    refused(verify(client, NOBODYS, otp), 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("challenge_id", ["", "x", "A" * 23, "A" * 21 + "*", "A" * 22 + "\n", None])
def test_a_challenge_has_its_form(client: FlaskClient, challenge_id: Any) -> None:
    refused(verify(client, challenge_id, "000000"), 422, "VALIDATION_ERROR")


def test_all_of_them_count_as_attempts_to_sign_in(client: FlaskClient, using: Any, settings: Settings) -> None:
    ada = make_account()
    asks: dict[str, Any] = {
        "forgot": lambda: forget(client, "nobody@example.com"),
        "verify-otp": lambda: verify(client, NOBODYS, "000000"),
        "reset": lambda: client.post(f"{PATH}/reset", json={"resetToken": "x", "newPassword": NEW}),
        "change": lambda: change(client, ada),
    }
    with using(auth_rate_limit="4 per minute"):
        for ask in asks.values():
            assert ask().status_code != 429
        for ask in asks.values():
            refused(ask(), 429, "AUTH_RATE_LIMIT_EXCEEDED")


def test_who_belongs_to_no_organization_and_lost_their_password_finds_a_way_in(client: FlaskClient) -> None:
    owner = make_account()
    ada = member_of(owner, "viewer")
    members.remove(owner.actor, ada.actor.user_id)
    assert reset(client, reset_token(client, ada.email)).status_code == 204
    assert sign_in(client, ada.email, NEW).status_code == 200


@pytest.mark.parametrize("proven", [True, False])
def test_a_code_that_was_mailed_to_the_address_before_is_worth_nothing(client: FlaskClient, proven: bool) -> None:
    ada = make_account()
    code = make_code(ada.email)
    token = verify(client, *code).json["resetToken"] if proven else ""
    email_change.ask(ada.actor, email="new@example.com", current_password=PASSWORD)
    email_change.confirm(Mail.objects(kind="email_change").first().data["token"], ip=None)
    if proven:
        refused(reset(client, token), 401, "INVALID_TOKEN")
    else:
        refused(verify(client, *code), 401, "INVALID_OTP")
