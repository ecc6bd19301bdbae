"""Proofs and fingerprints."""

import itertools

import pytest

from devicehub.core import crypto


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a|b",), ("a", "b")),
        (("a", "b|c"), ("a|b", "c")),
        (("a", ""), ("a",)),
        (("", "a"), ("a", "")),
        (("1:a",), ("1", "a")),
        (("a", "1:b"), ("a1:", "b")),
        (("12", "3"), ("1", "23")),
        ((), ("",)),
    ],
)
def test_no_two_lists_of_parts_have_the_same_mac(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert crypto.mac("key", *one) != crypto.mac("key", *other)


def test_every_short_list_of_awkward_parts_has_a_mac_of_its_own() -> None:
    awkward = ["", "|", ":", "1:", "|1", "a"]
    lists = [parts for length in range(4) for parts in itertools.product(awkward, repeat=length)]
    assert len({crypto.mac("key", *parts) for parts in lists}) == len(lists)


def test_a_mac_depends_on_its_key_and_is_safe_in_a_url() -> None:
    one, other = crypto.mac("key", "part"), crypto.mac("another", "part")
    assert one != other
    assert all(character.isalnum() or character in "-_" for character in one)


def test_secrets_are_compared_whatever_they_are_made_of() -> None:
    assert crypto.same("gleich ü", "gleich ü")
    assert not crypto.same("ü", "u")
    assert not crypto.same("", "x")


def test_tokens_are_never_the_same_twice() -> None:
    made = {crypto.random_token() for _ in range(1000)}
    assert len(made) == 1000 and min(len(token) for token in made) == 43


def test_a_digest_is_the_same_for_text_and_its_bytes() -> None:
    assert crypto.digest("é") == crypto.digest("é".encode()) != crypto.digest("e")


def test_what_is_kept_of_a_secret_is_its_sha_256() -> None:
    assert crypto.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
