"""Media goes to addresses that a browser wants, and that it has proved to receive at."""

from __future__ import annotations

import pytest

from egress.wire.ice import (
    AMPLIFICATION,
    CHECK_BURST,
    CHECK_GAP,
    CONNECT_TIMEOUT,
    CONSENT_INTERVAL,
    CONSENT_RETRY,
    CONSENT_TIMEOUT,
    MAX_PATHS,
    MAX_SPENT,
    RESTART_BURST,
    RESTART_RATE,
    SWITCH_BURST,
    SWITCH_RATE,
    Address,
    Credentials,
    IceAgent,
    Pair,
    Path,
    TcpAddress,
)
from egress.wire.stun import BindingRequest, BindingResponse
from rigs.ice import answer, prove, request

WIFI, CABLE = Path(("192.0.2.1", 1)), Path(("192.0.2.2", 2))
PEER = Credentials("theirs", b"a password of theirs, 22 or more")


def agent(created: float = 0.0) -> IceAgent:
    return IceAgent(created, PEER)


def heard(agent: IceAgent, path: Path, now: float, *, nominate: bool = True, ours: str = "ours") -> Pair:
    return agent.heard(request(nominate=nominate, ours=ours), path, 100, now)


def connected(path: Path = WIFI, now: float = 0.0) -> IceAgent:
    """An agent whose media goes along ``path``."""
    one = agent(now)
    pair = heard(one, path, now)
    prove(one, pair, now)
    assert one.select(pair, now)
    return one


def test_credentials_are_long_enough_and_never_shown() -> None:
    agents = [IceAgent(0.0) for _ in range(20)]
    assert all(len(agent.ufrag) >= 4 and len(agent.password) >= 22 for agent in agents)  # RFC 8445 5.3
    assert len({agent.ufrag for agent in agents}) == 20
    assert agents[0].password not in repr(agents[0])


def test_our_check_is_one_that_a_browser_answers() -> None:
    one = agent()
    check = one.check(heard(one, WIFI, 0.0), 0.0)
    assert check is not None
    parsed = BindingRequest.parse(check)
    assert (parsed.local_ufrag, parsed.remote_ufrag) == ("theirs", one.ufrag)
    assert parsed.controlled
    assert not parsed.use_candidate
    assert parsed.verify(PEER.password)


def test_a_nomination_counts_once_the_address_has_proved_that_it_receives() -> None:
    one = agent()
    pair = heard(one, WIFI, 1.0, nominate=False)
    prove(one, pair, 1.0)
    assert not one.select(pair, 1.0), "several may answer, and only one is nominated"
    assert one.select(heard(one, WIFI, 2.0), 2.0)
    assert not one.select(heard(one, WIFI, 3.0), 3.0), "selected already"
    cable = heard(one, CABLE, 4.0)
    assert not one.select(cable, 4.0)
    assert one.selected == WIFI
    prove(one, cable, 4.1)
    assert one.select(cable, 4.1)
    assert one.selected == CABLE
    assert set(one.pairs) == {WIFI.remote, CABLE.remote}


def test_an_address_that_is_not_nominated_any_more_is_not_selected_by_a_late_answer() -> None:
    one = connected()
    cable = heard(one, CABLE, 1.0)
    check = one.check(cable, 1.0)
    assert check is not None
    heard(one, WIFI, 1.1)
    assert one.answered(BindingResponse.parse(answer(check, PEER)), CABLE, 1.2) is cable
    assert not one.select(cable, 1.2)


def test_another_address_of_ours_is_another_path() -> None:
    one = connected(Path(WIFI.remote, b"aaaa"))
    assert not one.select(heard(one, Path(WIFI.remote, b"bbbb"), 1.0, nominate=False), 1.0)
    assert one.select(heard(one, Path(WIFI.remote, b"bbbb"), 2.0), 2.0), "the same viewer at the same place"
    assert one.selected is not None
    assert one.selected.local == b"bbbb"


@pytest.mark.parametrize("wrong", ["source", "transaction", "password", "nothing asked"])
def test_what_is_no_answer_proves_nothing(wrong: str) -> None:
    one = agent()
    pair = heard(one, WIFI, 0.0)
    heard(one, CABLE, 0.0)
    check = one.check(pair, 0.0)
    assert check is not None
    response = BindingResponse.parse(answer(check, Credentials("", b"guessed") if wrong == "password" else PEER))
    if wrong == "transaction":
        response = response._replace(transaction=bytes(12))
    if wrong == "nothing asked":
        pair.transaction = b""
        response = response._replace(transaction=b"")
    assert one.answered(response, CABLE if wrong == "source" else WIFI, 0.1) is None
    assert not pair.consents(0.1)


def test_an_answer_counts_once() -> None:
    one = agent()
    pair = heard(one, WIFI, 0.0)
    check = one.check(pair, 0.0)
    assert check is not None
    response = BindingResponse.parse(answer(check, PEER))
    assert one.answered(response, WIFI, 0.1) is pair
    assert one.answered(response, WIFI, 25.0) is None


def test_an_answer_may_be_as_late_as_the_path_is_slow() -> None:
    one = agent()
    pair = heard(one, WIFI, 0.0)
    first = one.check(pair, 0.0)
    assert one.check(pair, CHECK_GAP / 2) is None
    for tick in range(1, 20):
        heard(one, WIFI, tick * 2 * CHECK_GAP)
        assert one.check(pair, tick * 2 * CHECK_GAP) == first
    assert first is not None
    assert one.answered(BindingResponse.parse(answer(first, PEER)), WIFI, 4.0) is pair


def test_consent_is_the_pairs() -> None:
    """Checks from one address keep nothing alive at another, and those from there prove nothing either."""
    one = connected()
    for second in range(1, 60):
        heard(one, CABLE, float(second), nominate=False)
        heard(one, WIFI, float(second))
        assert one.expired(float(second)) == ("" if second <= CONSENT_TIMEOUT else "consent expired")


def test_consent_is_asked_for_and_kept_by_answers() -> None:
    one, asked = connected(), 0
    for tick in range(1, 1_200):
        now = tick / 10
        if (due := one.consent_check(now)) is not None:
            asked += 1
            pair, check = due
            assert one.answered(BindingResponse.parse(answer(check, PEER)), WIFI, now) is pair
        assert not one.expired(now)
    assert asked == pytest.approx(120 / CONSENT_INTERVAL, abs=1)


def test_a_check_for_consent_that_is_not_answered_is_sent_again_and_again() -> None:
    one = connected()
    asked = [tick / 10 for tick in range(300) if one.consent_check(tick / 10) is not None]
    assert asked[0] == CONSENT_INTERVAL
    assert len(asked) == pytest.approx((CONSENT_TIMEOUT - CONSENT_INTERVAL) / CONSENT_RETRY, abs=3)


def test_who_never_answers_a_check_keeps_consent_where_the_handshake_was() -> None:
    one = agent()
    wifi = heard(one, WIFI, 0.0)
    one.shook_hands(wifi, 0.0)
    assert one.select(wifi, 0.0)
    for second in range(1, 60):
        heard(one, WIFI, float(second))
        cable = heard(one, CABLE, float(second))
        assert not one.select(cable, float(second))
        assert not one.expired(float(second))
    assert one.expired(60.0 + CONSENT_TIMEOUT) == "consent expired"


def test_who_answers_checks_needs_to_go_on_answering() -> None:
    one = agent()
    wifi = heard(one, WIFI, 0.0)
    one.shook_hands(wifi, 0.0)
    prove(one, heard(one, CABLE, 1.0, nominate=False), 1.0)
    assert one.select(wifi, 1.0)
    for second in range(2, 60):
        heard(one, WIFI, float(second))
    assert one.expired(59.0) == "consent expired"


def test_an_address_that_proved_nothing_is_not_sent_more_than_came_from_it() -> None:
    one = agent()
    pair = heard(one, WIFI, 0.0)
    sent = 0
    for tick in range(1, 1_000):
        check = one.check(pair, tick / 10)
        sent += len(check or b"")
        assert sent <= AMPLIFICATION * pair.received
    assert sent > 100
    assert not pair.allows(AMPLIFICATION * pair.received - sent + 1)
    pair.received += 1_000
    assert pair.allows(1_000)


def test_addresses_by_the_hundred_are_not_all_checked() -> None:
    one, checks = connected(), 0
    for number in range(1_000):
        pair = heard(one, Path(("192.0.2.3", number)), 1.0)
        checks += one.check(pair, 1.0) is not None
        one.forget_paths()
    assert checks <= CHECK_BURST
    pair = heard(one, CABLE, 2.0)
    assert one.check(pair, 2.0) is not None, "a second later there is room again"


def test_a_viewer_that_moves_to_and_fro_is_not_followed_each_time() -> None:
    one = connected()
    prove(one, heard(one, CABLE, 0.0), 6.0)
    switches, now = 0, 6.0
    for number in range(200):
        now = 6.0 + number / 20
        path = (CABLE, WIFI)[number % 2]
        switches += one.select(heard(one, path, now), now)
    assert switches <= SWITCH_BURST + (now - 6.0) * SWITCH_RATE + 1
    assert switches >= SWITCH_BURST


def test_it_never_connected() -> None:
    one = agent(100.0)
    heard(one, WIFI, 110.0, nominate=False)
    assert not one.expired(100.0 + CONNECT_TIMEOUT)
    assert one.expired(100.1 + CONNECT_TIMEOUT) == "ICE never connected"


@pytest.mark.parametrize("nominated", [0, 5])
def test_old_paths_are_forgotten_but_not_the_selected(nominated: int) -> None:
    one = agent()
    forgotten: list[Address] = []
    for port in range(40):
        pair = heard(one, Path(("192.0.2.1", port)), 0.0, nominate=port == nominated)
        if port == nominated:
            prove(one, pair, 0.0)
            one.select(pair, 0.0)
        forgotten += [pair.path.remote for pair in one.forget_paths()]
    assert len(one.pairs) == MAX_PATHS
    assert ("192.0.2.1", nominated) in one.pairs
    assert len(forgotten) == 40 - MAX_PATHS
    assert not set(forgotten) & set(one.pairs)


def test_who_gave_no_password_is_not_checked() -> None:
    one = IceAgent(0.0)
    assert one.check(heard(one, WIFI, 0.0), 0.0) is None


def test_a_closed_connection_is_forgotten_unless_media_goes_there() -> None:
    agent = IceAgent(0.0, PEER)
    reserve, chosen = Path(TcpAddress("192.0.2.1", 5, 0)), Path(TcpAddress("192.0.2.1", 5, 1))
    for path in (reserve, chosen, Path(("192.0.2.1", 5))):
        pair = agent.heard(request(nominate=path is chosen), path, 100, 0.0)
        prove(agent, pair, 0.0)
        agent.select(pair, 0.0)
    assert len(agent.pairs) == 3, "all are different"
    assert agent.selected == chosen
    gone = agent.lost(reserve.remote)
    assert gone is not None
    assert gone.path == reserve
    assert agent.lost(reserve.remote) is None
    assert agent.lost(chosen.remote) is None
    assert agent.expired(1.0) == ""
    assert agent.expired(100.0) == "consent expired"


NEWER = Credentials("newer", b"another password of theirs, and long")


def test_a_restart_has_new_credentials_and_leaves_media_where_it_is() -> None:
    one = connected()
    before = one.current
    assert one.restart(NEWER, 1.0)
    assert one.ufrag != before.ufrag
    assert one.password != before.password
    assert one.remote == NEWER
    assert one.former == before
    assert one.selected == WIFI
    assert one.generation(before.ufrag) == before
    assert one.generation(one.ufrag) == one.current
    assert list(one.spent) == [PEER.ufrag]
    assert not one.retired, "it is still checked by the former credentials"


def test_after_a_restart_media_moves_once_the_new_pair_is_nominated_and_proved() -> None:
    one = connected()
    former = one.current
    one.restart(NEWER, 1.0)
    cable = heard(one, CABLE, 1.1, nominate=False, ours=one.ufrag)
    prove(one, cable, 1.1)  # by the new credentials
    assert not one.select(cable, 1.1)
    assert one.former == former
    assert one.select(heard(one, CABLE, 1.2, ours=one.ufrag), 1.2)
    assert one.selected == CABLE
    assert one.former is None
    assert one.retired == [former.ufrag]


def test_a_restart_may_end_where_it_began() -> None:
    one = connected()
    former = one.current
    one.restart(NEWER, 1.0)
    assert not one.select(heard(one, WIFI, 1.1, ours=one.ufrag), 1.1), "media goes there already"
    assert one.former is None
    assert one.retired == [former.ufrag]
    check = one.check(one.pairs[WIFI.remote], 1.1 + CONSENT_TIMEOUT)
    assert check is not None
    assert BindingRequest.parse(check).verify(NEWER.password)


def test_until_then_the_former_pair_keeps_its_consent_by_the_former_credentials() -> None:
    one = connected()
    former = one.current
    one.restart(NEWER, 1.0)
    heard(one, WIFI, CONSENT_INTERVAL, ours=former.ufrag)
    found = one.consent_check(CONSENT_INTERVAL)
    assert found is not None
    pair, check = found
    assert BindingRequest.parse(check).verify(PEER.password)
    assert one.answered(BindingResponse.parse(answer(check, PEER)), WIFI, CONSENT_INTERVAL) is pair
    assert one.expired(CONSENT_TIMEOUT + 1) == ""
    assert one.expired(CONSENT_TIMEOUT + CONSENT_INTERVAL + 1) == "consent expired", (
        "a restart that fails ends as without"
    )


def test_the_former_credentials_nominate_nothing_once_the_new_ones_have() -> None:
    one = connected()
    former = one.current
    one.restart(NEWER, 1.0)
    cable, third = heard(one, CABLE, 1.1, ours=former.ufrag), Path(("192.0.2.3", 3))
    prove(one, cable, 1.1)
    assert one.select(cable, 1.1), "a restart that was never heard of must not bar the way that there is"
    prove(one, heard(one, third, 1.2, ours=one.ufrag), 1.2)
    heard(one, CABLE, 1.3, ours=former.ufrag)
    assert one.nominated == third.remote
    assert one.select(one.pairs[third.remote], 1.3)


def test_a_second_restart_before_the_first_is_through_replaces_that() -> None:
    one = connected()
    former = one.current
    one.restart(NEWER, 1.0)
    given_up = one.current
    one.restart(Credentials("third", NEWER.password), 2.0)
    assert one.former == former
    assert one.retired == [given_up.ufrag]
    assert list(one.spent) == [PEER.ufrag, NEWER.ufrag]


def test_a_restart_before_anything_is_selected_keeps_nothing() -> None:
    one = agent()
    before = one.ufrag
    one.restart(NEWER, 1.0)
    assert (one.former, one.retired) == (None, [before])
    pair = heard(one, WIFI, 2.0, ours=one.ufrag)
    prove(one, pair, 2.0)
    assert one.select(pair, 2.0)


def test_restarts_are_limited() -> None:
    one = connected()
    number = 0
    while one.restart(NEWER, 1.0):
        number += 1
    assert number == RESTART_BURST
    assert one.restart(NEWER, 1.0 + 1 / RESTART_RATE)
    for number in range(2, 2 + MAX_SPENT):
        assert one.restart(Credentials(f"ufrag-{number}", b""), 2 * number / RESTART_RATE)
    assert len(one.spent) == MAX_SPENT
