"""The process of one source: reads its order from standard input, and writes frames (``wire``) to standard output.

One thread demuxes into a bounded queue; the other sends what is in it when its time has come. Who ends standard input
ends the process, whatever the two are doing; where it is the source (``PIPED``), that ends so. The process has little
memory, and may write no file.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from common.cameras import CameraState
from common.clock import unix_ns
from common.errors import CameraError, ProtocolError
from common.media import Kind
from ingest.sources.media import Found, Medium, codec_of, describe
from ingest.sources.pace import Timeline
from ingest.sources.queue import Queue, Unit
from ingest.sources.share import Share
from ingest.sources.url import SourceUrl
from ingest.sources.wire import PIPED, FrameKind, Order, encode, encode_failure

REPORT_NS = 4_000_000_000  # between sender reports of a track
_OPEN_FILES = 64  # at once
_END_WITH_PARENT, _NO_NEW_PRIVILEGES = 1, 38  # prctl(2)


class Demuxing:
    """An open source's tracks: the best picture and the best sound. Raises ``CameraError`` if there is neither."""

    def __init__(self, opened: Any, share: Share) -> None:
        self._opened = opened
        self._share = share
        streams = opened.container.streams
        best = [streams.best("video"), streams.best("audio")]
        self._streams = [stream for stream in best if stream is not None]
        if not self._streams:
            raise CameraError(CameraState.NOT_MEDIA, "it contains neither picture nor sound")
        for stream in streams:
            if stream not in self._streams:
                with suppress(AttributeError):  # of an older PyAV: then HLS fetches every variant
                    stream.discard = "all"
        self.media = [Medium(_found(stream), number) for number, stream in enumerate(self._streams)]
        self.queue = Queue(opened.pacer)

    def run(self) -> None:
        """Demux until that fails: in a thread of its own."""
        from ingest.sources.opening import explained

        try:
            for unit in self._units():
                self.queue.put(unit)
                self._share.take()
        except CameraError as exc:
            self.queue.end(exc)
        except Exception as exc:  # of ours, too: the other thread ends with it
            import av

            self.queue.end(explained(exc) if isinstance(exc, av.FFmpegError) else exc)

    def _units(self) -> Iterator[Unit]:
        container, numbers = self._opened.container, {stream.index: n for n, stream in enumerate(self._streams)}
        timeline = Timeline()
        while True:
            came, counted = 0, 0
            for packet in container.demux(self._streams):
                if not packet.size:
                    continue
                came += 1
                decode, present = _times(packet, untimed=self._opened.untimed)
                if self._opened.repeats and packet.pts is packet.dts is None:  # a file of nothing but pictures
                    decode = present = counted
                    counted += _ns(packet.duration or 0, packet.time_base)
                offset = timeline.offset_ns(decode)
                yield Unit(numbers[packet.stream_index], bytes(packet), decode + offset, present + offset)
            if not (self._opened.repeats and came):
                raise CameraError(CameraState.CLOSED, "it has ended")
            _rewind(container)
            timeline.restart()


def send(media: list[Medium], queue: Queue, write: Any) -> None:
    """Write what comes out of the queue, each unit when its time has come. Ends with what ended the queue."""
    write(encode(FrameKind.DESCRIPTION, describe(media)))
    zero_ns: int | None = None
    due = [0] * len(media)  # when each track's next sender report is
    while True:
        unit = queue.get()
        if zero_ns is None:
            zero_ns = unix_ns() - unit.decode_ns
        medium = media[unit.section]
        frames = []
        if unit.present_ns >= due[unit.section]:
            due[unit.section] = unit.present_ns + REPORT_NS
            report = medium.report(unit.present_ns, zero_ns + unit.present_ns)
            frames.append(encode(FrameKind.RTCP, report, unit.section))
        with suppress(ProtocolError):  # an access unit that is damaged: the decoder will miss it
            packets = medium.packets(unit.data, unit.present_ns)
            frames += [encode(FrameKind.RTP, packet, unit.section) for packet in packets]
        write(b"".join(frames))


def main() -> None:
    """Pull what standard input says until that ends."""
    output = os.dup(1)
    os.dup2(2, 1)  # whatever prints must not get between the frames
    order = Order.parse(sys.stdin.buffer.readline())
    sys.excepthook = _tell_and_end(output)
    _confine(order.memory)
    piped = order.url == PIPED
    if not piped:
        threading.Thread(target=_watch, args=(sys.stdin.buffer,), daemon=True).start()

    writing = threading.Lock()

    def write(data: bytes) -> None:
        with writing:
            view = memoryview(data)
            while view:
                view = view[os.write(output, view) :]

    def give_up(error: CameraError) -> NoReturn:
        write(encode_failure(error))
        os._exit(0)  # FFmpeg may be at work in the other thread

    try:
        url = None if piped else SourceUrl.parse(order.url)
    except ValueError as exc:
        give_up(CameraError(CameraState.INVALID_URL, str(exc)))
    from ingest.sources.opening import opened, opened_pipe  # late, behind the limits: FFmpeg

    write(encode(FrameKind.UP, b""))
    share = Share(order.bitrate)
    try:
        source = opened_pipe(sys.stdin.buffer, share) if url is None else opened(url, order, share, give_up)
        demuxing = Demuxing(source, share)
        threading.Thread(target=demuxing.run, daemon=True).start()
        send(demuxing.media, demuxing.queue, write)
    except CameraError as exc:
        give_up(exc)


def _found(stream: Any) -> Found:
    context = stream.codec_context
    kind = Kind.VIDEO if stream.type == "video" else Kind.AUDIO
    name = context.name if context is not None else "unknown"
    extradata = bytes(context.extradata or b"") if context is not None else b""
    if kind is Kind.VIDEO:
        return Found(kind, codec_of(name), extradata)
    return Found(kind, codec_of(name), extradata, context.sample_rate or 0, context.channels or 1)


def _times(packet: Any, *, untimed: bool) -> tuple[int, int]:
    """Decoding and presentation time in nanoseconds; by our clock where the source has none."""
    decode = packet.dts if packet.dts is not None else packet.pts
    if untimed or decode is None or packet.time_base is None:
        now = time.monotonic_ns()
        return now, now
    present = packet.pts if packet.pts is not None else decode
    return _ns(decode, packet.time_base), _ns(present, packet.time_base)


def _ns(ticks: int, base: Fraction) -> int:
    return ticks * 10**9 * base.numerator // base.denominator


def _rewind(container: Any) -> None:
    """Go back to the beginning. Raises ``av.FFmpegError``."""
    import av

    try:
        container.seek(0)
    except av.FFmpegError:  # there are no times in it to look for
        container.seek(0, unsupported_byte_offset=True)


def _confine(memory: int) -> None:
    """Take away what a demuxer that was taken over could use."""
    for name, most in (
        (resource.RLIMIT_DATA, memory << 20),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(name, (most, most))
    with suppress(OSError, AttributeError):
        prctl = ctypes.CDLL(None).prctl
        prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)  # it may stand still then, and not see its input end


def _watch(standard_input: Any) -> None:
    standard_input.read(1)  # nobody writes: it returns at its end
    os._exit(0)


def _tell_and_end(output: int) -> Any:
    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Tell why it ended, without the error's own words: FFmpeg's hold the URL."""
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "nowhere"
        what = f"the demuxer failed: {kind.__name__} in {place}"
        with suppress(OSError):
            os.write(output, encode_failure(CameraError(CameraState.CLOSED, what)))
        os._exit(1)

    return tell


if __name__ == "__main__":
    main()
