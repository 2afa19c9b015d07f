"""Messages of pages, programs and other people's servers to the front door, and of workers to the director."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

from multidict import CIMultiDict

from broker.access.principal import EVERYBODY
from broker.answers import Answer, Restarted
from broker.catalogue import Catalogue, Entry
from broker.director.commands import Send
from broker.director.director import Director
from broker.director.events import (
    FromWorker,
    Holder,
    RestartWanted,
    StillGivenUp,
    StillWanted,
    StreamWish,
    Tick,
    Undelivered,
    ViewerLeft,
    ViewerOffered,
    ViewerWishes,
    Wish,
)
from broker.director.status import SessionStatus
from broker.front import signalling, whep
from broker.front.guard import Guard
from broker.front.hub import Hub
from broker.front.ice_servers import IceServers
from broker.front.peer import PROXIES, Proxies
from broker.front.quotas import Quotas
from broker.front.sdpfrag import Ours, Patch, check_fragment, credentials_of, purpose, read_fragment
from broker.front.strict_json import parse_json
from broker.why.clerk import Clerk
from common import control
from common.cameras import CameraSpec
from common.config import Config
from common.config_cameras import CameraConfig
from common.config_limits import LimitsConfig
from common.errors import ProtocolError, RequestError
from common.histogram import Histogram, Measure
from tests.fuzz.camera_address_targets import URL_WORDS
from tests.fuzz.common_targets import TO_BROKER
from tests.fuzz.target import SESSION, Program, Target, repeated, string

CAMERAS = {
    "door": CameraSpec("door", "rtsp://user:secret@host/door", 1),
    "yard": CameraSpec("yard", "rtsp://host/y", 1),
}
STREAMS = CAMERAS | {"door/sub": CameraSpec("door/sub", "rtsp://host/sub", on_demand=True)}
FRAGMENT = (
    b"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
    b"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\na=end-of-candidates\r\n"
)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def judge_host(data: bytes) -> None:
    host, _, origin = data.decode("latin-1").partition("\n")
    for guard in (Guard(True), Guard(False), Guard(False, {"a.example"})):
        with contextlib.suppress(RequestError):
            guard.check_host(host)
        with contextlib.suppress(RequestError):
            guard.check_origin(origin, host)


def check_tag(data: bytes) -> None:
    tag, _, fragment = data.decode("latin-1").partition("\n")
    if purpose(fragment, tag or None, Ours("a-session", "", whep.entity_tag("a-session"))) is Patch.RESTART:
        credentials_of(fragment)


class _Store:
    """Nothing is kept."""

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        return lambda *_: {}

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        yield


def _catalogue() -> Catalogue:
    store: Any = _Store()
    catalogue = Catalogue(Config(), store, clock=lambda: 1_000.0)
    catalogue.add({"id": "yard", "url": "rtsp://user:secret@10.0.0.2/live"})
    return catalogue


def _document(data: bytes) -> dict[str, Any]:
    """As broker.front.api reads a body. Raises ``ValueError``."""
    document = parse_json(data.decode())
    return document if isinstance(document, dict) else {}


def add_camera(data: bytes) -> None:
    _catalogue().add(_document(data))


def change_camera(data: bytes) -> None:
    catalogue = _catalogue()
    catalogue.change("yard", _document(data))
    entry = catalogue.get("yard")
    assert entry is not None
    assert isinstance(entry.config, CameraConfig)


# Frozen, and as dear as a message is: not made anew for each input.
ENTRIES = {name: Entry(name, {}, CameraConfig(url=spec.url), None) for name, spec in CAMERAS.items()}


class _ControlPlane:
    """A control plane that answers at once."""

    def __init__(self) -> None:
        self.catalogue = SimpleNamespace(names=CAMERAS, get=ENTRIES.get)
        self.director = Director(0.0, CAMERAS)
        self.clerk = Clerk(self.director, lambda: 0.0)
        self.hang_up = self.shows = lambda *_: None

    async def offer(self, camera: str, sdp: str, _wish: Wish, _holder: Holder, _takes: tuple[str, ...]) -> Answer:
        if camera not in CAMERAS:
            raise RequestError(404, "unknown_camera", f"There is no camera {camera!r}.")
        return Answer(f"s-{len(sdp)}", "v=0")

    async def find(self, session: str) -> SessionStatus | None:
        return None

    async def restart_ice(self, session: str, ufrag: str, password: str) -> Restarted:
        assert len(ufrag) >= 4, "RFC 8839 5.4"
        assert len(password) >= 22
        return Restarted("mark", "a=ice-lite\r\n")


class _Done:
    """A task that has ended."""

    def add_done_callback(self, _done: object) -> None:
        pass


class _Tasks:
    """Runs at once what never waits."""

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> Any:
        with contextlib.suppress(StopIteration):
            coroutine.send(None)
        return _Done()


def signal(data: bytes) -> None:
    """Messages on one WebSocket, a line each."""
    quotas = Quotas(LimitsConfig(), lambda _: True)
    context: Any = SimpleNamespace(
        control=_ControlPlane(),
        counters=Counter(),
        offers=Counter(),
        answers=Histogram(Measure.ANSWER),
        clock=lambda: 0.0,
        desk=SimpleNamespace(now=0.0),
        ice_servers=IceServers(),
        quotas=quotas,
        memory=SimpleNamespace(now=lambda _: False),
        quiet=SimpleNamespace(warning=lambda *_, **__: None),
        audit=SimpleNamespace(info=lambda *_, **__: None),
    )
    app = {PROXIES: Proxies(())}
    request: Any = SimpleNamespace(transport=None, remote="192.0.2.1", headers=CIMultiDict(), app=app)
    tasks: Any = _Tasks()
    response: Any = None
    nothing: Any = SimpleNamespace(names=(), get=lambda _: None)
    hub = Hub(nothing, nothing)
    socket = signalling.Socket(hub, context, EVERYBODY, request, response)
    hub.listeners.add(socket)
    for line in data.split(b"\n"):
        socket._receive(_text(line), tasks)
        socket._requests.clear()


def direct(data: bytes) -> None:
    """Workers' messages, viewers and time, at the director."""
    program = Program(data)
    now = 1_000.0
    director = Director(now, STREAMS, ingests=1)
    while program:
        what = program.byte()
        node = ("in-1", "out-1", "out-2", "other")[what >> 2 & 3]
        event: Any = Tick()
        match what & 3:
            case 0:
                with contextlib.suppress(ProtocolError):
                    event = FromWorker(node, control.decode_for_broker(program.string()))
            case 1:
                now += program.byte() / 32
            case 2:
                camera = "door" if what & 4 else "nowhere"
                asked, height = program.byte(), program.byte() * 8 if what & 16 else 0
                wish = Wish(tuple(StreamWish)[asked >> 4 & 3], height)
                event = ViewerOffered(f"s{asked % 4}", camera, "v=0", wish)
                director.handle(ViewerLeft(event.session), now)  # no name is drawn twice
                if what & 32:
                    event = StillWanted(f"r{asked % 4}", camera, wish)
            case 3:
                session = f"s{program.byte() % 4}"
                event = ViewerLeft(session) if what & 4 else Undelivered(node, control.HangUp(session))
                if what & 16:
                    event = ViewerWishes(session, Wish(height=program.byte() * 8))
                elif what & 32:
                    event = StillGivenUp(f"r{session[1:]}")
                elif what & 64:
                    event = RestartWanted(f"q{session[1:]}", session, "ufrg", "a password of 22 signs")
        for command in director.handle(event, now):
            if isinstance(command, Send):
                control.encode(command.message)


def _hear(*messages: bytes, node: int = 0) -> bytes:
    return b"".join(bytes((node << 2,)) + string(message) for message in messages)


_OFFER = json.dumps({"type": "offer", "camera": "door", "sdp": "v=0", "id": 1}).encode()
_CAMERA = json.dumps({"id": "front", "url": "rtsp://user:pass@10.0.0.9/live", "transport": "tcp"}).encode()


TARGETS = [
    Target(
        "sdpfrag",
        "trickled candidates, the body of a WHEP PATCH from anybody",
        lambda data: check_fragment(read_fragment(_text(data))),
        (FRAGMENT, b"a=end-of-candidates\n", b'[{"candidate": "candidate:1 1 udp", "usernameFragment": "8hhY"}]'),
        (RequestError,),
        (b"a=candidate:", b"\r\n", b"a=end-of-candidates", b"=", b'{"candidate": "', b'"usernameFragment"'),
        {
            "lines": repeated(b"a=b\n"),
            "candidates": repeated(b"a=candidate:1\n"),
            "blanks": repeated(b" \n"),
            "odd line ends": repeated("\u2028".encode()),
            "equals": repeated(b"=", b"a"),
            "JSON": repeated(b'{"candidate":"a"},', b"[", b'{"candidate":""}]'),
            "brackets": repeated(b"["),
        },
    ),
    Target(
        "host-and-origin",
        "Host and Origin of a request, from anybody",
        judge_host,
        (b"localhost:8080\nhttp://localhost:8080", b"[::1]:80\nhttps://a.example", b"a.example\nnull"),
        words=(b"http://", b"https://", b"[", b"]", b":", b"@", b".localhost", b"a.example", b"//"),
        grow={
            "dots": repeated(b"."),
            "colons": repeated(b":"),
            "brackets": repeated(b"["),
            "digits": repeated(b"1"),
            "at signs": repeated(b"@"),
            "zeros": repeated(b"0:", b"["),
        },
        bound=8_190,
    ),
    Target(
        "if-match",
        "If-Match of a WHEP PATCH and its fragment, from anybody",
        check_tag,
        (b'"x", W/"abc"', b"*", b'"'),
        (RequestError,),
        (b'W/"', b'", "', whep.entity_tag("a-session").encode()),
        {
            "quotes": repeated(b'"'),
            "tags": repeated(b'"a",'),
            "weak": repeated(b'W/"'),
            "fragment": repeated(b"a=ice-ufrag:x\r\n", b"*\n"),
            "blanks": repeated(b" "),
        },
        bound=8_190,
    ),
    Target(
        "camera-added",
        "the body of POST /api/cameras, from anybody who may",
        add_camera,
        (_CAMERA, b'{"id": "a", "url": "rtsps://[::1]/", "tls": {"verify": false, "fingerprint": "AB:CD"}}'),
        (RequestError, ValueError),
        (b'"id": ', b'"url": "rtsp://', b'"tls": {', b'"transport": "udp"', *URL_WORDS),
        {
            "keys": repeated(b'"k%d": 1, ', b'{"id": "a", ', b'"url": "rtsp://a"}'),
            "nesting": repeated(b'{"tls": '),
            "arrays": repeated(b"["),
            "at signs": repeated(b"@", b'{"id": "a", "url": "rtsp://', b'"}'),
            "schemes": repeated(b"://", b'{"id": "a", "url": "rtsp://', b'"}'),
            "secrets": repeated(b"pas", b'{"id": "a", "url": "rtsp://a/?', b'"}'),
            "foreign letters": repeated("ö".encode(), b'{"id": "a", "url": "rtsp://', b'"}'),
            "digits": repeated(b"1", b'{"id": ', b"}"),
        },
    ),
    Target(
        "camera-changed",
        "the body of PATCH /api/cameras/…, from anybody who may",
        change_camera,
        (
            b'{"url": "rtsp://***@10.0.0.2/other"}',
            b'{"url": "rtsp://user:pass@10.0.0.2/", "tls": null}',
            b'{"transport": null}',
        ),
        (RequestError, ValueError),
        (b'"url": "rtsp://', b"***@", b"***", b"null", *URL_WORDS),
        {
            "hidden": repeated(b"***@", b'{"url": "rtsp://', b'"}'),
            "stars": repeated(b"*", b'{"url": "rtsp://', b'"}'),
            "letters": repeated(b"a", b'{"url": "', b'***"}'),
            "at signs": repeated(b"@", b'{"url": "rtsp://', b'***"}'),
            "schemes": repeated(b"://", b'{"url": "rtsp', b'***"}'),
            "slashes": repeated(b"/", b'{"url": "rtsp://', b'***"}'),
            "nesting": repeated(b'{"a":', b'{"tls":'),
        },
    ),
    Target(
        "signalling",
        "WebSocket messages, from anybody",
        signal,
        (
            _OFFER + b'\n{"type": "subscribe"}\n{"type": "close", "session": "s-3"}',
            b'{"type": "candidate", "session": "s1", "candidate": "candidate:1"}\n{"type": "attach", "session": "s2"}',
            b'{"type": "restart", "session": "s1", "fragment": "'
            b'a=ice-ufrag:EsAw\\r\\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\\r\\n"}',
        ),
        words=(
            b'{"type": "',
            b"offer",
            b"candidate",
            b"restart",
            b"close",
            b"attach",
            b"subscribe",
            b'"sdp": "',
            b'"id": ',
            b"\\ud800",
        ),
        grow={
            "nesting": repeated(b"["),
            "keys": repeated(b'"k%d":1,', b'{"type": "offer",', b'"a":1}'),
            "digits": repeated(b"1", b'{"type": "offer", "camera": "a", "sdp": "b", "id": ', b"}"),
            "escapes": repeated(b"\\ud800", b'{"type": "', b'"}'),
            "sdp": repeated(b"\\n", b'{"type": "offer", "camera": "door", "sdp": "', b'"}'),
        },
    ),
    Target(
        "director",
        "workers' messages, viewers and time, at the director",
        direct,
        (
            _hear(*TO_BROKER[:1]) + _hear(*TO_BROKER[1:], node=1) + b"\x06\1\x01\xff\x07\1",
            _hear(TO_BROKER[1], node=1) + b"\x06\1\x0a\2\x01\x40" + _hear(*TO_BROKER[2:], node=2) + b"\x01\xff" * 3,
        ),
        words=(b"report", b"served", b"viewers", b"incarnation"),
        grow={
            "offers": repeated(b"\x06\1"),
            "ticks": repeated(b"\x01\x08"),
            "reports": lambda size: _hear(*[TO_BROKER[0]] * (size // len(TO_BROKER[0]))),
        },
        most=1_024,
        bound=16_384,
        slow=SESSION,
    ),
]
