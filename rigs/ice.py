"""The part of a full ICE agent that our checks see: it answers them, where it gets them."""

from __future__ import annotations

from aioice import stun

from egress.wire.ice import Credentials, IceAgent, Pair
from egress.wire.stun import BindingRequest, BindingResponse


def answer(check: bytes, peer: Credentials) -> bytes:
    """The peer's response to a check of ours, signed with its password."""
    request = stun.parse_message(check)
    request.check_message_integrity(peer.password)
    response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=request.transaction_id)
    response.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.9", 9)
    response.add_message_integrity(peer.password)
    response.add_fingerprint()
    return bytes(response)


def request(*, nominate: bool = True, ours: str = "ours") -> BindingRequest:
    """A check of the peer's, verified, which names us by our user fragment."""
    return BindingRequest(bytes(12), ours, "theirs", nominate, False, b"", b"")


def prove(agent: IceAgent, pair: Pair, now: float) -> None:
    """Have the peer answer a check of ours on ``pair``."""
    check = agent.check(pair, now)
    assert check is not None
    response = BindingResponse.parse(answer(check, pair.generation.remote))
    assert agent.answered(response, pair.path, now) is pair
