"""Viewers' offers and WebSockets at the front door: within the limits, or refused with the limit."""

from __future__ import annotations

from broker.control_plane import Answer
from broker.front.context import Context
from broker.front.quotas import over
from common.cameras import CameraName
from common.errors import RequestError


def check_memory(context: Context) -> None:
    """Raises ``RequestError`` while there is too little for one more viewer or page."""
    if context.memory.now(context.clock()):
        raise over(
            "free_memory",
            context.quotas.limits.free_memory,
            "The server has too little free memory for a further viewer or page",
        )


def check_socket(context: Context, address: str | None) -> None:
    """Raises ``RequestError`` while the peer that is counted as ``address`` may have no further WebSocket."""
    context.quotas.sockets.check(address)
    check_memory(context)


async def ask(context: Context, address: str | None, camera: CameraName, sdp: str) -> Answer:
    """Have an offer answered for the peer that is counted as ``address``. Raises ``RequestError``."""
    control, quotas = context.control, context.quotas
    status = control.director.camera(camera)
    if status is not None:  # else it is refused anyway, and its name is a stranger's choice
        try:
            check_memory(context)
            sessions = len(control.director.sessions)
            quotas.check_offer(address, camera, viewers=status.viewers, sessions=sessions, now=context.clock())
        except RequestError as exc:
            context.counters[exc.code] += 1
            context.quiet.warning("offer refused", reason=exc.message, camera=camera, address=address)
            raise
    quotas.offers.open(address)
    try:
        answer = await control.offer(camera, sdp)
    finally:
        quotas.offers.close(address)
    quotas.joined(address, answer.session)
    return answer
