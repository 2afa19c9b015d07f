"""An ICE restart in a session that goes on (RFC 8445 9, RFC 9725 4.3.3): other credentials, same DTLS and media; pure.

A viewer asks for it when its network has become another. The answer to one that has been carried out may be lost, and
what was sent before it may come after it, so both are known by the viewer's ICE user fragment.
"""

from __future__ import annotations

from collections.abc import Callable

from common.control import RestartIce
from common.errors import RequestError
from egress.answer import TransportDescription, write_fragment
from egress.viewer import Viewer
from egress.wire.ice import RESTART_RATE, Credentials


def restart(
    viewer: Viewer | None, asked: RestartIce, describe: Callable[[Viewer], TransportDescription], now: float
) -> str:
    """Restart the viewer's ICE, unless that was done already. Returns our side as a fragment of SDP.

    Raises ``RequestError``: 404 without the viewer, 412 for one of its earlier ICE sessions, 429 if it asks too often.
    """
    if viewer is None:
        raise RequestError(404, "unknown_session", "There is no such session; it may have ended.")
    agent = viewer.reach.agent
    if asked.ufrag != agent.remote.ufrag:  # else the answer was lost, and here it is again
        if asked.ufrag in agent.spent:
            raise RequestError(412, "ice_restarted", "ICE has been restarted since; this fragment is from before that.")
        if not viewer.restart(Credentials(asked.ufrag, asked.password.encode()), now):
            message = "This session restarts ICE too often; try again in some seconds."
            raise RequestError(429, "ice_restart_rate", message, retry_after=1 / RESTART_RATE)
    section = next(iter(viewer.showing.sections))
    return write_fragment(describe(viewer), section.mid, section.kind)
