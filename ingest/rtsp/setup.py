"""The answer to SETUP, and what is agreed by it for one media section (RFC 2326 10.4, 12.39); no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from common.cameras import CameraState
from common.errors import CameraError, ProtocolError
from ingest.rtsp.groups import MulticastGroup, group_of
from ingest.rtsp.message import Response
from ingest.rtsp.transport import Pair, TransportSpec
from ingest.sdp import MediaSection
from ingest.srtp.agreement import Agreement
from ingest.srtp.keys import Keys


@dataclass(frozen=True, slots=True)
class Setup:
    """A media section that the camera agreed to send."""

    section: MediaSection
    spec: TransportSpec
    group: MulticastGroup | None = None  # that it is sent to, where it is multicast
    keys: tuple[Keys, Keys] | None = None  # the camera's and ours, where it sends SRTP


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


@dataclass(slots=True, eq=False)
class Asking:
    """The SETUP of one section that is under way, and what it agrees on."""

    agreement: Agreement
    spec: TransportSpec = field(default_factory=partial(TransportSpec, tcp=True))  # that was asked for last

    def headers(self, url: str, spec: TransportSpec) -> list[tuple[str, str]]:
        """The headers of the request that asks ``url`` for that transport."""
        self.spec = replace(spec, profile=self.agreement.profile)
        return [("Transport", str(self.spec)), *self.agreement.headers(url)]

    def again(self, status: int) -> bool:
        """Whether it is to be asked again, as it was answered with ``status``."""
        return self.agreement.again(status)

    def answered(self, answer: Response, setups: Sequence[Setup]) -> Setup:
        """The section as the answer agrees to send it; see ``agreed``. Raises ``CameraError``."""
        spec = agreed(answer.headers.get("Transport"), self.spec, setups)
        section = self.agreement.section
        try:
            group = group_of(spec, section) if spec.multicast else None
        except ProtocolError as exc:
            raise TransportRefusedError(CameraState.REJECTED, f"the camera {exc}") from None
        try:
            keys = self.agreement.agreed(answer.headers.get("KeyMgmt"))
        except ProtocolError as exc:
            raise CameraError(CameraState.REJECTED, f"the track is encrypted (SRTP), and {exc}") from None
        return Setup(section, spec, group, keys)


def agreed(answer: str | None, asked: TransportSpec, setups: Sequence[Setup]) -> TransportSpec:
    """The transport that the ``Transport`` header of an answer agrees on: the camera's word counts, even if it is not
    what was asked for. ``setups`` came before. A camera that is asked for UDP may send it to a group.

    Raises ``TransportRefusedError`` for another transport, ``CameraError`` for what cannot be read.
    """
    tcp = asked.tcp
    try:
        spec = TransportSpec.parse(answer, tcp=tcp) if answer else asked
    except ProtocolError as exc:
        raise CameraError(CameraState.MALFORMED, str(exc)) from None
    if tcp and not spec.multicast and spec.client_port is spec.server_port is None:
        spec = replace(spec, tcp=True)  # "RTP/AVP;unicast" names no port of UDP's
    if spec.tcp != tcp or (spec.multicast if tcp else asked.multicast and not spec.multicast):
        answered, wanted = _name(spec), _name(asked)
        what = f"the camera answered with {answered} when asked for {wanted}"
        raise TransportRefusedError(CameraState.REJECTED, what, unsupported=True)
    taken = {channel for setup in setups for channel in setup.spec.interleaved or ()}
    if tcp and (
        spec.interleaved is None or taken & set(spec.interleaved)
    ):  # it answers "0-1" each time, and means ours
        return TransportSpec(tcp=True, interleaved=channels_for(setups), ssrc=spec.ssrc)
    return spec


def _name(spec: TransportSpec) -> str:
    return "multicast" if spec.multicast else "TCP" if spec.tcp else "UDP"
