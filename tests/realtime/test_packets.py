"""Socket.IO packets, as a hostile client writes them."""

import pytest
from socketio.packet import ACK, CONNECT, DISCONNECT, EVENT

from devicehub.core.errors import DeviceHubError
from devicehub.realtime.packets import LARGEST_MESSAGE, Json, Packet

DEEP = "[" * 10_000 + "]" * 10_000


def read(text: object) -> Packet:
    packet = Packet(encoded_packet=text)
    assert packet.attachment_count == 0
    return packet


def test_a_sound_event_is_read_as_it_is() -> None:
    packet = read('27["join-organization",{"organizationId":"a"}]')
    assert (packet.packet_type, packet.id, packet.namespace) == (EVENT, 7, None)
    assert packet.data == ["join-organization", {"organizationId": "a"}]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("27", "MALFORMED_REQUEST"),
        ("27{", "MALFORMED_REQUEST"),
        ("27{}", "MALFORMED_REQUEST"),
        ("27[]", "MALFORMED_REQUEST"),
        ("27[{}]", "MALFORMED_REQUEST"),
        ("27[null]", "MALFORMED_REQUEST"),
        ('27[["join-organization"]]', "MALFORMED_REQUEST"),
        ('27["join-organization",NaN]', "MALFORMED_REQUEST"),
        ('27["join-organization","\\ud800"]', "MALFORMED_REQUEST"),
        (f'27["join-organization",{DEEP}]', "MALFORMED_REQUEST"),
        ('27["join-organization","' + "a" * LARGEST_MESSAGE + '"]', "PAYLOAD_TOO_LARGE"),
        ('27["join-organization","' + "é" * (LARGEST_MESSAGE // 2) + '"]', "PAYLOAD_TOO_LARGE"),
        ('51-7["join-organization",{"_placeholder":true,"num":0}]', "MALFORMED_REQUEST"),
        ('27["connect",{},{"token":"x"}]', "MALFORMED_REQUEST"),
        ('27["disconnect"]', "MALFORMED_REQUEST"),
        ('27["*","the-sid-of-another-client"]', "MALFORMED_REQUEST"),
        ('27["' + "a" * 65 + '"]', "MALFORMED_REQUEST"),
        ('27[""]', "MALFORMED_REQUEST"),
        ('27["join-organization\\n"]', "MALFORMED_REQUEST"),
    ],
)
def test_an_unsound_event_is_refused_under_its_own_acknowledgement(text: str, code: str) -> None:
    packet = read(text)
    name, error = packet.data
    assert (packet.packet_type, packet.id, name) == (EVENT, 7, "")
    assert isinstance(error, DeviceHubError)
    assert error.code == code


@pytest.mark.parametrize(
    "text", ["2" + "9" * 101 + '["a"]', '2²["a"]', "59999999999999-[]", '2/name["a"', "2/" + "n" * 70_000]
)
def test_an_event_whose_head_is_broken_is_refused_without_one(text: str) -> None:
    packet = read(text)
    assert (packet.packet_type, packet.data[0]) == (EVENT, "")
    assert isinstance(packet.data[1], DeviceHubError)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "9",
        "²",
        '4{"message":"refused"}',
        "61-[]",
        "3[]",
        "30[]",
        "35{}",
        b"",
        b"\x00\x01",
        b"2[",
        {},
        [],
        7,
    ],
)
def test_what_is_no_message_of_a_client_answers_nothing(text: object) -> None:
    packet = read(text)
    assert (packet.packet_type, packet.id, packet.data) == (ACK, None, [])


def test_an_answer_to_a_question_of_ours_is_read() -> None:
    packet = read('35["yes"]')
    assert (packet.packet_type, packet.id, packet.data) == (ACK, 5, ["yes"])


@pytest.mark.parametrize("text", ["0", '0"token"', "0[1]", "0{", f"0{DEEP}", '0{"token":"' + "a" * 70_000 + '"}'])
def test_connecting_takes_an_object_or_nothing(text: str) -> None:
    packet = read(text)
    assert (packet.packet_type, packet.data) == (CONNECT, None)


def test_connecting_and_leaving_are_read() -> None:
    assert read('0{"token":"a"}').data == {"token": "a"}
    assert read("1").packet_type == DISCONNECT
    assert read("0/other,{}").namespace == "/other"


def test_our_own_packets_are_written_as_the_protocol_wants() -> None:
    assert Packet(EVENT, data=["device-update", {"name": "é"}]).encode() == '2["device-update",{"name":"é"}]'
    assert Packet(ACK, data=[{"ok": True}], id=3).encode() == '33[{"ok":true}]'


def test_json_refuses_depth_instead_of_failing_on_it() -> None:
    with pytest.raises(ValueError):
        Json.loads(DEEP)
    assert Json.loads(Json.dumps({"a": [1, None]})) == {"a": [1, None]}
