from __future__ import annotations

import runpy

import pytest
from argon2 import PasswordHasher

from broker.access import passwords
from broker.access.passwords import (
    FORGOTTEN_AFTER,
    FREE,
    LONGEST_WAIT,
    MAX_LENGTH,
    REMEMBERED,
    Guesses,
    check_length,
    hashed,
    is_right,
    keys_of,
)
from common.errors import RequestError


def test_a_password_is_known_by_its_hash() -> None:
    hash = hashed("correct horse")
    assert hash.startswith("$argon2id$")
    assert hashed("correct horse") != hash, "each has a salt of its own"
    assert is_right("correct horse", hash)
    assert not is_right("correct horse ", hash)
    assert is_right("\udcff", hashed("\udcff"))


@pytest.mark.parametrize(("password", "hash"), [("x", None), ("x", "no hash"), ("x" * (MAX_LENGTH + 1), None)])
def test_whatever_is_none_is_wrong(password: str, hash: str | None) -> None:
    assert not is_right(password, hash)


def test_the_password_of_nobody_lets_nobody_in() -> None:
    assert not is_right("the password of nobody", None)


def test_to_look_for_nobodys_takes_as_long_and_to_begin_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not passwords._hasher.check_needs_rehash(passwords._nobodys), "its costs are others than a user's"
    monkeypatch.delattr(PasswordHasher, "hash")
    assert runpy.run_path(passwords.__file__)["_nobodys"] == passwords._nobodys


@pytest.mark.parametrize("password", ["", "1234567", "x" * (MAX_LENGTH + 1)])
def test_a_password_has_a_length(password: str) -> None:
    with pytest.raises(RequestError, match="8 to 1000"):
        check_length(password)


def test_who_guesses_has_to_wait_ever_longer() -> None:
    guesses, now, keys = Guesses(), 0.0, keys_of("192.0.2.1", "anna", "")
    waits = []
    for _ in range(FREE["address"] + 8):
        guesses.wrong(keys, now)
        waits.append(guesses.wait(keys, now))
        now += waits[-1]
        assert guesses.wait(keys, now) == 0
    assert waits[: FREE["address"]] == [0, 0, 0, 0, 1]
    assert waits[FREE["address"] :] == [2, 4, 8, 16, 32, 60, 60, 60]
    assert guesses.wait(keys, now + FORGOTTEN_AFTER) == 0
    guesses.wrong(keys, now + FORGOTTEN_AFTER)
    assert guesses.wait(keys, now + FORGOTTEN_AFTER) == 0, "all is forgotten"


def test_an_address_that_guesses_keeps_no_other_one_out() -> None:
    guesses = Guesses()
    for _ in range(FREE["address"]):
        guesses.wrong(keys_of("192.0.2.1", "anna", ""), 0.0)
    assert guesses.wait(keys_of("192.0.2.1", "ben", ""), 0.0) > 0
    assert guesses.wait(keys_of("192.0.2.2", "anna", ""), 0.0) == 0


def test_many_addresses_that_guess_at_one_account_do_not_lock_out_its_owner() -> None:
    guesses = Guesses()
    for each in range(200):
        guesses.wrong(keys_of(f"192.0.2.{each}", "anna", ""), 0.0)
    assert guesses.wait(keys_of("198.51.100.1", "anna", ""), 0.0) == LONGEST_WAIT
    assert guesses.wait(keys_of("198.51.100.1", "anna", "her browser"), 0.0) == 0
    assert guesses.wait(keys_of("198.51.100.1", "ben", ""), 0.0) == 0


def test_a_right_password_in_between_does_not_make_guessing_free() -> None:
    guesses, device = Guesses(), keys_of("192.0.2.1", "anna", "browser")
    address = keys_of("192.0.2.1", "anna", "")
    for _ in range(20):
        for keys in (address, device):
            guesses.wrong(keys, 0.0)
            guesses.wrong(keys, 0.0)
            guesses.right(keys)
    guesses.wrong(address, 0.0)
    assert guesses.wait(address, 0.0) > 0
    assert guesses.wait(device, 0.0) == 0


def test_whoever_guesses_right_never_waits() -> None:
    guesses, keys = Guesses(), keys_of("192.0.2.1", "anna", "")
    for _ in range(100):
        assert guesses.wait(keys, 0.0) == 0
        guesses.wrong(keys, 0.0)
        guesses.right(keys)


def test_who_speaks_for_many_is_counted_by_account_alone() -> None:
    assert keys_of(None, "anna", "") == (("account", "anna"),)


def test_no_more_are_remembered_than_may_be() -> None:
    guesses = Guesses()
    for each in range(REMEMBERED + 10):
        guesses.wrong(((("address", str(each))),), 0.0)
    assert len(guesses._counts) == REMEMBERED
