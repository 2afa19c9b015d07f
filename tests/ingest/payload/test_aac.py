"""AAC in either payload format comes out as frames with an ADTS header, which any decoder takes."""

from __future__ import annotations

import av
import pytest

from common.media import Batch, Kind
from common.payload.output import Output
from ingest.payload.aac import SAMPLES, Aac, Configuration, announced_track
from rigs.codecs import TONE, pitch, tone
from tests.fakes.clocks import ArrivalClock

HBR = {"mode": "AAC-hbr", "sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}
LC_16K_MONO, LC_48K_STEREO = "1408", "1190"
LATM = {"cpresent": "0", "config": "400028103fc0"}  # 16,000 Hz, mono


class Camera:
    def __init__(self, codec: str, rate: int, parameters: dict[str, str]) -> None:
        self.output = Output(Kind.AUDIO, "AAC", ArrivalClock(), epoch=1)
        track = announced_track(codec, rate, 1, parameters)
        self.format = Aac(codec, track, rate, parameters, self.output)

    def send(self, payload: bytes, timestamp: int, *, marker: bool = True) -> None:
        self.format.receive(b"head" + payload, 4, 4 + len(payload), timestamp, marker, 5)

    def frames(self) -> list[bytes]:
        return [b"".join(batch.payloads) for batch in self.batches()]

    def batches(self) -> list[Batch]:
        return self.output.take(0)


def au(*frames: bytes, whole: int = 0) -> bytes:
    """A payload of RFC 3640 3.2; of a fragment, ``whole`` is the size of the frame."""
    headers = b"".join(((whole or len(frame)) << 3).to_bytes(2, "big") for frame in frames)
    return (16 * len(frames)).to_bytes(2, "big") + headers + b"".join(frames)


def element(frame: bytes) -> bytes:
    """An AudioMuxElement of RFC 6416 without its configuration."""
    return b"\xff" * (len(frame) // 255) + bytes((len(frame) % 255,)) + frame


def heard(frames: list[bytes]) -> tuple[float, int]:
    """The pitch that a decoder makes of them, in Hz, and the rate."""
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    resampler, samples, rate = av.AudioResampler("s16", "mono"), [], 0
    for frame in frames:
        for decoded in decoder.decode(av.Packet(frame)):
            rate = decoded.sample_rate
            for plain in resampler.resample(decoded):
                samples += list(memoryview(bytes(plain.planes[0])[: plain.samples * 2]).cast("h"))
    return pitch(samples, rate or 1), rate


@pytest.mark.parametrize(
    "config", [LC_16K_MONO, "", "0000", "zz"], ids=["right", "none", "no object type", "no number"]
)
@pytest.mark.parametrize("form", ["no index", "bytes", "bare"])
def test_headers_of_other_forms_are_read(form: str, config: str) -> None:
    parameters = {"mode": "AAC-hbr", "sizelength": "13", "config": config}
    camera = Camera("MPEG4-GENERIC", 16_000, parameters)
    sent = tone("aac", rate=16_000).payloads
    for number, frame in enumerate(sent):
        whole = Configuration.parse(bytes.fromhex(LC_16K_MONO)).adts(len(frame)) + frame
        size = (len(frame) << 3).to_bytes(2, "big")
        payload = {"no index": b"\0\x0d" + size + frame, "bytes": b"\0\2" + size + frame, "bare": whole}[form]
        camera.send(payload, number * SAMPLES)
    found, rate = heard(camera.frames())
    assert rate == 16_000
    assert found == pytest.approx(TONE, rel=0.02)


def test_adts_inside_of_latm_is_taken_as_it_is() -> None:
    camera = Camera("MP4A-LATM", 16_000, {})
    adts = Configuration.parse(bytes.fromhex(LC_16K_MONO)).adts(4) + b"tone"
    camera.send(adts, 0)
    assert camera.frames() == [adts]


@pytest.mark.parametrize(("rate", "channels", "config"), [(16_000, 1, LC_16K_MONO), (48_000, 2, LC_48K_STEREO)])
def test_frames_of_any_rate_are_heard(rate: int, channels: int, config: str) -> None:
    camera = Camera("MPEG4-GENERIC", rate, HBR | {"config": config})
    sent = tone("aac", rate=rate, channels=channels).payloads
    for number, frame in enumerate(sent):
        camera.send(au(frame), number * SAMPLES)
    frames = camera.frames()
    assert len(frames) == len(sent) == camera.format.frames
    assert heard(frames) == (pytest.approx(TONE, rel=0.02), rate)
    assert (camera.format.track.codec, camera.format.track.channels) == ("AAC", channels)


def test_frames_that_share_a_packet_have_timestamps_of_their_own() -> None:
    camera = Camera("MPEG4-GENERIC", 16_000, HBR | {"config": LC_16K_MONO})
    camera.send(au(b"one", b"two!", b"three"), 5_000)
    batches = camera.batches()
    assert [batch.timestamp for batch in batches] == [5_000, 5_000 + SAMPLES, 5_000 + 2 * SAMPLES]
    assert [batch.payloads[0][7:] for batch in batches] == [b"one", b"two!", b"three"]


def test_the_clock_of_high_efficiency_aac_counts_twice_as_fast_as_its_core() -> None:
    camera = Camera("MPEG4-GENERIC", 48_000, HBR | {"config": "2B118800"})  # SBR over 24,000 Hz
    camera.send(au(b"one", b"two"), 0)
    assert [batch.timestamp for batch in camera.batches()] == [0, 2 * SAMPLES]


def test_a_frame_in_several_packets_is_put_together() -> None:
    camera = Camera("MPEG4-GENERIC", 48_000, HBR | {"config": LC_48K_STEREO})
    frame = bytes(range(256)) * 8
    for at in range(0, len(frame), 1_000):
        camera.send(au(frame[at : at + 1_000], whole=len(frame)), 0, marker=at + 1_000 >= len(frame))
    [out] = camera.frames()
    assert out[7:] == frame


def test_a_loss_within_a_frame_costs_that_frame_alone() -> None:
    camera = Camera("MPEG4-GENERIC", 48_000, HBR | {"config": LC_48K_STEREO})
    camera.send(au(bytes(1_000), whole=2_000), 0, marker=False)
    camera.format.lost()
    camera.send(au(b"next"), SAMPLES)
    assert [frame[7:] for frame in camera.frames()] == [b"next"]


def test_frames_that_have_their_header_already_keep_it() -> None:
    header = Configuration.parse(bytes.fromhex(LC_16K_MONO)).adts(4)
    camera = Camera("MPEG4-GENERIC", 16_000, HBR | {"config": LC_16K_MONO})
    camera.send(au(header + b"data"), 0)
    plain = Camera("MPEG4-GENERIC", 16_000, {})
    plain.send(header + b"data" + header + b"more", 0)
    assert camera.frames() == [header + b"data"]
    assert plain.frames() == [header + b"data", header + b"more"]


def test_latm_is_heard() -> None:
    camera = Camera("MP4A-LATM", 16_000, LATM)
    for number, frame in enumerate(tone("aac", rate=16_000).payloads):
        data, half = element(frame), len(frame) // 2
        camera.send(data[:half], number * SAMPLES, marker=False)
        camera.send(data[half:], number * SAMPLES)
    assert heard(camera.frames()) == (pytest.approx(TONE, rel=0.02), 16_000)


@pytest.mark.parametrize("config", ["", "zz", "40"])
def test_latm_without_the_configuration_that_it_says_to_announce_is_of_the_kind_that_cameras_send(config: str) -> None:
    camera = Camera("MP4A-LATM", 16_000, {"cpresent": "0", "config": config})
    for number, frame in enumerate(tone("aac", rate=16_000).payloads):
        camera.send(element(frame), number * SAMPLES)
    assert heard(camera.frames()) == (pytest.approx(TONE, rel=0.02), 16_000)


def test_latm_may_bring_its_configuration_along() -> None:
    frame = tone("aac", rate=16_000).payloads[3]
    configuration = f"0{int('400028103fc0', 16):048b}"[:45]  # useSameStreamMux 0, StreamMuxConfig
    bits = configuration + "".join(f"{byte:08b}" for byte in element(frame))
    again = "1" + "".join(f"{byte:08b}" for byte in element(frame))
    camera = Camera("MP4A-LATM", 16_000, {})
    camera.send(_bytes(again), 0)
    assert camera.frames() == [], "the configuration has not come yet"
    assert camera.format.hindrance == "waiting for the configuration of its AAC"
    camera.send(_bytes(bits), SAMPLES)
    camera.send(_bytes(again), 2 * SAMPLES)
    assert [out[7:] for out in camera.frames()] == [frame, frame]


def _bytes(bits: str) -> bytes:
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def test_gstreamers_latm_configuration_has_no_end_and_an_extension() -> None:
    track = announced_track("MP4A-LATM", 48_000, 1, {"cpresent": "0", "config": "40002320adca00"})
    assert (track.problem, track.channels) == ("", 2)


@pytest.mark.parametrize(
    ("config", "what"),
    [("F8E85000", "audio object type 39"), ("1194", "960 samples"), ("1180", "channel configuration 0")],
)
def test_a_kind_of_aac_that_no_header_can_say_is_named(config: str, what: str) -> None:
    assert what in announced_track("MPEG4-GENERIC", 48_000, 2, {"config": config}).problem


@pytest.mark.parametrize(
    "payload",
    [b"", b"\0", b"\0\0data", b"\0\x10\0", b"\0\x20\0\x10\0\x11abcd", b"\0\x10\0\0"],
)
def test_damaged_packets_are_dropped_and_counted(payload: bytes) -> None:
    camera = Camera("MPEG4-GENERIC", 16_000, HBR | {"config": LC_16K_MONO})
    camera.send(payload, 0)
    camera.send(au(b"fine"), SAMPLES)
    assert [frame[7:] for frame in camera.frames()] == [b"fine"]
    assert camera.format.dropped == 1


@pytest.mark.parametrize("config", ["", "2b8a", "14", "zz"])
def test_without_a_configuration_that_can_be_read_it_is_of_the_kind_that_cameras_send(config: str) -> None:
    parameters = HBR | ({"config": config} if config else {})
    camera = Camera("MPEG4-GENERIC", 16_000, parameters)
    for number, frame in enumerate(tone("aac", rate=16_000).payloads):
        camera.send(au(frame), number * SAMPLES)
    assert heard(camera.frames()) == (pytest.approx(TONE, rel=0.02), 16_000)


def test_sound_that_is_no_aac_is_said_to_be_that() -> None:
    camera = Camera("MPEG4-GENERIC", 16_000, HBR | {"config": LC_16K_MONO})
    for number in range(20):
        camera.send(bytes([number]) * 320, number * 320)
    assert camera.frames() == []
    assert "its AAC cannot be read" in camera.format.hindrance
