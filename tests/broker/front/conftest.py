"""For tests of the front door."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from broker.access import passwords

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
NOBODYS = CHEAP.hash("the password of nobody")


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords cost next to nothing to look at, where it is not their cost that is tried."""
    monkeypatch.setattr(passwords, "_hasher", CHEAP)
    monkeypatch.setattr(passwords, "_nobodys", NOBODYS)
