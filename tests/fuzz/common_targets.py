"""Messages on the bus, words of an operator, and what is shown to people."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace

import msgpack

from common import address, control, join, media
from common.camera_url import SCHEMES, read_pasted
from common.cameras import CameraSpec, CameraState, redact
from common.config_file import cameras_of, load
from common.endpoints import Endpoints
from common.errors import ConfigError, ProtocolError
from common.log import _redact
from common.media import Kind, Track
from common.near import CALL, Call
from common.seal import StreamSeals
from common.token import WorkerToken
from tests.fakes.media import audio, gop_stream
from tests.fuzz.target import Target, repeated

BATCHES = [batch for _, batch in zip(range(3), gop_stream(), strict=False)]
LIVE = media.live_topic("door") + media.encode_batch(BATCHES[0])
REPLAY = media.replay_topic("door", "out-1") + media.encode_replay(map(media.encode_batch, BATCHES))
CALL_OF_ONE = Call("out-1", "0123456789abcdef" * 2, "fedcba9876543210" * 2)

TRACKS = (Track(Kind.VIDEO, "H264", 90_000, profile="42e01f"), Track(Kind.AUDIO, "opus", 48_000, 2))
STREAM = control.StreamReport("door", 1, CameraState.PLAYING, tracks=TRACKS, stats=(control.TrackStats(Kind.VIDEO, 9),))
VIEWER = control.ViewerReport("s1", "door", control.ViewerState.CONNECTED, estimated_bandwidth=1_000_000)
INGEST = control.Report("in-1", control.Role.INGEST, "1", served=(STREAM,), counters={"gaps": 1})
EGRESS = control.Report("out-1", control.Role.EGRESS, "1", viewers=(VIEWER,), subscribed=("door",))
TO_BROKER = tuple(
    control.encode(message)
    for message in (
        INGEST,
        EGRESS,
        control.Report("tc-1", control.Role.TRANSCODE, "1", made=(control.Made("door/h264", TRACKS[0]),), full=True),
        control.Answered("s1", "v=0", ("door/h264", "door")),
        control.Refused("s1", 406, "no_usable_codec", "No."),
        control.Ended("s1", "closed by the viewer"),
        control.IceRestarted("q1", "s1", "mark", "a=ice-lite\r\n"),
        control.IceNotRestarted("q1", "s1", 429, "ice_restart_rate", "Too often."),
        control.SnapshotTaken("r1", b"\xff\xd8", 1.0),
        control.SnapshotFailed("r1", "no keyframe"),
        control.Leaving("out-1", "1"),
    )
)
TO_WORKER = tuple(
    control.encode(message)
    for message in (
        control.Assign(CameraSpec("door", "rtsp://user:secret@host/door", 1)),
        control.Release("door"),
        control.Convert("door/h264", TRACKS[0], bytes(16), bytes(16)),
        control.EndConversion("door/h264"),
        control.Offer("s1", "door", "v=0", TRACKS),
        control.RestartIce("q1", "s1", "ufrg", "a password of 22 signs"),
        control.HangUp("s1"),
        control.Move("s1", "door/sub"),
        control.Snapshot("r1", "door", TRACKS[0], 360),
        control.Ping(),
    )
)
CONFIGURATION = b"""
http:
  listen: 127.0.0.1:8080
  hosts: [a.example, b.example]
cameras:
  door: {url: "rtsp://user:pass@10.0.0.2/live", transport: tcp}
  yard:
    url: rtsps://10.0.0.3/live
    tls: {verify: false}
log: &log
  level: debug
"""
CONFIG_WORDS = (
    b"http:", b"cameras:", b"  url: rtsp://", b"<<: *a", b"&a", b"*a", b"!!python/object:os.system", b"- ", b"? ",
    b"{", b"[", b"!!binary ", b"\n  ", b"'", b'"', b"|\n", b"%YAML 1.1\n", b"---\n", b"tls:", b"listen: ",
)  # fmt: skip


def decode_for_broker(data: bytes) -> None:
    message = control.decode_for_broker(data)
    control.decode_for_broker(control.encode(message))  # it is passed on, to a database and to people


def decode_for_worker(data: bytes) -> None:
    message = control.decode_for_worker(data)
    control.decode_for_worker(control.encode(message))


def hide(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    once = redact(text)
    redact(once)
    _redact(SimpleNamespace(), "info", {"event": text, "more": [text[:100]]})


def read_addresses(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for parse in (address.split_listen, address.split_ice_server, Endpoints.parse, lambda text: list(cameras_of(text))):
        with contextlib.suppress(ValueError, ConfigError):
            parse(text)
    address.is_loopback(text)
    address.page_address(address.reachable_host(text), 1)


def read_join(data: bytes) -> None:
    """The join socket's messages, of either side."""
    for decode in (join.decode_join, join.decode_verdict):
        with contextlib.suppress(ProtocolError):
            join.encode(decode(data))


def open_sealed(data: bytes) -> None:
    seals = StreamSeals()
    seals.learn(b"sixteen letters.", 0.0)
    seals.learn(b"another sixteen.", 1.0)
    assert seals.open(data, 2.0) is None, "nobody knows the keys"


class _File:
    """A configuration file that is not on any disk."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __str__(self) -> str:
        return "camshaft.yaml"

    def read_text(self, encoding: str) -> str:
        return self._data.decode(encoding)


def read_configuration(data: bytes) -> None:
    file: Path = _File(data)  # type: ignore[assignment]
    load(file, environ={})


def _nested(size: int) -> bytes:
    return b"door\0" + b"\x91" * size


def paste(data: bytes) -> None:
    found = read_pasted(data.decode(errors="replace"))
    assert found.url.startswith(SCHEMES)
    assert found.url.isprintable()


TARGETS = [
    Target(
        "bus-frame",
        "media on the bus, from a worker",
        media.decode_frame,
        (LIVE, REPLAY, media.live_topic("door") + media.encode_batch(audio(1))),
        (ProtocolError,),
        (b"\0", b"\x9a\x01"),
        {
            "nesting": _nested,
            "batches": lambda size: (
                media.replay_topic("a", "b") + media.encode_replay([media.encode_batch(BATCHES[1])] * (size // 400))
            ),
            "payloads": lambda size: (
                b"door\0" + msgpack.packb([1, "video", "H264", 1, 0, 0, 0, 0, 0, [b"x"] * (size // 3)])
            ),
            "topic": repeated(b"a"),
        },
    ),
    Target(
        "near-call",
        "calls of subscribers to publishers of their machine, from a worker",
        Call.parse,
        (CALL_OF_ONE.topic,),
        (ProtocolError,),
        (CALL, b"\0"),
        {"parts": repeated(b"a\0"), "node": repeated(b"a")},
    ),
    Target(
        "to-broker",
        "reports and answers, from a worker",
        decode_for_broker,
        TO_BROKER,
        (ProtocolError,),
        tuple(
            b"\xa0"[:0] + name
            for name in (b"report", b"answered", b"served", b"viewers", b"counters", b"\xcf" + b"\xff" * 8)
        ),
        {
            "served": lambda size: control.encode(
                control.Report("in-1", control.Role.INGEST, "1", served=(STREAM,) * (size // 900))
            ),
            "counters": lambda size: control.encode(
                control.Report("in-1", control.Role.INGEST, "1", counters={str(n): n for n in range(size // 8)})
            ),
            "nesting": repeated(b"\x91"),
            "wrong": lambda size: control.encode(INGEST)[:-20] + msgpack.packb({"served": [{}] * size}),
        },
    ),
    Target(
        "to-worker",
        "assignments and offers, from the broker",
        decode_for_worker,
        TO_WORKER,
        (ProtocolError,),
        (b"assign", b"offer", b"tracks", b"candidate", b"camera", b"\xcf" + b"\xff" * 8),
        {
            "tracks": lambda size: control.encode(control.Offer("s1", "door", "v=0", TRACKS * (size // 180))),
            "nesting": repeated(b"\x91"),
        },
    ),
    Target(
        "join",
        "the exchange of a token for a key, from anybody who reaches the join socket",
        read_join,
        (
            join.encode(join.Join("abcdefgh", b"secret" * 3, control.Role.EGRESS, "out-1")),
            join.encode(join.Verdict(False, "No.", True)),
        ),
        words=(b"token", b"secret", b"role", b"node", b"accepted", b"reason", b"passing"),
        grow={"nesting": repeated(b"\x91"), "name": lambda size: msgpack.packb({"node": "a" * size})},
    ),
    Target(
        "worker-token",
        "a worker token, from an operator",
        lambda data: WorkerToken.parse(data.decode("utf-8", "replace")),
        (str(WorkerToken(bytes(32), "abcdefgh", bytes(20))).encode(), b"camshaft-AAAA"),
        (ProtocolError,),
        (b"camshaft-", b"="),
        {"letters": repeated(b"A", b"camshaft-"), "blanks": repeated(b" "), "padding": repeated(b"=", b"camshaft-A")},
    ),
    Target(
        "sealed-frame",
        "sealed media on the bus, from a worker",
        open_sealed,
        (LIVE + bytes(28), bytes(27)),
        grow={"long": repeated(b"a")},
    ),
    Target(
        "redact",
        "texts that may hold URLs, for a log line or an answer",
        hide,
        (
            b"rtsp://user:pass@host/live?user=a&password=b",
            b"turn:user:pass@host",
            b"token=abc auth_key=x psw=1",
            "ä://@".encode(),
        ),
        (),
        (b"://", b"@", b"turn:", b"password=", b"token", b"=", b"&", b"pw=", b"key", b" "),
        {
            "schemes": repeated(b"://"),
            "turn": repeated(b"turn:"),
            "names": repeated(b"pas"),
            "tokens": repeated(b"token"),
            "long name": repeated(b"a", b"pas"),
            "letters": repeated(b"a"),
            "at signs": repeated(b"@", b"://"),
            "parameters": repeated(b"password=x&"),
        },
    ),
    Target(
        "addresses",
        "addresses, from an operator",
        read_addresses,
        (
            b"127.0.0.1:8080",
            b"[::1%lo]:80",
            b":0",
            b"turn:user:p%40ss@host:3478?transport=tcp",
            b"tcp://10.0.0.1:5555",
            b"ipc:///tmp/x",
            b"door=rtsp://a/b rtsp://c/d",
        ),
        words=(b"turn:", b"stun:", b"tcp://", b"ipc://", b"[", b"]", b":", b"%", b"?transport=udp", b"=rtsp://"),
        grow={
            "colons": repeated(b":"),
            "letters": repeated(b"a", b"turn:"),
            "names": repeated(b"a=", b"", b"://x"),
            "cameras": repeated(b"rtsp://a "),
            "percent": repeated(b"%41", b"turn:a:"),
        },
    ),
    Target(
        "pasted-url",
        "a camera's URL as it is pasted, from a person or the API",
        paste,
        (
            b"rtspx://192.0.2.7:7441/aBcDeF?enableSrtp",
            b'" rtsp:/u:p@h/a&amp;b "',
            b"rtsp:\\\\h\\a",
            b"<RTSP://h>",
            b"h:554/a",
        ),
        (ValueError,),
        (b"rtsp://", b"rtspx:", b"enableSrtp", b"&amp;", b"\xe2\x80\x8b", b"@", b"\\"),
        {
            "blanks": repeated(b" ", b"", b"rtsp://h/"),
            "quotes": repeated(b"''", b"rtsp://h/"),
            "at signs": repeated(b"@", b"rtsp://", b"h/"),
            "queries": repeated(b"&enableSrtp", b"rtsp://h/?a"),
            "entities": repeated(b"&amp;", b"rtsp://h/?a"),
        },
        bound=16_384,
    ),
    Target(
        "config-file",
        "the configuration file, from an operator",
        read_configuration,
        (CONFIGURATION, b"cameras: {a: {url: rtsp://a}}\n", b"a: &a {<<: *a}\n", b"---\n...\n"),
        (ConfigError,),
        CONFIG_WORDS,
        {
            "keys": repeated(b"k%d: 1\n"),
            "cameras": repeated(b"  c%d: {url: 'rtsp://a/b'}\n", b"cameras:\n"),
            "aliases": repeated(b"  - *a\n", b"a: &a [x]\nb:\n"),
            "blanks": repeated(b" "),
            "text": repeated(b"a"),
            "merges": repeated(b"  <<: {a%d: 1}\n", b"http:\n"),
        },
        bound=4_096,
        most=512,
    ),
]
