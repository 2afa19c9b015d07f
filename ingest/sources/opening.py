"""Opens a source with FFmpeg: per scheme what it may speak, what it may read, and what it may reach; blocking.

* HTTP is spoken by us (``http``). Whatever FFmpeg wants to open goes through ``io_open``, so that a playlist reaches
  nothing but HTTP, and no file of this machine.
* All else FFmpeg speaks itself, under a ``protocol_whitelist`` of that one protocol.
* Only demuxers of containers that carry live media are allowed (``format_whitelist``): none that opens further files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from urllib.parse import quote

import av
import av.error
from av.container import InputContainer

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.connect import allowed
from ingest.rtsp.networks import Networks, OutsideNetworksError
from ingest.sources.encrypted import Decrypted
from ingest.sources.http import Body, Http, resolved
from ingest.sources.images import Images
from ingest.sources.pace import LEAD, SPEED, Pacer
from ingest.sources.share import Share
from ingest.sources.url import SourceUrl
from ingest.sources.wire import Order

OPEN_TIMEOUT = 10.0  # seconds until FFmpeg has connected
READ_TIMEOUT = 10.0  # seconds until the next packet
LOOK_US = "1500000"  # microseconds of media that are looked at to learn what there is …
LOOK_BYTES = "2000000"  # … and bytes
MAX_FAILURES = 2  # segments in a row that a playlist names and that are not there
BUFFER = 32 << 10  # bytes that are read at once

_CONTAINERS = "mpegts,flv,live_flv,mov,matroska,ogg,mjpeg,mpjpeg,h264,hevc,aac,mp3"
_FILES = f"{_CONTAINERS},avi,m4v,ivf,wav"
_TYPES = {
    "multipart/x-mixed-replace": "mpjpeg",
    "multipart/mixed": "mpjpeg",
    **dict.fromkeys(("video/x-motion-jpeg", "video/x-mjpeg", "video/mjpeg", "image/x-mjpeg"), "mpjpeg"),
    "application/vnd.apple.mpegurl": "hls",
    "application/x-mpegurl": "hls",
    "audio/mpegurl": "hls",
    "audio/x-mpegurl": "hls",
    "video/mp2t": "mpegts",
    "video/x-flv": "flv",
}
_HLS = {"live_start_index": "-2", "http_persistent": "0", "http_multiple": "0", "extension_picky": "0"} | {
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
}
_LIVE = {"analyzeduration": LOOK_US, "probesize": LOOK_BYTES, "fpsprobesize": "0"}
_VIDEO4LINUX = 81  # Documentation/admin-guide/devices.txt of Linux, of character devices
_ENCRYPTED = "crypto+"  # FFmpeg's mark of a segment that is to be decrypted
_V4L2_KEYS = {"size": "video_size", "fps": "framerate", "format": "input_format"}
_NO_PAGE = "it is a web page; the camera's manual has the address of its stream"


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that is open."""

    container: InputContainer
    pacer: Pacer
    repeats: bool = False  # it is played again and again
    untimed: bool = False  # its timestamps say nothing: those of arrival count


GiveUp = Callable[[CameraError], NoReturn]


def opened(url: SourceUrl, order: Order, share: Share, give_up: GiveUp) -> Opened:
    """Connect, and learn what there is. Raises ``CameraError``.

    ``give_up`` ends the process with an error, also where FFmpeg would go on: it asks a playlist again and again.
    """
    match url.scheme:
        case "http" | "https":
            return _http(url, order, share, give_up)
        case "file":
            return _file(url)
        case "device":
            return _device(url)
        case scheme:
            return _network(url, scheme, Networks(order.networks), share)


def opened_pipe(pipe: BinaryIO, share: Share) -> Opened:
    """A transport or program stream that others have fetched. Raises ``CameraError``."""
    options = {**_LIVE, "format_whitelist": "mpegts,mpeg", "protocol_whitelist": "file"}
    return Opened(_open(_Piped(pipe, share), None, options), Pacer(LEAD, SPEED))


class _Piped:
    """A pipe from which as much is read as there is."""

    def __init__(self, pipe: Any, share: Share) -> None:
        self._pipe, self._share = pipe, share

    def read(self, size: int) -> bytes:
        data: bytes = self._pipe.read1(size)
        self._share.take(len(data))
        return data


def _http(url: SourceUrl, order: Order, share: Share, give_up: GiveUp) -> Opened:
    http = Http(url, order.tls, Networks(order.networks), share)
    first = http.get()
    form = _TYPES.get(first.content_type) or ("hls" if url.target.partition("?")[0].endswith(".m3u8") else None)
    if form is None and first.content_type in ("text/html", "application/xhtml+xml"):
        raise CameraError(CameraState.NOT_MEDIA, _NO_PAGE)
    if first.content_type == "image/jpeg":
        what = "it is a single picture; the camera's manual has the address of its stream"
        raise CameraError(CameraState.NOT_MEDIA, what)
    files = _Files(http, Images(first) if form == "mpjpeg" else first, give_up)
    options = {**_LIVE, "format_whitelist": f"hls,{_CONTAINERS}", "protocol_whitelist": "http,https,tcp,tls,crypto"}
    if form == "hls":
        options |= _HLS
    container = _open(str(first.url), form, options, io_open=files.open, failure=lambda: files.failure)
    segments = container.format.name == "hls"
    untimed = container.format.name in ("mpjpeg", "mjpeg")
    return Opened(container, Pacer(0.0, SPEED) if segments else Pacer(LEAD, SPEED), untimed=untimed)


class _Files:
    """The files of an HTTP source that FFmpeg opens: the first is open already, and all others come by HTTP too."""

    def __init__(self, http: Http, first: Body | Images, give_up: GiveUp) -> None:
        self.failure: CameraError | None = None  # the last one
        self._give_up = give_up
        self._failures = 0  # in a row
        self._http = http
        self._first: Body | Images | None = first

    def open(self, location: str, flags: int, options: Mapping[str, str]) -> Any:
        """Open one. Where it cannot be had it is empty: a segment that is gone ends no stream, but several do, and one
        that leads to where it may not."""
        first, self._first = self._first, None
        if first is not None:
            return first
        headers = {}
        if begin := options.get("offset", ""):
            end = options.get("end_offset", "")
            headers["Range"] = f"bytes={begin}-{int(end) - 1 if end.isdecimal() else ''}"
        encrypted = location.startswith(_ENCRYPTED)
        try:
            body = self._http.get(location.removeprefix(_ENCRYPTED), headers)
        except CameraError as exc:
            self.failure = exc
            self._failures += 1
            if exc.state is CameraState.REJECTED or self._failures >= MAX_FAILURES:
                self._give_up(exc)
            return _Nothing()
        if _TYPES.get(body.content_type) != "hls":
            self._failures = 0
        return Decrypted(body, *(bytes.fromhex(options[name]) for name in ("key", "iv"))) if encrypted else body


class _Nothing:
    def read(self, _size: int) -> bytes:
        return b""


def _file(url: SourceUrl) -> Opened:
    try:
        descriptor = os.open(
            url.target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # a pipe without a writer would wait
    except FileNotFoundError:
        raise CameraError(CameraState.NOT_FOUND, "there is no such file on the machine that ingest runs on") from None
    except (OSError, ValueError) as exc:
        raise CameraError(CameraState.REJECTED, f"the file cannot be read: {_reason(exc)}") from None
    file: BinaryIO = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise CameraError(CameraState.REJECTED, "it is not a regular file")

    def only(*_args: object) -> Any:
        raise CameraError(CameraState.REJECTED, "the file refers to another one")

    options = {"format_whitelist": _FILES, "protocol_whitelist": "file"}
    return Opened(_open(file, None, options, io_open=only), Pacer(), repeats=True)


def _device(url: SourceUrl) -> Opened:
    path, _, query = url.target.partition("?")
    given = dict(part.partition("=")[::2] for part in query.split("&") if part)
    if unknown := given.keys() - _V4L2_KEYS.keys():
        problem = f"{min(unknown)} is not known after the ?; allowed: {', '.join(_V4L2_KEYS)}"
        raise CameraError(CameraState.INVALID_URL, problem)
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        raise CameraError(CameraState.NOT_FOUND, "there is no such device on the machine that ingest runs on") from None
    if not (path.startswith("/dev/") and stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) == _VIDEO4LINUX):
        raise CameraError(
            CameraState.REJECTED, "it is not a video device below /dev"
        )  # to open another may do something
    options = {_V4L2_KEYS[key]: value for key, value in ({"format": "mjpeg"} | given).items()}
    container = _open(path, "v4l2", {**options, "protocol_whitelist": "file"})
    return Opened(container, Pacer(LEAD, SPEED))


def _network(url: SourceUrl, scheme: str, networks: Networks, share: Share) -> Opened:
    """FFmpeg resolves no name: what it connects to is what was looked at here."""
    host = url.host
    if scheme == "udp":
        if networks.listed:
            raise OutsideNetworksError("anybody may send to a UDP port", networks)
    else:
        [host, *_] = allowed(resolved(url.host, url.port), url.host, None, networks)
    if scheme == "srt":
        return _srt(url, host, share)
    credentials = ""
    if url.username is not None:
        credentials = f"{quote(url.username, safe='')}:{quote(url.password, safe='')}@"
    there = replace(url, host=host)
    form, protocols, options = _NETWORK[scheme]
    limits = {**_LIVE, "format_whitelist": form, "protocol_whitelist": protocols}
    if scheme.startswith("rtmp"):  # the server is to hear its name
        limits["rtmp_tcurl"] = f"{scheme}://{url.authority}/{url.target.strip('/').partition('/')[0]}"
    text = f"{scheme}://{credentials}{there.authority}{there.target}"
    return Opened(_open(text, form.partition(",")[0], {**limits, **options}), Pacer(LEAD, SPEED))


def _srt(url: SourceUrl, host: str, share: Share) -> Opened:
    """Called by us: FFmpeg in the package ``av`` does not speak it."""
    from ingest.sources.srt.caller import Caller  # late: no other source has a use for it

    caller = Caller(host, url.port, url.target.partition("?")[2], share, timeout=READ_TIMEOUT)
    options = {**_LIVE, "format_whitelist": "mpegts", "protocol_whitelist": "file"}
    return Opened(_open(caller, "mpegts", options), Pacer(LEAD, SPEED))


_NETWORK: dict[str, tuple[str, str, dict[str, str]]] = {
    "rtmp": ("flv,live_flv", "rtmp,tcp", {"rtmp_live": "live", "rtmp_buffer": "500"}),
    "rtmps": ("flv,live_flv", "rtmps,tls,tcp", {"rtmp_live": "live", "rtmp_buffer": "500"}),
    "udp": ("mpegts", "udp", {"timeout": str(int(READ_TIMEOUT * 1e6)), "overrun_nonfatal": "1"}),
}


def _open(
    what: Any,
    form: str | None,
    options: dict[str, str],
    *,
    io_open: Callable[..., Any] | None = None,
    failure: Callable[[], CameraError | None] = lambda: None,
) -> InputContainer:
    try:
        container: InputContainer = av.open(
            what,
            format=form,
            options=options,
            buffer_size=BUFFER,
            timeout=(OPEN_TIMEOUT, READ_TIMEOUT),
            io_open=io_open,
        )
    except av.error.ProtocolNotFoundError:
        problem = "the FFmpeg that is installed here (in the package av) does not support it; use another protocol"
        raise CameraError(CameraState.INVALID_URL, problem) from None
    except av.FFmpegError as exc:
        raise failure() or explained(exc) from None
    return container


def explained(error: av.FFmpegError) -> CameraError:
    """The error that FFmpeg met, in our words; its own may hold the URL."""
    if isinstance(error, ConnectionRefusedError):
        return CameraError(CameraState.CONNECTION_REFUSED)
    if isinstance(error, av.error.ExitError | TimeoutError):
        return CameraError(CameraState.SILENT, f"nothing came for {READ_TIMEOUT:.0f} s")
    if isinstance(error, av.error.EOFError):
        return CameraError(CameraState.CLOSED, "it has ended")
    if isinstance(error, av.error.InvalidDataError | av.error.ArgumentError):  # the second: of a form not allowed
        return CameraError(CameraState.NOT_MEDIA, "its container format is not supported here")
    if isinstance(error, FileNotFoundError):
        return CameraError(CameraState.NOT_FOUND)
    return CameraError(CameraState.CLOSED, _reason(error))


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
