"""What cannot be told is said to be missing, also to those who never went away."""

import pytest

from devicehub.realtime.hub import ours
from devicehub.realtime.log import News
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import make_account
from tests.realtime.clients import socket_of, stream_of
from tests.realtime.conftest import numbered

pytestmark = pytest.mark.usefixtures("app")


@pytest.mark.parametrize("opened", [socket_of, stream_of], ids=["socket", "stream"])
def test_who_stays_is_told_of_what_left_the_window_while_the_line_was_down(
    live_server: LiveServer, servers: Servers, opened: object
) -> None:
    account, log = make_account(), ours().events
    organization_id = account.actor.organization_id
    with opened(live_server.url, account) as listener:  # type: ignore[operator]
        log.publish(organization_id, numbered(0))
        listener.wait_for("device-update")
        servers.cut_lines()
        log._window, before = 50, log._window
        try:
            log.publish_all([News(organization_id, numbered(number)) for number in range(1, 101)])
        finally:
            log._window = before
        wait_until(lambda: listener.named("device-update")[-1]["number"] == 100, 20, "the last of them")
        heard = [update["number"] for update in listener.named("device-update")]
        assert heard == list(range(101)) or listener.named("resync-required")
