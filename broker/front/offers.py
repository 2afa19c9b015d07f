"""Viewers' offers and WebSockets at the front door: within the limits, or refused with the limit."""

from __future__ import annotations

from broker.access.principal import Kind, Principal
from broker.answers import Answer
from broker.director.events import Holder, StreamWish, Wish
from broker.front.context import Context
from broker.front.quotas import over
from common.cameras import MAIN, CameraName, split_stream
from common.errors import RequestError
from common.sessions import public_name

MAX_HEIGHT_DIGITS = 5  # of a picture on a screen
MAX_OUTCOMES = 100  # of offers that are counted apart: we have a quarter of that, and an egress may say anything
MAX_SHOWN = 100  # characters of a name that is none


def check_memory(context: Context) -> None:
    """Raises ``RequestError`` while there is too little for one more viewer or page."""
    if context.memory.now(context.clock()):
        raise over(
            "free_memory",
            context.quotas.limits.free_memory,
            "The server has too little free memory for another viewer or page",
        )


def check_socket(context: Context, address: str | None) -> None:
    """Raises ``RequestError`` while the peer that is counted as ``address`` may have no further WebSocket."""
    context.quotas.sockets.check(address)
    check_memory(context)


def parse_wish(stream: object, height: object) -> Wish:
    """The stream and the height of a viewer's, as it gives them; ``None`` for what it does not give.

    Raises ``RequestError``.
    """
    streams = [wish.value for wish in StreamWish if wish]
    if stream is not None and stream not in streams:
        raise RequestError(400, "invalid_stream", f"The stream must be one of {', '.join(streams)}.")
    return Wish(StreamWish(stream or StreamWish.AUTO), _height(0 if height is None else height))


def _height(height: object) -> int:
    """The height of a picture on the screen, as a number or its digits. Raises ``RequestError``."""
    if isinstance(height, str) and height.isascii() and height.isdecimal() and len(height) <= MAX_HEIGHT_DIGITS:
        height = int(height)
    if not isinstance(height, int) or isinstance(height, bool) or not 0 <= height < 10**MAX_HEIGHT_DIGITS:
        raise RequestError(400, "invalid_height", "The height must be a whole number of pixels.")
    return height


async def ask(
    context: Context,
    principal: Principal,
    peer: str | None,
    camera: CameraName,
    sdp: str,
    wish: Wish,
    takes: tuple[str, ...] = (),
) -> Answer:
    """Have an offer of somebody's answered, who asks from ``peer``; ``takes``: see ``ControlPlane.offer``.

    Raises ``RequestError``.
    """
    outcome, began = "given_up", context.clock()
    try:
        answer = await _ask(context, principal, peer, camera, sdp, wish, takes)
        outcome = "answered"
    except RequestError as exc:
        outcome = exc.code
        raise
    finally:
        known = outcome in context.offers or len(context.offers) < MAX_OUTCOMES
        context.offers[outcome if known else "other"] += 1
    context.answers.add(context.clock() - began)
    return answer


async def _ask(
    context: Context,
    principal: Principal,
    peer: str | None,
    camera: CameraName,
    sdp: str,
    wish: Wish,
    takes: tuple[str, ...],
) -> Answer:
    control, quotas, address = context.control, context.quotas, context.quotas.address(peer)
    user = "" if principal.kind is Kind.OPEN else principal.label
    status = control.director.camera(camera)
    if split_stream(camera)[1] != MAIN:
        raise RequestError(404, "unknown_camera", f"There is no camera {camera[:MAX_SHOWN]!r}.")
    if status is not None:  # else it is refused anyway, and its name is a stranger's choice
        try:
            check_memory(context)
            sessions = len(control.director.sessions)
            now, viewers = context.clock(), status.viewers
            quotas.check_offer(address, camera, viewers=viewers, sessions=sessions, now=now, user=user)
        except RequestError as exc:
            context.counters[exc.code] += 1
            control.clerk.turned_away(camera, address or "", exc)
            context.quiet.warning("offer refused", reason=exc.message, camera=camera, address=peer)
            raise
    quotas.offers.open(address)
    try:
        holder = Holder(principal.holder, principal.expires)
        answer = await control.offer(camera, sdp, wish, holder, takes)
    finally:
        quotas.offers.close(address)
    quotas.joined(address, answer.session, user)
    control.clerk.cases.asked(answer.session, address or "", context.desk.now)
    name = public_name(answer.session)  # by which the egress tells in its log how the viewer fares
    about = address or ""
    context.audit.info("viewer let in", about=about, session=name, camera=camera, who=principal.label, address=peer)
    return answer
