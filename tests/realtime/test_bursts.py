"""Much at once: who reads as fast as it comes is not taken for somebody who does not."""

import pytest

from devicehub.realtime import publishing
from devicehub.realtime.hub import ours
from devicehub.realtime.log import News
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import make_account
from tests.realtime.clients import socket_of, stream_of, tell_much
from tests.realtime.conftest import numbered

pytestmark = pytest.mark.usefixtures("app")


def test_what_was_missed_while_the_line_was_down_cuts_nobody_off(
    live_server: LiveServer, servers: Servers
) -> None:
    account = make_account()
    with socket_of(live_server.url, account) as socket, stream_of(live_server.url, account) as stream:
        servers.cut_lines()
        news = [News(account.actor.organization_id, numbered(number)) for number in range(1500)]
        ours().events.publish_all(news)
        wait_until(
            lambda: len(socket.named("device-update")) == 1500 or not socket.client.connected, 20, "all of them"
        )
        assert [one["number"] for one in socket.named("device-update")] == list(range(1500))
        stream.wait_for("device-update", 1500)
        assert socket.client.connected


def test_a_round_of_large_beats_cuts_nobody_off(live_server: LiveServer) -> None:
    account = make_account()
    with socket_of(live_server.url, account) as socket:
        with publishing.together():
            tell_much(account.actor, 60)
        wait_until(
            lambda: len(socket.named("device-heartbeat")) == 60 or not socket.client.connected, 20, "all of them"
        )
        assert len(socket.named("device-heartbeat")) == 60
        assert socket.client.connected


def test_very_many_at_once_cut_no_stream_off(live_server: LiveServer) -> None:
    account = make_account()
    with socket_of(live_server.url, account) as socket, stream_of(live_server.url, account) as stream:
        news = [News(account.actor.organization_id, numbered(number)) for number in range(3000)]
        ours().events.publish_all(news)
        wait_until(lambda: stream.ended or len(stream.named("device-update")) == 3000, 20, "all of them")
        assert len(stream.named("device-update")) == 3000
        socket.wait_for("device-update", 3000)
