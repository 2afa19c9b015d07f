import pytest

from egress.ice import CONNECT_TIMEOUT, CONSENT_TIMEOUT, MAX_PATHS, IceAgent, Path
from egress.stun import BindingRequest

WIFI, CABLE = Path(("192.0.2.1", 1)), Path(("192.0.2.2", 2))


def request(*, nominate: bool) -> BindingRequest:
    return BindingRequest(bytes(12), "ours", "theirs", nominate, False, b"", b"")


def test_credentials_are_long_enough_and_never_shown() -> None:
    agents = [IceAgent(0.0) for _ in range(20)]
    assert all(len(agent.ufrag) >= 4 and len(agent.password) >= 22 for agent in agents)  # RFC 8445 5.3
    assert len({agent.ufrag for agent in agents}) == 20
    assert agents[0].password not in repr(agents[0])


def test_the_last_nomination_counts() -> None:
    agent = IceAgent(0.0)
    assert not agent.check(request(nominate=False), WIFI, 1.0)
    assert agent.selected is None
    assert agent.check(request(nominate=True), WIFI, 2.0)
    assert not agent.check(request(nominate=True), WIFI, 3.0), "selected already"
    assert agent.check(request(nominate=True), CABLE, 4.0)
    assert agent.selected == CABLE
    assert set(agent.paths) == {WIFI.remote, CABLE.remote}


def test_another_address_of_ours_is_another_path() -> None:
    agent = IceAgent(0.0)
    agent.check(request(nominate=True), Path(WIFI.remote, b"aaaa"), 1.0)
    assert agent.check(request(nominate=True), Path(WIFI.remote, b"bbbb"), 2.0)
    assert agent.selected is not None
    assert agent.selected.local == b"bbbb"


def test_consent() -> None:
    agent = IceAgent(created=100.0)
    assert not agent.expired(100.0 + CONNECT_TIMEOUT)
    assert agent.expired(100.1 + CONNECT_TIMEOUT) == "ICE never connected"
    agent.check(request(nominate=True), WIFI, 110.0)
    agent.check(request(nominate=False), WIFI, 120.0)
    assert not agent.expired(120.0 + CONSENT_TIMEOUT)
    assert agent.expired(120.1 + CONSENT_TIMEOUT) == "consent expired"


@pytest.mark.parametrize("nominated", [0, 5])
def test_old_paths_are_forgotten_but_not_the_selected(nominated: int) -> None:
    agent = IceAgent(0.0)
    forgotten = []
    for port in range(40):
        agent.check(request(nominate=port == nominated), Path(("192.0.2.1", port)), 0.0)
        forgotten += agent.forget_paths()
    assert len(agent.paths) == MAX_PATHS
    assert ("192.0.2.1", nominated) in agent.paths
    assert len(forgotten) == 40 - MAX_PATHS
    assert not set(forgotten) & set(agent.paths)
