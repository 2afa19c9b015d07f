"""The answer to SETUP, and what is agreed by it for one media section (RFC 2326 10.4, 12.39); no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.cameras import CameraState
from common.errors import CameraError, ProtocolError
from ingest.rtsp.transport import Pair, TransportSpec
from ingest.sdp import MediaSection


@dataclass(frozen=True, slots=True)
class Setup:
    """A media section that the camera agreed to send."""

    section: MediaSection
    spec: TransportSpec


class TransportRefusedError(CameraError):
    """The camera does not send over the transport that was asked for; another may do.

    ``unsupported``: it says that it is for the transport.
    """

    def __init__(self, state: CameraState, detail: str, *, unsupported: bool = False) -> None:
        super().__init__(state, detail)
        self.unsupported = unsupported


def refused(status: int, state: CameraState, detail: str) -> TransportRefusedError:
    """The error for a SETUP that was answered with an error's ``status``."""
    return TransportRefusedError(state, detail, unsupported=status == 461)


def channels_for(setups: Sequence[Setup]) -> Pair:
    """The interleaved channels to ask for where so many sections are set up."""
    return 2 * len(setups), 2 * len(setups) + 1


def agreed(answer: str | None, ports: Pair | None, setups: Sequence[Setup]) -> TransportSpec:
    """The transport that the ``Transport`` header of an answer agrees on: the camera's word counts, even if it is not
    what was asked for. ``ports`` are those asked for over UDP, ``None`` means TCP; ``setups`` came before.

    Raises ``TransportRefusedError`` for another transport, ``CameraError`` for what cannot be read.
    """
    tcp = ports is None
    try:
        spec = TransportSpec.parse(answer, tcp=tcp) if answer else TransportSpec(tcp=tcp, client_port=ports)
    except ProtocolError as exc:
        raise CameraError(CameraState.MALFORMED, str(exc)) from None
    if tcp and not spec.multicast and spec.client_port is spec.server_port is None:
        spec = replace(spec, tcp=True)  # "RTP/AVP;unicast" names no port of UDP's
    if spec.multicast or spec.tcp != tcp:
        answered = "multicast" if spec.multicast else "TCP" if spec.tcp else "UDP"
        wanted = "TCP" if tcp else "UDP"
        what = f"the camera answered with {answered} when asked for {wanted}"
        raise TransportRefusedError(CameraState.REJECTED, what, unsupported=True)
    taken = {channel for setup in setups for channel in setup.spec.interleaved or ()}
    if tcp and (
        spec.interleaved is None or taken & set(spec.interleaved)
    ):  # it answers "0-1" each time, and means ours
        return TransportSpec(tcp=True, interleaved=channels_for(setups), ssrc=spec.ssrc)
    return spec
