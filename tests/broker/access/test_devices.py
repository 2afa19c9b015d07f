"""Marks of browsers: good for one user, one password and a time, and made by nobody else."""

from __future__ import annotations

import pytest

from broker.access.devices import Devices

DEVICES = Devices(b"secret")
MARK = DEVICES.mark("ben", "hash", expires=100.5)


def test_a_mark_is_known_until_it_runs_out() -> None:
    assert DEVICES.knows("ben", "hash", MARK, now=99.0)
    assert not DEVICES.knows("ben", "hash", MARK, now=100.0)


@pytest.mark.parametrize(("name", "hash"), [("carl", "hash"), ("ben", "another"), ("ben", "")])
def test_a_mark_is_of_one_user_and_one_password(name: str, hash: str) -> None:
    assert not DEVICES.knows(name, hash, MARK, now=1.0)


def test_nobody_can_make_a_mark_or_a_later_one() -> None:
    assert not Devices(b"another").knows("ben", "hash", MARK, now=1.0)
    assert not DEVICES.knows("ben", "hash", MARK.replace("100.", "999.", 1), now=1.0)
    for nonsense in ("", ".", "100", "100.x.", "é.é", "\udcff.\udcff"):
        assert not DEVICES.knows("ben", "hash", nonsense, now=1.0)


def test_two_browsers_have_two_marks() -> None:
    assert DEVICES.mark("ben", "hash", expires=100.5) != MARK
