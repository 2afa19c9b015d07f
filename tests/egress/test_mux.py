from __future__ import annotations

import socket
from types import SimpleNamespace

from aioice import stun

from egress.answer import negotiate
from egress.dtls import Identity
from egress.ice import MAX_PATHS, Address, Path
from egress.mux import Mux
from egress.stream import Stream
from egress.viewer import Viewer
from tests.fakes.browser import Browser

IDENTITY = Identity(compiled=False)
FEEDBACK = b"\x80\xc9" + bytes(30)
BLACK_HOLE = SimpleNamespace(  # stands in for a ``MediaSocket``
    socket=SimpleNamespace(sendmsg=lambda *_: 0, sendto=lambda *_: 0), family=socket.AF_INET, gso=False
)


def viewer(session: str) -> Viewer:
    negotiated = negotiate(Browser().offer(), [])
    stream = Stream("front-door", lambda: None)
    return Viewer(session, stream, negotiated, IDENTITY, cname="cname", on_behind=lambda _: None, now=0.0)


def receive(mux: Mux, data: bytes, address: Address) -> None:
    mux.receive(data, Path(address), BLACK_HOLE, 0.0, 0.0)  # type: ignore[arg-type]


def check(mux: Mux, viewer: Viewer, address: Address) -> None:
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{viewer.agent.ufrag}:theirs"
    request.add_message_integrity(viewer.agent.password.encode())
    receive(mux, bytes(request), address)


async def test_an_address_belongs_to_who_checked_from_it_last() -> None:
    mux, first, second = Mux(), viewer("s1"), viewer("s2")
    mux.add(first)
    mux.add(second)
    shared = ("192.0.2.1", 1)
    check(mux, first, shared)
    check(mux, second, shared)
    receive(mux, FEEDBACK, shared)
    assert (first.garbage, second.garbage) == (0, 1)
    check(mux, first, shared)
    for number in range(MAX_PATHS):  # the second one forgets what is no longer its own
        check(mux, second, ("192.0.2.2", 1 + number))
    assert shared not in second.agent.paths
    receive(mux, FEEDBACK, shared)
    assert first.garbage == 1
    mux.remove(second)
    receive(mux, FEEDBACK, shared)
    assert first.garbage == 2
    mux.remove(first)
    receive(mux, FEEDBACK, shared)
    assert mux.counters == {"udp_unknown_source": 1}


async def test_a_forgotten_address_is_nobodys() -> None:
    mux, only = Mux(), viewer("s1")
    mux.add(only)
    for number in range(MAX_PATHS + 1):
        check(mux, only, ("192.0.2.1", 1 + number))
    receive(mux, FEEDBACK, ("192.0.2.1", 1))
    receive(mux, FEEDBACK, ("192.0.2.1", 2))
    assert mux.counters == {"udp_unknown_source": 1}
    assert only.garbage == 1
