"""Passwords: how long one has to be."""

import pytest

from devicehub.auth import passwords
from devicehub.auth.errors import UnfitPassword


@pytest.mark.parametrize("password", ["seven77", "\u00bc\u00bd\u00be\u2153", "e\u0301" * 7])
def test_it_has_eight_characters_as_it_is_sent_and_as_it_is_kept(password: str) -> None:
    with pytest.raises(UnfitPassword) as refusal:
        passwords.check(password, name="Ada", email="ada@example.com")
    assert refusal.value.errors == {"password": ["Shorter than 8 characters."]}


@pytest.mark.parametrize("password", ["tr0mb0n3", "\u00bc" * 8, "e\u0301" * 8])
def test_with_eight_of_both_it_is_long_enough(password: str) -> None:
    passwords.check(password, name="Ada", email="ada@example.com")
