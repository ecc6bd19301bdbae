"""What one wants to be told of: one's own choice, but for what concerns the safety of the account."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.mail import service as mail
from devicehub.mail.models import Mail
from devicehub.mail.schemas import MailPreferencesSchema
from tests.factories import Account, make_account
from tests.mail.conftest import DATA
from tests.web.refusals import refused

PREFERENCES = "/api/users/preferences"
OPTIONAL = {"invitation", "exportReady", "deviceOffline", "report"}
IN_APP = {"deviceOffline", "invitation", "exportReady", "exportFailed", "report", "webhook"}
FIXED = {"otp", "passwordChanged", "newSignIn", "refreshReused", "emailChange", "emailChanged"}


def test_a_stranger_has_none(client: FlaskClient) -> None:
    for method in ("GET", "PUT", "PATCH"):
        refused(client.open(PREFERENCES, method=method), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor(role="viewer")
def test_everything_is_mailed_until_somebody_says_otherwise(client: FlaskClient) -> None:
    found = client.get(PREFERENCES).json
    in_app = dict.fromkeys(IN_APP | {"security"}, True)
    mails, passed_on = dict.fromkeys(OPTIONAL | FIXED, True), dict.fromkeys(IN_APP | {"security"}, False)
    assert found == {"mail": mails, "inApp": in_app, "webhooks": passed_on, "offlineDevices": "own"}
    assert MailPreferencesSchema().validate(found["mail"]) == {}


@pytest.mark.actor(role="viewer")
def test_patching_changes_what_it_names_and_nothing_else(client: FlaskClient) -> None:
    client.patch(PREFERENCES, json={"mail": {"report": False}})
    answer = client.patch(PREFERENCES, json={"mail": {"device_offline": False}})
    assert answer.json["mail"] == dict.fromkeys(OPTIONAL | FIXED, True) | {"report": False, "deviceOffline": False}
    assert client.get(PREFERENCES).json == answer.json
    assert client.patch(PREFERENCES, json={"mail": {"report": True}}).json["mail"]["report"] is True


@pytest.mark.actor()
@pytest.mark.parametrize("body", [{}, {"mail": {}}, None])
def test_a_patch_of_nothing_changes_nothing(client: FlaskClient, body: Any) -> None:
    before = client.get(PREFERENCES).json
    assert client.patch(PREFERENCES, json=body or {}).json == before


@pytest.mark.actor()
def test_putting_takes_every_choice_there_is(client: FlaskClient) -> None:
    problem = refused(client.put(PREFERENCES, json={"mail": {"report": False}}), 422, "VALIDATION_ERROR")
    assert set(problem["errors"]["mail"]) == OPTIONAL - {"report"}
    assert list(refused(client.put(PREFERENCES, json={}), 422)["errors"]) == ["mail"]
    none = dict.fromkeys(OPTIONAL, False)
    assert client.put(PREFERENCES, json={"mail": none}).json["mail"] == none | dict.fromkeys(FIXED, True)


@pytest.mark.actor(role="viewer")
def test_what_is_kept_within_the_application_is_chosen_apart_from_mails(client: FlaskClient) -> None:
    answer = client.patch(PREFERENCES, json={"inApp": {"report": False}, "offlineDevices": "all"}).json
    assert answer["inApp"] == dict.fromkeys(IN_APP | {"security"}, True) | {"report": False}
    assert answer["mail"]["report"] is True
    assert answer["offlineDevices"] == "all"
    assert client.get(PREFERENCES).json == answer


@pytest.mark.actor(role="viewer")
def test_nothing_is_passed_on_to_webhooks_until_somebody_says_so(client: FlaskClient) -> None:
    wish = {"security": True, "device_offline": True}
    answer = client.patch(PREFERENCES, json={"webhooks": wish}).json
    nothing = dict.fromkeys(IN_APP | {"security"}, False)
    assert answer["webhooks"] == nothing | {"security": True, "deviceOffline": True}
    assert client.patch(PREFERENCES, json={"webhooks": {"security": False}}).json["webhooks"]["security"] is False
    refused(client.patch(PREFERENCES, json={"webhooks": {"otp": True}}), 422, "VALIDATION_ERROR")


@pytest.mark.actor()
def test_whoever_puts_mails_alone_leaves_the_rest(client: FlaskClient) -> None:
    before = client.patch(PREFERENCES, json={"inApp": {"report": False}, "offlineDevices": "all"}).json
    put = client.put(PREFERENCES, json={"mail": dict.fromkeys(OPTIONAL, False)}).json
    assert {name: put[name] for name in ("inApp", "offlineDevices")} == {
        name: before[name] for name in ("inApp", "offlineDevices")
    }


@pytest.mark.actor()
def test_what_concerns_safety_stays_within_the_application_too(client: FlaskClient) -> None:
    problem = refused(client.patch(PREFERENCES, json={"inApp": {"security": False}}), 422, "VALIDATION_ERROR")
    assert "cannot be turned off" in problem["errors"]["inApp"]["security"][0]


@pytest.mark.actor()
@pytest.mark.parametrize("odd", [None, "some", 1, {"$ne": "own"}])
def test_devices_are_ones_own_or_all(client: FlaskClient, odd: Any) -> None:
    refused(client.patch(PREFERENCES, json={"offlineDevices": odd}), 422, "VALIDATION_ERROR")


@pytest.mark.actor()
def test_what_was_read_can_be_put_back(client: FlaskClient) -> None:
    client.patch(PREFERENCES, json={"mail": {"invitation": False}})
    found = client.get(PREFERENCES).json
    assert client.put(PREFERENCES, json=found).json == found


@pytest.mark.actor()
@pytest.mark.parametrize("kind", sorted(FIXED))
def test_what_concerns_safety_cannot_be_turned_off(client: FlaskClient, kind: str) -> None:
    for method in ("PATCH", "PUT"):
        wish = {"mail": dict.fromkeys(OPTIONAL, True) | {kind: False}}
        problem = refused(client.open(PREFERENCES, method=method, json=wish), 422, "VALIDATION_ERROR")
        assert "cannot be turned off" in problem["errors"]["mail"][kind][0]
    assert client.get(PREFERENCES).json["mail"][kind] is True


@pytest.mark.actor()
@pytest.mark.parametrize("odd", [None, 1, 0, "true", "yes", [], {"$ne": True}])
def test_a_choice_is_true_or_false(client: FlaskClient, odd: Any) -> None:
    for kind in ("report", "otp"):
        problem = refused(client.patch(PREFERENCES, json={"mail": {kind: odd}}), 422, "VALIDATION_ERROR")
        assert list(problem["errors"]["mail"]) == [kind]


@pytest.mark.actor()
def test_there_are_no_other_kinds(client: FlaskClient) -> None:
    problem = refused(client.patch(PREFERENCES, json={"mail": {"birthday": False}}), 422, "VALIDATION_ERROR")
    assert problem["errors"] == {"mail": {"birthday": ["Unknown field."]}}


def test_nobody_changes_anothers(client_of: Callable[[Account], FlaskClient]) -> None:
    ada, bob = make_account(), make_account(name="Bob")
    client_of(ada).patch(PREFERENCES, json={"mail": {"invitation": False}})
    assert client_of(bob).get(PREFERENCES).json["mail"]["invitation"] is True


@pytest.mark.actor()
def test_what_is_turned_off_is_not_mailed(client: FlaskClient, account: Account) -> None:
    client.patch(PREFERENCES, json={"mail": {"invitation": False}})
    for kind in ("invitation", "otp"):
        mail.send(kind, account.email, DATA[kind], key=kind, user_id=account.actor.user_id)
    assert list(Mail.objects.scalar("kind")) == ["otp"]
