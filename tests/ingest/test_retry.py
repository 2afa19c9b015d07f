"""Cameras are tried again, ever more seldom."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CameraState, Transport
from ingest.retry import SETTLED_AFTER, Account, Attempts, Logins, Transports

ACCOUNT = Account("recorder", 554, "admin", "secret")
FAILURES = [state for state in CameraState if state.failed]


def delays(state: CameraState, count: int, chance: float) -> list[float]:
    attempts = Attempts(lambda: chance)
    return [attempts.failed(state) for _ in range(count)]


def test_network_failures() -> None:
    assert delays(CameraState.CLOSED, 8, 0.0) == [1, 2, 4, 8, 16, 30, 30, 30]
    assert delays(CameraState.CLOSED, 8, 1.0) == [0.5] * 8


def test_failures_that_somebody_has_to_mend() -> None:
    for state in (CameraState.NOT_FOUND, CameraState.NO_PLAYABLE_TRACK, CameraState.NOT_RTSP):
        assert delays(state, 5, 0.0) == [10, 20, 40, 60, 60]
        assert min(delays(state, 5, 1.0)) >= 5


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_wrong_passwords_cannot_lock_an_account(chance: float) -> None:
    waits = delays(CameraState.UNAUTHORIZED, 8, chance)
    assert waits[:5] == [120, 240, 480, 960, 1_800]
    assert max(waits) == 1_800
    attempts = [sum(waits[:n]) for n in range(8)]
    for start in attempts:
        assert sum(start <= at < start + 1_800 for at in attempts) < 5


@given(st.lists(st.sampled_from(FAILURES), max_size=60), st.integers())
def test_any_failures(states: list[CameraState], seed: int) -> None:
    attempts = Attempts(Random(seed).random)
    for state in states:
        delay = attempts.failed(state)
        assert delay >= (120 if state is CameraState.UNAUTHORIZED else 0.5)
        assert delay <= (1_800 if state is CameraState.UNAUTHORIZED else 60)


def test_no_storm_when_all_come_back() -> None:
    for failures in range(1, 8):
        moments = []
        for seed in range(200):
            attempts = Attempts(Random(seed).random)
            moments.append([attempts.failed(CameraState.SILENT) for _ in range(failures)][-1])
        tenths = [sum(n / 10 <= moment < (n + 1) / 10 for moment in moments) for n in range(300)]
        assert max(tenths) < (80 if failures == 1 else 40)


def test_a_camera_that_played_for_a_while_starts_over() -> None:
    attempts = Attempts(lambda: 0.0)
    assert [attempts.failed(CameraState.CLOSED) for _ in range(3)] == [1, 2, 4]
    attempts.settled()
    assert [attempts.failed(CameraState.CLOSED) for _ in range(5)] == [1, 1, 1, 2, 4], "at first it is only restarting"
    attempts.settled()
    assert attempts.failed(CameraState.NOT_FOUND) == 10, "somebody has to change something all the same"


@pytest.mark.parametrize("seed", range(5))
def test_a_camera_that_is_interrupted_for_ever_is_watched_most_of_the_time(seed: int) -> None:
    """Its sessions last 14 s on average, as where a switch flaps; it is back after a second."""
    chance = Random(seed)
    attempts, now, dark = Attempts(chance.random), 0.0, []
    while now < 3_600:
        played = chance.expovariate(1 / 14)
        now += played
        if played >= SETTLED_AFTER:
            attempts.settled()
        lost = now
        now += attempts.failed(CameraState.CLOSED)
        while now < lost + 1.0:
            now += attempts.failed(CameraState.CONNECTION_REFUSED)
        dark.append(now - lost)
    assert sum(dark) < 0.16 * now


def test_each_kind_of_failure_is_counted_by_itself() -> None:
    attempts = Attempts(lambda: 0.0)
    assert attempts.failed(CameraState.UNAUTHORIZED) == 120
    assert attempts.failed(CameraState.UNREACHABLE) == 1
    assert attempts.failed(CameraState.UNAUTHORIZED) == 240


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        (Transport.AUTO, [Transport.TCP, Transport.UDP, Transport.MULTICAST]),
        (Transport.UDP, [Transport.UDP, Transport.TCP]),
        (Transport.TCP, [Transport.TCP]),
        (Transport.MULTICAST, [Transport.MULTICAST]),
    ],
)
def test_transports(wanted: Transport, order: list[Transport]) -> None:
    transports = Transports(wanted)
    assert list(transports) == order
    transports.worked(order[-1])
    assert list(transports) == [order[-1], *order[:-1]]
    assert len(set(transports)) == len(order)


def test_an_encrypted_camera_is_asked_for_udp_only_on_demand() -> None:
    assert list(Transports(Transport.AUTO, encrypted=True)) == [Transport.TCP]
    assert list(Transports(Transport.UDP, encrypted=True)) == [Transport.UDP, Transport.TCP]


# Accounts.


def test_one_camera_at_a_time_tries_a_password() -> None:
    logins = Logins()
    assert logins.begin(ACCOUNT)
    assert not logins.begin(ACCOUNT)
    assert logins.begin(Account("recorder", 554, "admin", "other"))
    assert logins.begin(Account("elsewhere", 554, "admin", "secret"))
    assert logins.begin(Account("recorder", 8554, "admin", "secret"))
    logins.end(ACCOUNT)
    assert logins.begin(ACCOUNT)


def test_all_may_while_one_plays() -> None:
    logins = Logins()
    assert logins.begin(ACCOUNT)
    with logins.playing(ACCOUNT):
        assert logins.begin(ACCOUNT)
        assert logins.begin(ACCOUNT)
    assert not logins.begin(ACCOUNT)
    for _ in range(3):
        logins.end(ACCOUNT)
    assert logins.begin(ACCOUNT)


def refuse(logins: Logins, now: float) -> float | None:
    assert logins.begin(ACCOUNT)
    wait = logins.refused(ACCOUNT, now)
    logins.end(ACCOUNT)
    return wait


def test_a_refusal_is_everybodys() -> None:
    logins = Logins()
    assert refuse(logins, 10.0) == 120.0
    assert logins.refusal(ACCOUNT, 30.0) == 100.0
    assert logins.refusal(Account("recorder", 554, "admin", "changed"), 30.0) == 0.0
    assert logins.refusal(ACCOUNT, 130.0) == 0.0


def test_refusals_are_counted_by_account() -> None:
    logins = Logins()
    waits = []
    for _ in range(6):
        waits.append(refuse(logins, 0.0))
        logins.begin(ACCOUNT)  # another camera does not get so far
        logins.end(ACCOUNT)
    assert waits == [120, 240, 480, 960, 1_800, 1_800]
    logins.begin(ACCOUNT)
    with logins.playing(ACCOUNT):
        assert logins.refusal(ACCOUNT, 0.0) == 0.0
    logins.end(ACCOUNT)
    assert refuse(logins, 0.0) is None


def test_a_refusal_is_the_cameras_own_while_others_play() -> None:
    logins = Logins()
    logins.begin(ACCOUNT)
    with logins.playing(ACCOUNT):
        assert [refuse(logins, 0.0) for _ in range(9)] == [None] * 9
    logins.end(ACCOUNT)
    assert refuse(logins, 0.0) is None
    assert logins.refusal(ACCOUNT, 0.0) == 0.0


def test_a_password_that_was_changed_is_not_tried_too_often_either() -> None:
    logins = Logins()
    logins.begin(ACCOUNT)
    with logins.playing(ACCOUNT):
        pass
    logins.end(ACCOUNT)
    attempts, now = [], 0.0
    while now < 7_200:
        attempts.append(now)
        now += refuse(logins, now) or 0.0
    assert attempts[1] == 0.0
    for start in attempts:
        assert sum(start <= at < start + 1_800 for at in attempts) < 5


@pytest.mark.parametrize("hung_up", [False, True])
def test_what_may_be_the_password_cannot_lock_an_account_either(hung_up: bool) -> None:
    logins, attempts, now = Logins(), [], 0.0
    while now < 7_200:
        attempts.append(now)
        assert logins.begin(ACCOUNT)
        now += logins.suspected(ACCOUNT, now, hung_up=hung_up) or 1.0
        logins.end(ACCOUNT)
    for start in attempts:
        assert sum(start <= at < start + 1_800 for at in attempts) < 5


def test_a_wrong_path_or_two_hold_up_no_other_camera_of_the_account() -> None:
    logins = Logins()
    for held_up in (0.0, 0.0, 480.0):
        logins.begin(ACCOUNT)
        logins.suspected(ACCOUNT, 5.0, hung_up=False)
        logins.end(ACCOUNT)
        assert logins.refusal(ACCOUNT, 5.0) == held_up


def test_nothing_is_suspected_of_a_password_that_was_right() -> None:
    logins = Logins()
    logins.begin(ACCOUNT)
    with logins.playing(ACCOUNT):
        assert logins.suspected(ACCOUNT, 0.0, hung_up=True) is None
    assert logins.suspected(ACCOUNT, 0.0, hung_up=False) is None


def test_nothing_is_kept_of_attempts_that_came_to_nothing() -> None:
    logins = Logins()
    for number in range(100):
        account = Account("recorder", 554, "admin", str(number))
        logins.begin(account)
        logins.end(account)
    assert not logins._logins


def test_of_many_accounts_those_that_nobody_tries_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera's password is not to stay for good where the camera was removed."""
    monkeypatch.setattr("ingest.retry.MOST_LOGINS", 3)
    logins, accounts = Logins(), [Account("recorder", 554, f"user-{number}", "secret") for number in range(6)]
    assert logins.begin(accounts[0])
    for account in accounts[1:]:
        assert logins.begin(account)
        assert logins.refused(account, 0.0)
        logins.end(account)
    assert [logins.refusal(account, 0.0) > 0 for account in accounts] == [False, False, False, False, True, True]
    assert not logins.begin(accounts[0]), "it is being tried"
    logins.end(accounts[0])


def test_cameras_without_a_password_are_not_held_up() -> None:
    with Logins().playing(None):
        pass


def test_passwords_are_in_no_repr() -> None:
    assert "secret" not in repr(ACCOUNT)
