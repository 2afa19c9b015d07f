"""SRT as a caller: with listeners that lose, refuse and lie, and with those that ffmpeg and GStreamer have."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CameraState
from common.config_limits import SourcesConfig
from common.errors import CameraError, ProtocolError
from ingest.sources.srt import wire
from ingest.sources.srt.caller import session_of
from ingest.sources.srt.keys import EVEN, ODD, Keys
from ingest.sources.srt.session import ASK_EVERY, KEEPALIVE_EVERY, Session, State
from ingest.sources.srt.wire import SEQUENCES, Control, Extension, Handshake, Told
from rigs.gst_launch import missing
from tests.fakes.viewer import Pulled

LATENCY, PEER, COOKIE = 0.12, 77, 0xC00C1E
SALT, KEY = bytes(range(16)), bytes(range(16, 32))
PASSPHRASE = "geheim12345"


def data(sequence: int, payload: bytes = b"", *, key: int = 0) -> bytes:
    return wire._HEADER.pack(sequence % SEQUENCES, 3 << 30 | key << 27, 0, 1) + (payload or str(sequence).encode())


def shaken(kind: int, *extensions: tuple[int, bytes], version: int = 5, sequence: int = 0) -> bytes:
    body = Handshake(kind, version, 0, wire.MAGIC, sequence, PEER, COOKIE, extensions)
    return wire.control(Control.HANDSHAKE, 1, bytes(body))


def told(packets: list[bytes], kind: Control) -> list[Told]:
    found = [wire.parse(packet) for packet in packets]
    return [each for each in found if isinstance(each, Told) and each.kind == kind]


def hsrsp(latency_ms: int = 120) -> tuple[int, bytes]:
    return int(Extension.HSRSP), wire.VERSION.to_bytes(4) + wire.FLAGS.to_bytes(4) + latency_ms.to_bytes(2) * 2


def opened(sequence: int = 0, *, keys: Keys | None = None, stream_id: str = "") -> Session:
    session = Session(socket=1, sequence=5, latency=LATENCY, keys=keys, stream_id=stream_id)
    [asked] = told(session.due(0.0), Control.HANDSHAKE)
    assert Handshake.parse(asked.body).kind == wire.INDUCTION
    [asked] = told(session.receive(shaken(wire.INDUCTION), 0.0), Control.HANDSHAKE)
    concluded = Handshake.parse(asked.body)
    assert (concluded.kind, concluded.cookie) == (wire.CONCLUSION, COOKIE)
    wanted = concluded.find(Extension.SID)
    assert wanted == (wire.stream_id(stream_id) if stream_id else None)
    answer = [hsrsp()]
    if (message := concluded.find(Extension.KMREQ)) is not None:
        answer.append((int(Extension.KMRSP), message))
    session.receive(shaken(wire.CONCLUSION, *answer, sequence=sequence), 0.0)
    assert session.state is State.OPEN
    return session


def test_a_request_is_sent_again_until_it_is_answered() -> None:
    session = Session(socket=1, sequence=5, latency=LATENCY)
    assert [len(session.due(at * ASK_EVERY / 2)) for at in range(5)] == [1, 0, 1, 0, 1]


@pytest.mark.parametrize("first", [0, SEQUENCES - 2])
def test_what_comes_in_order_comes_out_and_is_acknowledged(first: int) -> None:
    session = opened(first)
    for number in range(4):
        session.receive(data(first + number, b"%d" % number), 0.01)
    assert session.take() == b"0123"
    [ack] = told(session.due(0.02), Control.ACK)
    assert next(iter(wire.words_of(ack.body))) == (first + 4) % SEQUENCES
    assert told(session.due(0.05), Control.ACK) == [], "nothing new"
    session.receive(wire.control(Control.ACKACK, 1, info=ack.info), 0.03)


def test_what_is_missing_is_asked_for_and_comes_out_in_its_place() -> None:
    session = opened()
    asked = [packet for number in (0, 3, 4, 7) for packet in session.receive(data(number), 0.01)]
    [nak] = told(asked, Control.NAK)
    assert list(wire.words_of(nak.body)) == [1 | 1 << 31, 2]
    [nak] = told(session.due(LATENCY - 0.005), Control.NAK)
    assert list(wire.words_of(nak.body)) == [1 | 1 << 31, 2, 5 | 1 << 31, 6]
    for number in (2, 1, 6, 5, 5, 0):
        session.receive(data(number), 0.1)
    assert session.take() == b"01234567"
    assert session.counts.given_up == 0


def test_what_never_comes_holds_nothing_up_for_longer_than_was_agreed() -> None:
    session = opened()
    for number in (0, 2, 3, 5):
        session.receive(data(number), 0.0)
    session.due(LATENCY / 2)
    assert session.take() == b"0"
    session.due(LATENCY)
    assert session.take() == b"23"
    session.due(2 * LATENCY)
    assert session.take() == b"5"
    assert session.counts.given_up == 2


def test_what_the_sender_drops_is_not_waited_for() -> None:
    session = opened()
    for number in (0, 3):
        session.receive(data(number), 0.0)
    session.receive(wire.control(Control.DROP, 1, (1).to_bytes(4) + (2).to_bytes(4)), 0.0)
    assert session.take() == b"03"


def test_a_jump_far_ahead_is_followed() -> None:
    session = opened()
    for number in (0, 100_000, 100_001):
        session.receive(data(number), 0.0)
    assert session.take() == b"0100000100001"


def test_a_silent_connection_is_kept_alive() -> None:
    session = opened()
    assert session.due(KEEPALIVE_EVERY)
    assert [bool(session.due(KEEPALIVE_EVERY * at)) for at in (1.5, 2.0)] == [False, True]
    assert told(session.farewell(), Control.SHUTDOWN)


def test_the_end_is_told() -> None:
    session = opened()
    with pytest.raises(CameraError) as caught:
        session.receive(wire.control(Control.SHUTDOWN, 1), 1.0)
    assert caught.value.state is CameraState.CLOSED
    assert session.farewell() == []


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (shaken(1010), CameraState.UNAUTHORIZED, "passphrase is wrong"),
        (shaken(1404), CameraState.NOT_FOUND, "no stream with that id"),
        (shaken(1999), CameraState.REJECTED, "refuses with 1999"),
        (shaken(wire.INDUCTION, version=4), CameraState.REJECTED, "before 1.3"),
    ],
)
def test_a_refusal_is_a_sentence(answer: bytes, state: CameraState, words: str) -> None:
    session = Session(socket=1, sequence=5, latency=LATENCY)
    session.due(0.0)
    with pytest.raises(CameraError) as caught:
        session.receive(answer, 0.0)
    assert caught.value.state is state
    assert words in caught.value.detail


def encrypted(payload: bytes, sequence: int, key: bytes, salt: bytes) -> bytes:
    counter = int.from_bytes(salt[:14]) ^ sequence
    cipher = Cipher(AES(key), CTR((counter << 16).to_bytes(16))).encryptor()
    return cipher.update(payload)


def test_what_is_encrypted_comes_out_plain_also_by_the_next_key() -> None:
    session = opened(keys=Keys(PASSPHRASE, KEY, SALT), stream_id="yard")
    session.receive(data(0, encrypted(b"one", 0, KEY, SALT), key=EVEN), 0.0)
    message = bytearray(Keys(PASSPHRASE, SALT, SALT).message)
    message[3] = message[3] & ~3 | ODD
    [answer] = session.receive(wire.control(Control.USER, 1, bytes(message), subtype=Extension.KMREQ), 0.0)
    assert wire.parse(answer) == Told(Control.USER, Extension.KMRSP, 0, bytes(message))
    session.receive(data(1, encrypted(b"two", 1, SALT, SALT), key=ODD), 0.0)
    assert session.take() == b"onetwo"


def test_keys_of_another_passphrase_are_not_taken() -> None:
    with pytest.raises(ProtocolError, match="another passphrase"):
        Keys("something else", KEY, SALT).learn(Keys(PASSPHRASE, KEY, SALT).message)


@pytest.mark.parametrize("message", [b"", bytes(60), Keys(PASSPHRASE, KEY, SALT).message[:-1]])
def test_keys_that_cannot_be_read_are_not_taken(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        Keys(PASSPHRASE, KEY, SALT).learn(message)


def test_a_packet_of_an_unknown_key_is_counted() -> None:
    session = opened(keys=Keys(PASSPHRASE, KEY, SALT))
    session.receive(data(0, b"x", key=ODD), 0.0)
    assert (session.take(), session.counts.damaged) == (b"", 1)


def test_what_is_encrypted_without_a_passphrase_is_said() -> None:
    with pytest.raises(CameraError, match="passphrase"):
        opened().receive(data(0, b"x", key=EVEN), 0.0)


@given(st.lists(st.one_of(st.binary(max_size=80), st.integers(0, 40).map(data)), max_size=30))
def test_whatever_comes_is_survived_in_bounded_memory(packets: list[bytes]) -> None:
    session = opened(keys=Keys(PASSPHRASE, KEY, SALT))
    for number, packet in enumerate(packets):
        try:
            session.receive(packet, number / 100)
            session.due(number / 100)
        except CameraError:
            return
    assert len(session._held) <= 41


@pytest.mark.parametrize(
    ("query", "name", "passphrase"),
    [
        ("streamid=a+b&passphrase=eins+zwei+3", "a+b", "eins+zwei+3"),
        ("StreamID=a%20b%26c=d&passphrase=eins%2Bzwei%2B3", "a b&c=d", "eins+zwei+3"),
        ("&streamid=&", "", ""),
    ],
)
def test_a_plus_in_a_query_is_one(query: str, name: str, passphrase: str) -> None:
    session = session_of(query)
    assert session._stream_id == name
    assert (session._keys._passphrase if session._keys else "") == passphrase


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("mode=listener", "other modes are not supported"),
        ("passphrase=short", "10 to 79"),
        ("pbkeylen=20", "16, 24 or 32"),
        ("latency=99999", "milliseconds"),
        ("latency=x", "not a number"),
        ("streamid=" + "x" * 600, "512 bytes"),
        ("colour=red", "colour is not known"),
    ],
)
def test_a_query_that_cannot_be_is_explained(query: str, words: str) -> None:
    with pytest.raises(CameraError, match=words):
        session_of(query)


# Real listeners.

FFMPEG = (
    "ffmpeg -nostdin -hide_banner -loglevel error -re -f lavfi -i testsrc2=size=160x120:rate=25 -c:v libx264"
    " -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p -f mpegts srt://127.0.0.1:{port}?mode=listener"
)
GSTREAMER = (
    "gst-launch-1.0 -q videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1 ! avenc_mpeg4"
    " gop-size=25 ! mpeg4videoparse ! mpegtsmux ! srtsink uri=srt://127.0.0.1:{port}?mode=listener"
)


@contextmanager
def listening(command: str) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    process = subprocess.Popen(command.format(port=port).split(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield port
    finally:
        process.kill()
        process.communicate()


def needs(program: str) -> Callable[..., object]:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program}")


def pulled(port: int, query: str = "") -> Pulled:
    camera = Pulled(f"srt://127.0.0.1:{port}{query}")
    camera.shared.sources = SourcesConfig(allow=("srt",))
    return camera


@pytest.mark.thorough
@pytest.mark.quiet  # such a listener takes one caller, and ends with it: nobody may be so late that it gives up
@needs("ffmpeg")
@pytest.mark.parametrize(
    ("options", "query"), [("", ""), (f"&passphrase={PASSPHRASE}&pbkeylen=24", f"?passphrase={PASSPHRASE}")]
)
async def test_a_listener_of_ffmpeg_plays(options: str, query: str) -> None:
    with listening(FFMPEG + options) as port:
        async with pulled(port, query) as camera:
            await camera.until(lambda: len(camera.of("video")) > 25)
            assert {batch.codec for batch in camera.of("video")} == {"H264"}


@pytest.mark.thorough
async def test_a_listener_of_gstreamer_plays() -> None:
    if problem := missing(GSTREAMER.partition("-q ")[2]):
        pytest.skip(problem)
    with listening(GSTREAMER) as port:
        async with pulled(port, "?latency=50&streamid=yard") as camera:
            await camera.until(lambda: len(camera.of("video")) > 25)
            assert {batch.codec for batch in camera.of("video")} == {"MP4V-ES"}


@needs("ffmpeg")
async def test_a_wrong_passphrase_is_said_to_be_wrong() -> None:
    with listening(f"{FFMPEG}&passphrase={PASSPHRASE}") as port:
        async with pulled(port, "?passphrase=0123456789") as camera:
            report = await camera.reached(CameraState.UNAUTHORIZED)
            assert report.detail == "the passphrase is wrong"
