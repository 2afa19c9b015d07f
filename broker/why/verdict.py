"""The verdict on a session without a picture: the first broken link of the chain, and what mends it. No I/O.

The chain is looked at from the camera to the screen: the offer was let in; the camera gives a picture; the viewer
takes its codec; our addresses can be reached; checks come in, answers go out; the handshake; media that goes out,
arrives, and is decoded. Links behind a broken one cannot be judged. What both sides saw stands in ``facts``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from broker.director.events import EndReason
from broker.why.evidence import Evidence
from broker.why.flow import arrived, hindrance, reported
from broker.why.links import BrokenLink, Verdict, listed
from broker.why.reach import unreached
from common.cameras import CameraState
from common.control import WEBSOCKET, ViewerState

YOUNG = 2.0  # seconds from the answer: by then a viewer that is far away has connected, by TURN as well
_CODEC_CODES = frozenset({"no_usable_codec", "nothing_wanted", "converters_full", "not_webrtc", "malformed_sdp"})
_SERVER_CODES = frozenset(
    {
        *(EndReason.WORKER_LOST, EndReason.WORKER_STOPPED, EndReason.WORKER_RESTARTED, EndReason.MISSING),
        *("no_egress", "egress_timeout", "egress_gave_up", "egress_died"),
    }
)
_ENDED: Mapping[str, BrokenLink] = {
    EndReason.NO_RIGHT: BrokenLink.OFFER,
    EndReason.OPERATOR: BrokenLink.OFFER,
    EndReason.CAMERA_REMOVED: BrokenLink.CAMERA,
    EndReason.MEANWHILE: BrokenLink.NONE,
}


def judge(evidence: Evidence) -> Verdict:
    """The first link that is broken."""
    for look in (_offer, _young, _camera, _server, _media):
        if verdict := look(evidence):
            return verdict
    return unreached(evidence)


def facts(evidence: Evidence) -> Iterator[str]:
    """Everything that was seen, one line each."""
    if evidence.address:
        yield f"the offer came from {evidence.address}"
    if evidence.seen is not None:
        yield f"camera: {evidence.seen.sentence}"
    if evidence.over:
        yield f"over: {evidence.reason or evidence.code}"
    if evidence.times > 1:
        yield f"{evidence.times} offers from there were refused like this; this was the last"
    report = evidence.report
    if report is not None and report.tried is not None:
        tried = report.tried
        yield f"we offered {listed(tried.offered)}"
        yield f"checks came from {listed(tried.heard_from)}"
        yield f"the viewer answered ours at {listed(tried.answered_at)}"
        yield f"handshake: {tried.handshake}"
    elif report is not None and report.state is ViewerState.CONNECTED:
        yield f"media goes to {report.remote} by {report.transport}: {report.packets} packets, {report.lost} lost"
        if report.transport != WEBSOCKET:
            heard = "nothing yet" if report.round_trip is None else f"a round trip of {report.round_trip * 1000:.0f} ms"
            asked = f"{report.plis} keyframes and {report.nacked} packets"
            yield f"its receiver reports {heard}, and has asked again for {asked}"
    if (page := evidence.page) is not None:
        yield f"the browser's connection: {page.state or 'unknown'}; its own addresses: {listed(page.local)}"
        for pair in page.pairs:
            yield f"the browser tried {pair}"
        for error in page.errors:
            yield f"the browser could not use {error}"
        yield f"in the browser: {page.octets} bytes, {page.received} pictures came, {page.decoded} decoded"


def _offer(evidence: Evidence) -> Verdict | None:
    code, reason = evidence.code, evidence.reason
    if code in _SERVER_CODES:
        return Verdict(
            BrokenLink.SERVER, reason, "The log says why the process ended; camshaft nodes lists the processes."
        )
    if evidence.refused:
        link = BrokenLink.CODEC if code in _CODEC_CODES else BrokenLink.OFFER
        return Verdict(link, reason, "The message names the setting, or what the viewer has to do.")
    if code in _ENDED:
        return Verdict(_ENDED[code], reason)
    return None


def _young(evidence: Evidence) -> Verdict | None:
    """A viewer that is not connected, and has not had the time for that: nothing follows yet."""
    connected = evidence.report is not None and evidence.report.state is ViewerState.CONNECTED
    seconds = evidence.at - evidence.since
    if connected or seconds >= YOUNG or evidence.code not in ("", "left"):
        return None
    done = "left" if evidence.over else "has been connecting for"
    return Verdict(
        BrokenLink.NONE,
        f"The viewer {done} {'after ' if evidence.over else ''}{seconds:.1f} s, which is too short to say anything.",
    )


def _camera(evidence: Evidence) -> Verdict | None:
    seen = evidence.seen
    if seen is None:
        return Verdict(BrokenLink.CAMERA, f"There is no camera {evidence.camera}.", "Add it, or ask for another.")
    if seen.state.failed or seen.state in (CameraState.WAITING, CameraState.CONNECTING):
        detail = f" {seen.detail.rstrip('.')}." if seen.detail and seen.detail not in seen.sentence else ""
        return Verdict(
            BrokenLink.CAMERA, f"{seen.sentence}{detail}", f"camshaft camera show {evidence.camera} has the details."
        )
    return None


def _server(evidence: Evidence) -> Verdict | None:
    if evidence.report is None:
        return Verdict(
            BrokenLink.SERVER,
            "The egress process has not reported the session.",
            "It reports within a second; camshaft nodes says whether it is alive.",
        )
    return None


def _media(evidence: Evidence) -> Verdict | None:
    """The first link that is broken behind the handshake, of a viewer that is connected."""
    report, page, seen = evidence.report, evidence.page, evidence.seen
    assert report is not None, "looked at before"
    assert seen is not None, "looked at before"
    if report.tried is not None or report.state is not ViewerState.CONNECTED:
        return None
    hindered = hindrance(report, seen)
    if hindered is not None:
        return hindered
    return arrived(report, page) if page is not None else reported(report, evidence.at - evidence.since)
