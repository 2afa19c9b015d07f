"""Which viewer a datagram is for (RFC 7983): STUN by our ufrag, everything else by the address it comes from.

An address counts only once a check from it carried the right password, so nobody can be sent anything by forging a
source address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from common.errors import ProtocolError
from egress.ice import Address, Path
from egress.port import MediaSocket
from egress.stun import BindingRequest, binding_error, binding_success
from egress.viewer import Viewer

# First byte, RFC 7983 7.
_STUN, _DTLS, _RTP = range(4), range(20, 64), range(128, 192)


class Mux:
    """The viewers of a port."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._by_ufrag: dict[str, Viewer] = {}
        self._by_address: dict[Address, Viewer] = {}

    def add(self, viewer: Viewer) -> None:
        """Its checks are answered from now on."""
        self._by_ufrag[viewer.agent.ufrag] = viewer

    def remove(self, viewer: Viewer) -> None:
        """Forget it and its addresses."""
        self._by_ufrag.pop(viewer.agent.ufrag, None)
        self._forget(viewer, viewer.agent.paths)

    def receive(self, data: bytes, path: Path, media_socket: MediaSocket, now: float, waited: float) -> None:
        """Hand a datagram to its viewer; count it if there is none. For the arguments see ``MediaPort``."""
        first = data[0]
        if first in _STUN:
            return self._receive_stun(data, path, media_socket, now)
        viewer = self._by_address.get(path.remote)
        if viewer is None:
            self.counters["udp_unknown_source"] += 1
        elif first in _RTP:  # nobody sends us RTP: it is RTCP, or fails to be
            viewer.receive_rtcp(data, now, waited)
        elif first in _DTLS:
            viewer.receive_dtls(data, viewer.target(media_socket, path), now, waited)
        else:
            self.counters["udp_garbage"] += 1
        return None

    def _receive_stun(self, data: bytes, path: Path, media_socket: MediaSocket, now: float) -> None:
        try:
            request = BindingRequest.parse(data)
        except ProtocolError:
            self.counters["udp_garbage"] += 1
            return
        viewer = self._by_ufrag.get(request.local_ufrag)
        if viewer is None:
            self.counters["stun_unknown_ufrag"] += 1
            return
        password = viewer.agent.password.encode()
        if not request.verify(password):
            self.counters["stun_bad_password"] += 1
            return
        target = viewer.target(media_socket, path)
        if request.controlled:  # RFC 8445 7.3.1.1: a lite agent is always the controlled one
            target.send(binding_error(request.transaction, password, 487, "Role Conflict"))
            return
        host, port = path.remote[:2]
        target.send(binding_success(request.transaction, password, host, port))
        if viewer.agent.check(request, path, now):
            viewer.selected(target)
        self._by_address[path.remote] = viewer
        self._forget(viewer, viewer.agent.forget_paths())

    def _forget(self, viewer: Viewer, addresses: Iterable[Address]) -> None:
        for address in addresses:
            if self._by_address.get(address) is viewer:  # it may be another's by now
                del self._by_address[address]
