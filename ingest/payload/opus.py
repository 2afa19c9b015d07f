"""Opus over RTP (RFC 7587): what a camera sends is what a browser wants; no I/O."""

from __future__ import annotations

from collections.abc import Mapping

from common.media import MAX_PAYLOAD, Kind, Track
from common.payload.output import Output
from ingest.payload.standalone import Standalone

CLOCK_RATE = 48_000  # RFC 7587 4.1, whatever the encoder's rate

MAX_CHANNELS = 8


def channel_mapping(parameters: Mapping[str, str]) -> str:
    """The streams, the coupled ones of them, and each channel's place in them: numbers with commas between, as the
    header of a file has them (RFC 7845 5.1.1). Empty if the parameters do not say it, or cannot be right.

    Opus of more than two channels travels so (``multiopus``, of WebRTC's makers and GStreamer).
    """
    texts = [parameters.get(name, "") for name in ("num_streams", "coupled_streams", "channel_mapping")]
    numbers = [int(text) if text.isdecimal() and len(text) < 4 else -1 for text in ",".join(texts).split(",")]
    streams, coupled, *channels = numbers
    if not (0 < streams <= MAX_CHANNELS and 0 <= coupled <= streams and 0 < len(channels) <= MAX_CHANNELS):
        return ""
    if not all(0 <= channel < streams + coupled or channel == _SILENT for channel in channels):
        return ""
    return ",".join(map(str, numbers))


_SILENT = 255


class Opus(Standalone):
    """One camera's Opus track."""

    as_it_comes = True

    def __init__(self, output: Output) -> None:
        super().__init__(Track(Kind.AUDIO, "opus", CLOCK_RATE, 2))  # RFC 7587 7: always announced as two channels
        self._output = output

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the payload ``packet[start:end]``, in order; ``timestamp`` is extended."""
        if end - start > MAX_PAYLOAD:  # RFC 7587 4.2: it cannot be cut; 20 ms at 464 kbit/s fit
            self.dropped += 1
            return
        self.frames += 1
        self._output.send(packet[start:end], timestamp, arrival_ns)
