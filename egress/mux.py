"""Assigns each datagram to its viewer (RFC 7983): STUN by our ufrag, everything else by its source address.

An address counts only after a check from it has carried the right password. It then belongs to the viewer that checked
from it last. But forged checks cannot take an address away from a viewer that has proved to be there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from common.errors import ProtocolError
from egress.viewer import Viewer
from egress.wire.ice import Address, Pair, Path
from egress.wire.stun import (
    BINDING_RESPONSES,
    BindingRequest,
    BindingResponse,
    binding_error,
    binding_success,
    kind_of,
)
from egress.wire.way import DTLS, RTP, STUN, Carrier, Way


class Mux:
    """The viewers of an egress process. ``hang_up`` is called for each address that no longer belongs to a viewer."""

    def __init__(self, hang_up: Callable[[Address], None] = lambda _address: None) -> None:
        self.counters: Counter[str] = Counter()
        self._hang_up = hang_up
        self._by_ufrag: dict[str, Viewer] = {}
        self._by_address: dict[Address, Viewer] = {}
        self._by_transaction: dict[bytes, Viewer] = {}  # of checks of ours, at most one an address

    def add(self, viewer: Viewer) -> None:
        """Answer the viewer's checks from now on."""
        self._by_ufrag[viewer.reach.agent.ufrag] = viewer

    def adopt(self, viewer: Viewer, now: float) -> None:
        """Take over a viewer from another process: its addresses, its checks, and our unanswered ones."""
        agent = viewer.reach.agent
        self.add(viewer)
        if agent.former is not None:
            self._by_ufrag[agent.former.ufrag] = viewer
        for pair in agent.pairs.values():
            self._claim(pair.path.remote, viewer, now)
            if pair.transaction:
                self._by_transaction[pair.transaction] = viewer

    def release(self, viewer: Viewer) -> None:
        """Forget a viewer that another process has taken over, along with its addresses and connections."""
        agent = viewer.reach.agent
        for generation in filter(None, (agent.current, agent.former)):
            self._by_ufrag.pop(generation.ufrag, None)
        self._forget(viewer, agent.pairs.values(), hang_up=False)

    def restarted(self, viewer: Viewer) -> None:
        """Answer the checks of the viewer's new generation, too: its ICE was restarted."""
        self.add(viewer)
        self._retire(viewer)

    def remove(self, viewer: Viewer) -> None:
        """Forget the viewer and its addresses."""
        agent = viewer.reach.agent
        agent.retired += [agent.ufrag] if agent.former is None else [agent.ufrag, agent.former.ufrag]
        self._retire(viewer)
        self._forget(viewer, viewer.reach.agent.pairs.values())

    def keep_consent(self, viewer: Viewer, now: float) -> None:
        """Ask the viewer whether it still receives, if that is due."""
        way = viewer.reach.selected
        due = viewer.reach.agent.consent_check(now) if way is not None else None
        if due is not None and way is not None:
            self._check(viewer, *due, way)

    def probe(self, viewer: Viewer, now: float) -> None:
        """Find out which datagram sizes reach a viewer that loses many packets."""
        way = viewer.reach.selected
        if way is not None:
            for check in viewer.probing.checks(now):
                way.send(check)

    def receive(self, data: bytes, path: Path, carrier: Carrier, now: float, unix_ns: int, waited: float) -> None:
        """Hand a datagram to its viewer, or count it if there is none. ``MediaPort`` explains the arguments."""
        first = data[0]
        if first in STUN:
            return self._receive_stun(data, path, carrier, now)
        viewer = self._by_address.get(path.remote)
        if viewer is None:
            self.counters["udp_unknown_source"] += 1
        elif first in RTP:  # nobody sends us RTP: it is RTCP, or fails to be
            viewer.receive_rtcp(data, now=now, unix_ns=unix_ns - int(waited * 1e9), waited=waited)
        elif first in DTLS:
            viewer.receive_dtls(data, viewer.reach.way_to(carrier, path), now=now, waited=waited)
        else:
            self.counters["udp_garbage"] += 1
        return None

    def holds(self, address: Address) -> bool:
        """Whether a viewer has proved by a check that ``address`` is its own."""
        return address in self._by_address

    def lost(self, address: Address) -> None:
        """Forget the connection of ``address``, which is closed."""
        viewer = self._by_address.pop(address, None)
        if viewer is not None and (pair := viewer.reach.agent.lost(address)) is not None:
            self._by_transaction.pop(pair.transaction, None)

    def _receive_stun(self, data: bytes, path: Path, carrier: Carrier, now: float) -> None:
        if kind_of(data) in BINDING_RESPONSES:
            self._receive_response(data, path, carrier, now)
            return
        try:
            request = BindingRequest.parse(data)
        except ProtocolError:
            self.counters["udp_garbage"] += 1
            return
        viewer = self._by_ufrag.get(request.local_ufrag)
        if viewer is None:
            self.counters["stun_unknown_ufrag"] += 1
            return
        agent = viewer.reach.agent
        password = agent.generation(request.local_ufrag).password.encode()
        if not request.verify(password):
            self.counters["stun_bad_password"] += 1
            return
        if not agent.hearing.take(now):
            self.counters["stun_ignored"] += 1
            return
        way = viewer.reach.way_to(carrier, path)
        if request.controlled:  # RFC 8445 7.3.1.1: a lite agent is always the controlled one
            way.send(binding_error(request.transaction, password, 487, "Role Conflict"))
            return
        if not viewer.heard:  # from now on there is something to be seen to
            viewer.due = now
            viewer.hurry()
        pair = agent.heard(request, path, len(data), now)
        # Our check goes first: its answer is a proof, and is then here before anything that the response leads to.
        if (check := agent.check(pair, now)) is not None:
            self._check(viewer, pair, check, way)
        host, port = path.remote[:2]
        response = binding_success(request.transaction, password, host, port)
        if pair.allows(len(response)):
            way.send(response)
        if agent.select(pair, now):
            viewer.selected(way, now)
        self._retire(viewer)
        self._claim(path.remote, viewer, now)
        self._forget(viewer, agent.forget_paths())

    def _receive_response(self, data: bytes, path: Path, carrier: Carrier, now: float) -> None:
        try:
            response = BindingResponse.parse(data)
        except ProtocolError:
            self.counters["udp_garbage"] += 1
            return
        holder = self._by_address.get(path.remote)
        if holder is not None and holder.probing.answered(response, path, now):
            return
        viewer = self._by_transaction.get(response.transaction)
        pair = viewer.reach.agent.answered(response, path, now) if viewer is not None else None
        if viewer is None or pair is None:
            self.counters["stun_unasked"] += 1
            return
        del self._by_transaction[response.transaction]
        self._by_address[path.remote] = viewer
        way = viewer.reach.way_to(carrier, pair.path)
        if viewer.reach.agent.select(pair, now):
            viewer.selected(way, now)
        else:
            viewer.proved(way, now)
        self._retire(viewer)

    def _check(self, viewer: Viewer, pair: Pair, check: bytes, way: Way) -> None:
        self._by_transaction[pair.transaction] = viewer
        way.send(check)

    def _claim(self, address: Address, viewer: Viewer, now: float) -> None:
        """Assign ``address`` to the viewer that checked from it, unless somebody else has proved to be there."""
        holder = self._by_address.get(address)
        if holder is not None and holder is not viewer:
            theirs, own = holder.reach.agent.pairs.get(address), viewer.reach.agent.pairs[address]
            if theirs is not None and theirs.consents(now) and not own.consents(now):
                return
        self._by_address[address] = viewer

    def _retire(self, viewer: Viewer) -> None:
        """Stop answering checks of past generations."""
        retired = viewer.reach.agent.retired
        while retired:
            self._by_ufrag.pop(retired.pop(), None)

    def _forget(self, viewer: Viewer, pairs: Iterable[Pair], *, hang_up: bool = True) -> None:
        for pair in pairs:
            self._by_transaction.pop(pair.transaction, None)
            if self._by_address.get(pair.path.remote) is viewer:  # it may be another's by now
                del self._by_address[pair.path.remote]
                if hang_up:
                    self._hang_up(pair.path.remote)
