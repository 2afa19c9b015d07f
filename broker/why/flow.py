"""The verdict on a viewer that is connected: whether media goes out to it, arrives, and is decoded. No I/O.

Our pages tell what arrives there. Of other players the receiver's reports do, which every WebRTC sends.
"""

from __future__ import annotations

from broker.why.evidence import CameraEvidence, PageReport
from broker.why.links import BrokenLink, Verdict
from common.control import WEBSOCKET, ViewerReport, ViewerState
from common.media import MAX_PAYLOAD

REPORTS_AFTER = 6.0  # seconds from the answer until which every receiver has reported on something
MUCH_LOST = 0.1  # share of packets: no picture is whole any more
ASKS_OFTEN = 0.2  # keyframes that it asks for a second, though next to nothing is lost
_FILTERED = "A firewall on the way lets small packets through but no media: look for limits on UDP, or a VPN's MTU."
_HEADERS, _HEADERS_V6 = 28, 48  # bytes of IP and UDP around a datagram
_UNDECODED = "Set the camera to a smaller picture or the Baseline profile, or use another browser."


def hindrance(report: ViewerReport, seen: CameraEvidence) -> Verdict | None:
    """The broken link, if that is why nothing is sent."""
    if report.video == "not negotiated" and seen.video:
        return Verdict(
            BrokenLink.CODEC,
            f"The camera sends {seen.video}, but the viewer cannot play that.",
            "Start a transcode process (camshaft transcode), set the camera to H.264, or use another browser.",
        )
    if not seen.video:
        return Verdict(BrokenLink.CAMERA, "The camera sends only sound.", "Choose a stream with a picture in its URL.")
    if "keyframe" in report.waiting:
        return Verdict(
            BrokenLink.CAMERA,
            "The viewer is connected, but the camera has sent no keyframe since.",
            "Set the camera's I-frame interval to two seconds or less.",
        )
    if "camera" in report.waiting:
        return Verdict(
            BrokenLink.CAMERA,
            "The viewer is connected, but the camera sends nothing.",
            "Check the camera's connection.",
        )
    if "path" in report.waiting:
        return _small_mtu(report) or Verdict(
            BrokenLink.PATH,
            f"The network does not deliver what is sent to {report.remote}; Camshaft tries again in some seconds.",
            "The connection is too slow or keeps breaking: a sub-stream needs less (streams.sub).",
        )
    return None


def _small_mtu(report: ViewerReport) -> Verdict | None:
    """The verdict on a path that loses what is large and nothing else."""
    if not report.datagram:
        return None
    about = report.datagram + (_HEADERS_V6 if report.remote.startswith("[") else _HEADERS)
    return Verdict(
        BrokenLink.PATH,
        f"Small packets reach {report.remote}, but none larger than about {about} bytes: a tunnel, a VPN "
        "or a link on the way has a small MTU, and silently drops what is larger.",
        f"Set the MTU at the tunnel's ends to what the link carries, and let ICMP through; our packets have up to "
        f"{MAX_PAYLOAD + 64} bytes. TCP (media.tcp, the page's own port) gets through if the tunnel sets its MSS.",
    )


def speaks_for_itself(report: ViewerReport) -> bool:
    """Whether media flows to a viewer by its own RTCP, so that nobody need look at it."""
    if report.state is not ViewerState.CONNECTED or not report.packets or report.waiting:
        return False
    return report.transport == WEBSOCKET or not (report.round_trip is None or _loses(report) or report.plis)


def _loses(report: ViewerReport) -> bool:
    return report.lost >= MUCH_LOST * report.packets


def reported(report: ViewerReport, seconds: float) -> Verdict:
    """A viewer whose page tells nothing, as players by WHEP do: by its receiver's reports (RFC 3550 6.4.2)."""
    went = f"{report.packets} packets went to {report.remote}"
    if not report.packets or seconds < REPORTS_AFTER:
        return Verdict(BrokenLink.NONE, f"Media goes to {report.remote}: {report.packets} packets, {report.lost} lost.")
    if report.transport == WEBSOCKET:
        return Verdict(BrokenLink.NONE, f"{report.packets} fragments went to {report.remote}, over TCP only.")
    if (report.round_trip is None or _loses(report)) and (small := _small_mtu(report)) is not None:
        return small
    if report.round_trip is None:
        return Verdict(
            BrokenLink.PATH,
            f"{went}, but its receiver has not reported any of them (RTCP).",
            _FILTERED,
        )
    if _loses(report):
        return Verdict(
            BrokenLink.PATH,
            f"{went}; its receiver reports {report.lost} of them as lost.",
            "The connection loses too much: a sub-stream needs less (streams.sub).",
        )
    if report.plis >= ASKS_OFTEN * seconds:
        return Verdict(
            BrokenLink.BROWSER,
            f"{went} and arrived, but the viewer keeps asking for keyframes ({report.plis} so far): it cannot decode.",
            _UNDECODED,
        )
    return Verdict(BrokenLink.NONE, f"{went} and arrived: its receiver reports {report.lost} as lost.")


def arrived(report: ViewerReport, page: PageReport) -> Verdict:
    """The first link that is broken, as its page says."""
    if not report.packets:
        return Verdict(BrokenLink.NONE, f"Nothing has gone to {report.remote} yet.")
    if not page.decoded and not page.received and (small := _small_mtu(report)) is not None:
        return small
    if not page.octets:
        return Verdict(
            BrokenLink.PATH,
            f"{report.packets} packets went to {report.remote}, but the browser says that nothing arrives.",
            _FILTERED,
        )
    if not page.decoded and page.received:
        return Verdict(
            BrokenLink.BROWSER,
            f"{page.received} whole pictures ({report.video}) arrived, but the browser cannot decode them.",
            _UNDECODED,
        )
    if not page.decoded:
        return Verdict(
            BrokenLink.PATH,
            f"Media arrives but no picture is complete: {report.lost} of {report.packets} packets were lost.",
            "The connection loses too much: a sub-stream needs less (streams.sub).",
        )
    return Verdict(BrokenLink.NONE, f"The browser has decoded {page.decoded} pictures.")
