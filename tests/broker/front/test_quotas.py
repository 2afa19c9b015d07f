"""Quotas of one address, of one camera and of everybody together, and the words of a refusal."""

import pytest

from broker.front.quotas import Counted, Quotas, Rate
from common.config_limits import LimitsConfig
from common.errors import RequestError
from common.sessions import SessionName

ANN, BOB = "192.0.2.1", "192.0.2.2"


def refused(call, *arguments, **named) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        call(*arguments, **named)
    setting = caught.value.code.removeprefix("limit_")
    assert f"(limits.{setting} is " in caught.value.message  # it names what an operator can change
    assert setting in LimitsConfig.model_fields
    return caught.value.status, setting


def quotas_of(alive=lambda _session: True, **limits) -> Quotas:
    return Quotas(LimitsConfig(**limits), alive)


def test_addresses_that_have_nothing_open_are_not_remembered() -> None:
    counted = Counted("connections", "connections", total=0, each=2)
    for number in range(100):
        counted.open(f"192.0.2.{number}")
        counted.close(f"192.0.2.{number}")
    assert (counted.total, len(counted._by_address)) == (0, 0)


def test_what_is_open_is_limited_in_all_and_by_address() -> None:
    counted = Counted("connections", "connections", total=3, each=2)
    for address in (ANN, ANN):
        counted.check(address)
        counted.open(address)
    assert refused(counted.check, ANN) == (503, "connections_per_address")
    counted.check(BOB)
    counted.open(BOB)
    assert refused(counted.check, "192.0.2.3") == (503, "connections")
    counted.close(ANN)
    counted.check(ANN)
    assert counted.total == 2


def test_who_speaks_for_many_is_limited_with_all_others_only() -> None:
    counted = Counted("connections", "connections", total=3, each=1)
    for _ in range(3):
        counted.check(None)
        counted.open(None)
    assert refused(counted.check, None) == (503, "connections")


def test_no_limit_is_none() -> None:
    counted = Counted("connections", "connections", total=0, each=0)
    for _ in range(1_000):
        counted.check(ANN)
        counted.open(ANN)
    assert all(Rate(0.0).take("x", 0.0) for _ in range(1_000))


def test_a_rate_allows_ten_seconds_worth_at_once_and_then_its_own_pace() -> None:
    rate = Rate(2.0)
    assert [rate.take("ann", 0.0) for _ in range(21)] == [True] * 20 + [False]
    assert rate.take("bob", 0.0)
    assert [rate.take("ann", 1.0) for _ in range(3)] == [True, True, False]


def test_a_rate_below_one_in_ten_seconds_still_lets_one_through() -> None:
    rate = Rate(0.01)
    assert [rate.take("ann", now) for now in (0.0, 50.0, 100.0)] == [True, False, True]


@pytest.mark.parametrize(
    ("limits", "viewers", "sessions", "expected"),
    [
        ({"sessions": 5}, 0, 5, (503, "sessions")),
        ({"sessions_per_camera": 5}, 5, 5, (503, "sessions_per_camera")),
        ({"sessions_per_address": 1}, 0, 0, (503, "sessions_per_address")),
        ({"offers_per_address": 1}, 0, 0, (503, "offers_per_address")),
        ({"offers": 1}, 0, 0, (503, "offers")),
        ({"offer_rate": 0.1}, 0, 0, (503, "offer_rate")),
        ({"offer_rate_per_address": 0.1}, 0, 0, (429, "offer_rate_per_address")),
        ({"offer_rate_per_camera": 0.1}, 0, 0, (429, "offer_rate_per_camera")),
    ],
)
def test_each_limit_of_offers_has_its_refusal(limits, viewers: int, sessions: int, expected) -> None:
    everything = quotas_of(**limits)
    asking = ANN if "address" in expected[1] else None  # an address that asks seldom may draw from the reserve
    everything.check_offer(asking, "door", 0, 0, 0.0)
    everything.joined(asking, "one")
    everything.offers.open(asking)
    assert refused(everything.check_offer, asking, "door", viewers, sessions, 0.0) == expected


@pytest.mark.parametrize("cameras", [1, 10])
def test_who_asks_often_does_not_use_up_what_others_need(cameras: int) -> None:
    everything = quotas_of()
    crowd = [f"198.51.100.{number}" for number in range(50)]
    admitted = 0
    for second in range(60):
        for number in range(1_000):
            now = second + number / 1_000
            try:
                everything.check_offer(crowd[number % 50], f"camera-{number % cameras}", 0, 0, now)
                admitted += 1
            except RequestError:
                pass
        if second % 6 == 5:
            everything.check_offer(ANN, "camera-0", 0, 0, second + 1.0)
    assert admitted <= 1.25 * LimitsConfig().offer_rate * (60 + Rate.BURST_SECONDS)


@pytest.mark.thorough
def test_strangers_without_number_get_no_more_than_all_and_the_reserve() -> None:
    everything = quotas_of()
    admitted = 0
    for number in range(100_000):
        try:
            everything.check_offer(f"2001:db8:0:{number:x}::/64", "door", 0, 0, number / 1_000)
            admitted += 1
        except RequestError:
            pass
    limits = LimitsConfig()
    most = limits.offer_rate_per_camera + 0.25 * limits.offer_rate
    assert admitted <= most * (100 + Rate.BURST_SECONDS) + 1


def test_a_session_that_is_over_makes_room() -> None:
    alive = {"one", "two"}
    everything = quotas_of(alive.__contains__, sessions_per_address=2)
    for session in ("one", "two"):
        everything.joined(ANN, session)
    assert refused(everything.check_offer, ANN, "door", 0, 0, 0.0) == (503, "sessions_per_address")
    everything.check_offer(BOB, "door", 0, 0, 0.0)
    everything.check_offer(None, "door", 0, 0, 0.0)
    alive.discard("one")
    everything.check_offer(ANN, "door", 0, 0, 0.0)
    alive.clear()
    everything.sweep()
    assert everything._sessions == {}


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("192.0.2.9", None),
        (None, None),
    ],
)
def test_a_peer_is_counted_by_what_one_person_commands(peer: str | None, address: str | None) -> None:
    assert quotas_of(proxies=["192.0.2.9"]).address(peer) == address


def test_a_user_has_so_many_viewers_from_wherever() -> None:
    alive = {SessionName("s1"), SessionName("s2")}
    quotas = Quotas(LimitsConfig(sessions_per_user=2), lambda id: id in alive)
    for session, address in (("s1", "192.0.2.1"), ("s2", None)):
        quotas.check_offer(address, "yard", viewers=0, sessions=0, now=0.0, user="token:wall")
        quotas.joined(address, SessionName(session), "token:wall")
    with pytest.raises(RequestError) as refused:
        quotas.check_offer("192.0.2.3", "yard", viewers=2, sessions=2, now=0.0, user="token:wall")
    assert (refused.value.status, refused.value.code) == (503, "limit_sessions_per_user")
    quotas.check_offer("192.0.2.3", "yard", viewers=2, sessions=2, now=0.0, user="user:anna")
    quotas.check_offer("192.0.2.3", "yard", viewers=2, sessions=2, now=0.0)
    alive.clear()
    quotas.check_offer("192.0.2.3", "yard", viewers=0, sessions=0, now=0.0, user="token:wall")


def test_a_user_offers_so_often() -> None:
    quotas = Quotas(LimitsConfig(offer_rate_per_user=0.1), lambda _: True)
    quotas.check_offer(None, "yard", viewers=0, sessions=0, now=0.0, user="user:anna")
    with pytest.raises(RequestError) as refused:
        quotas.check_offer(None, "yard", viewers=0, sessions=0, now=0.0, user="user:anna")
    assert (refused.value.status, refused.value.code) == (429, "limit_offer_rate_per_user")
    quotas.check_offer(None, "yard", viewers=0, sessions=0, now=10.0, user="user:anna")


def test_other_limits_hold_at_once_for_what_comes_next() -> None:
    quotas = quotas_of(sockets=5, sockets_per_address=5, offer_rate_per_address=1.0, sessions=1)
    for _ in range(3):
        quotas.sockets.open(ANN)
    quotas.limit(LimitsConfig(sockets=3, sockets_per_address=2, offer_rate_per_address=1.0, sessions=9, proxies=(BOB,)))
    assert quotas.sockets.total == 3
    assert refused(quotas.sockets.check, "192.0.2.3") == (503, "sockets")
    assert refused(quotas.sockets.check_each, ANN) == (503, "sockets_per_address")
    quotas.check_offer(ANN, "door", 0, 8, now=0.0)
    assert quotas.address(BOB) is None


def test_a_rate_that_stays_as_it_is_forgets_nothing_and_another_begins_anew() -> None:
    quotas = quotas_of(still_rate_per_address=0.1)
    quotas.check_still(ANN, 0.0)
    assert refused(quotas.check_still, ANN, 0.0) == (429, "still_rate_per_address")
    quotas.limit(LimitsConfig(still_rate_per_address=0.1, offers=7))
    assert refused(quotas.check_still, ANN, 0.0) == (429, "still_rate_per_address")
    quotas.limit(LimitsConfig(still_rate_per_address=0.2))
    quotas.check_still(ANN, 0.0)
