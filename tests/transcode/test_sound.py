"""Sound that FFmpeg decodes comes out as Opus that has the same pitch and the right times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import av
import pytest

from common.media import _CONVERTED as CONVERTED_ALONE
from common.media import Kind, Track
from common.payload.assembler import AccessUnit
from ingest.payload.aac import Configuration
from rigs.codecs import TONE, Tone, pitch, tone
from transcode.conversion import Made
from transcode.sound import MAX_DRIFT_NS, PACKET_MS, SoundConverter

START_NS = 1_700_000_000_000_000_000
PACKET_NS = PACKET_MS * 1_000_000


def joined(sound: Tone, number: int) -> Tone:
    """So many frames in each packet."""
    parts = range(0, len(sound.payloads), number)
    return Tone(tuple(b"".join(sound.payloads[at : at + number]) for at in parts), sound.seconds * number)


def adts(sound: Tone, rate: int, channels: int) -> Tone:
    configuration = Configuration(2, rate, channels)
    return replace(sound, payloads=tuple(configuration.adts(len(frame)) + frame for frame in sound.payloads))


def samples(packets: list[Made]) -> list[int]:
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 48_000, "stereo"
    pcm = b"".join(
        bytes(frame.planes[0])[: frame.samples * 4]
        for p in packets
        for frame in decoder.decode(av.Packet(p.payloads[0]))
    )
    return list(memoryview(pcm).cast("h"))[::2]


def dvi4() -> Tone:
    """As RFC 3551 4.5.1 has it, of IMA's blocks: they begin with a sample, and have the other nibble first."""
    blocks = tone("adpcm_ima_wav", options="block_size=128")
    swapped = bytes(byte >> 4 | byte << 4 & 0xF0 for byte in range(256))
    payloads = tuple(each[1::-1] + each[2:4] + each[4:].translate(swapped) for each in blocks.payloads)
    return Tone(payloads, (len(payloads[0]) - 4) * 2 / 8_000)


CASES: dict[str, tuple[Track, Callable[[], Tone]]] = {
    "AAC at 16 kHz": (Track(Kind.AUDIO, "AAC", 16_000), lambda: adts(tone("aac", rate=16_000), 16_000, 1)),
    "AAC in stereo": (
        Track(Kind.AUDIO, "AAC", 48_000, 2),
        lambda: adts(tone("aac", rate=48_000, channels=2), 48_000, 2),
    ),
    "L16": (Track(Kind.AUDIO, "L16", 44_100, 2), lambda: tone("pcm_s16be", rate=44_100, channels=2)),
    "L8": (Track(Kind.AUDIO, "L8", 11_025), lambda: tone("pcm_u8", rate=11_025)),
    "L24": (Track(Kind.AUDIO, "L24", 48_000, 2), lambda: tone("pcm_s24be", rate=48_000, channels=2)),
    "G.726 at 32 kbit/s": (Track(Kind.AUDIO, "G726-32", 8_000), lambda: tone("g726le", options="code_size=4")),
    "G.726 at 16 kbit/s": (Track(Kind.AUDIO, "G726-16", 8_000), lambda: tone("g726le", options="code_size=2")),
    "G.726 in the order of AAL2": (
        Track(Kind.AUDIO, "AAL2-G726-32", 8_000),
        lambda: tone("g726", options="code_size=4"),
    ),
    "MP2": (Track(Kind.AUDIO, "MPA", 90_000), lambda: tone("mp2", rate=48_000, channels=2)),
    "MP2 in packets of several frames": (
        Track(Kind.AUDIO, "MPA", 90_000),
        lambda: joined(tone("mp2", rate=44_100, channels=2), 2),
    ),
    "MP3": (Track(Kind.AUDIO, "MPA", 90_000), lambda: tone("libmp3lame", rate=48_000, channels=2)),
    "MP3 in packets of several frames": (
        Track(Kind.AUDIO, "MPA", 90_000),
        lambda: joined(tone("libmp3lame", rate=16_000), 4),
    ),
    "AC-3": (Track(Kind.AUDIO, "AC3", 48_000, 2), lambda: tone("ac3", rate=48_000, channels=2)),
    "Enhanced AC-3": (Track(Kind.AUDIO, "EAC3", 48_000), lambda: tone("eac3", rate=48_000, channels=2)),
    "AMR": (Track(Kind.AUDIO, "AMR", 8_000), lambda: tone("libopencore_amrnb", options="b=12200")),
    "G.723": (Track(Kind.AUDIO, "G723", 8_000), lambda: tone("g723_1", options="b=6300")),
    "Opus of six channels": (
        Track(Kind.AUDIO, "MULTIOPUS", 48_000, 6, "4,2,0,4,1,2,3,5"),
        lambda: tone("libopus", rate=48_000, channels=6, options="mapping_family=1"),
    ),
    "L16 of six channels": (
        Track(Kind.AUDIO, "L16", 48_000, 6),
        lambda: tone("pcm_s16be", rate=48_000, channels=6),
    ),
    "DVI4": (Track(Kind.AUDIO, "DVI4", 8_000), dvi4),
    "G.722": (Track(Kind.AUDIO, "G722", 8_000), lambda: tone("g722", rate=16_000)),
    "G.711": (Track(Kind.AUDIO, "PCMA", 8_000), lambda: tone("pcm_alaw")),
}


@pytest.mark.parametrize("case", CASES)
def test_the_tone_is_heard(case: str) -> None:
    track, made = CASES[case]
    sound = made()
    converter, packets = SoundConverter(track), []
    for number, payload in enumerate(sound.payloads):
        at = START_NS + int(number * sound.seconds * 1e9)
        packets += converter.convert(AccessUnit(payload, at, at + 5, True))
    assert converter.undecodable <= 1, "MP3 needs the frame before"
    assert pitch(samples(packets)) == pytest.approx(TONE, rel=0.02)
    assert {after.capture_ns - before.capture_ns for before, after in pairwise(packets)} <= {
        PACKET_NS,
        PACKET_NS + 1,
        PACKET_NS - 1,
    }
    assert abs(packets[0].capture_ns - START_NS) < int(sound.seconds * 1e9) + 100_000_000


def test_every_sound_on_the_bus_has_a_decoder() -> None:
    for codec in (*CONVERTED_ALONE["audio"], "G722", "PCMU", "PCMA", "opus"):
        assert SoundConverter(Track(Kind.AUDIO, codec, 8_000, 1, "1,0,0")).undecodable == 0


@pytest.mark.parametrize(("made", "decoder"), [("PCMU", "pcm_mulaw"), ("PCMA", "pcm_alaw")])
@pytest.mark.parametrize("case", ["AAC in stereo", "L16"])
def test_who_takes_no_opus_hears_it_by_g711(case: str, made: str, decoder: str) -> None:
    """One channel of 8 kHz, 20 ms a packet: RFC 3551 4.5.14."""
    track, encoded = CASES[case][0], CASES[case][1]()
    converter, packets = SoundConverter(track, made), list[Made]()
    for number, payload in enumerate(encoded.payloads):
        packets += converter.convert(AccessUnit(payload, START_NS + int(number * encoded.seconds * 1e9), 0, True))
    assert {len(packet.payloads[0]) for packet in packets} == {160}
    heard = av.CodecContext.create(decoder, "r")
    assert isinstance(heard, av.AudioCodecContext)
    heard.sample_rate, heard.layout = 8_000, "mono"
    frames = [frame for packet in packets for frame in heard.decode(av.Packet(packet.payloads[0]))]
    pcm = b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in frames)
    assert pitch(list(memoryview(pcm).cast("h")), 8_000) == pytest.approx(TONE, rel=0.02)
    assert {after.capture_ns - before.capture_ns for before, after in pairwise(packets)} == {PACKET_NS}


STEREO = 0x04  # RFC 6716 3.1, of a packet's first byte


def test_mono_stays_mono_and_more_channels_become_two() -> None:
    for channels in (1, 2):
        converter, packets = SoundConverter(Track(Kind.AUDIO, "L16", 48_000, channels)), []
        for number, payload in enumerate(tone("pcm_s16be", rate=48_000, channels=channels).payloads):
            packets += converter.convert(AccessUnit(payload, START_NS + number * PACKET_NS, 0, True))
        assert {packet.payloads[0][0] & STEREO for packet in packets} == {STEREO if channels > 1 else 0}


def test_sound_that_becomes_stereo_goes_on() -> None:
    converter, packets = SoundConverter(Track(Kind.AUDIO, "AAC", 48_000)), []
    number = 0
    for channels in (1, 2, 1):
        for payload in adts(tone("aac", rate=48_000, channels=channels), 48_000, channels).payloads:
            packets += converter.convert(AccessUnit(payload, START_NS + number * 1_024 * 10**9 // 48_000, 0, True))
            number += 1
    assert {packet.payloads[0][0] & STEREO for packet in packets} == {0, STEREO}
    assert pitch(samples(packets)) == pytest.approx(TONE, rel=0.02)
    assert all(before.capture_ns < after.capture_ns for before, after in pairwise(packets))
    assert len(packets) == pytest.approx(number * 1_024 / 960, abs=10)


@pytest.mark.parametrize(("codec", "encoder"), [("AAC", "aac"), ("MPA", "mp2"), ("AC3", "ac3")])
def test_sound_of_another_rate_goes_on(codec: str, encoder: str) -> None:
    converter, packets, at = SoundConverter(Track(Kind.AUDIO, codec, 48_000)), list[Made](), float(START_NS)
    for rate, channels in ((48_000, 2), (44_100, 1), (32_000, 2), (48_000, 1)):
        sound = tone(encoder, rate=rate, channels=channels)
        for payload in (adts(sound, rate, channels) if codec == "AAC" else sound).payloads:
            packets += converter.convert(AccessUnit(payload, int(at), 0, True))
            at += sound.seconds * 10**9
    assert pitch(samples(packets)) == pytest.approx(TONE, rel=0.02)
    assert all(before.capture_ns < after.capture_ns for before, after in pairwise(packets))
    assert len(packets) == pytest.approx((at - START_NS) / PACKET_NS, abs=20), "little is lost where it changes"
    assert abs(packets[-1].capture_ns - at) < 5 * PACKET_NS


def pcm(number: int, *, at_ns: int | None = None) -> AccessUnit:
    at = START_NS + number * PACKET_NS if at_ns is None else at_ns
    return AccessUnit(bytes(160), at, at, True)


def test_a_gap_in_the_source_is_a_gap_in_the_times() -> None:
    converter, packets = SoundConverter(Track(Kind.AUDIO, "PCMU", 8_000)), []
    for number in [*range(10), *range(60, 70)]:
        packets += converter.convert(pcm(number))
    gaps = [after.capture_ns - before.capture_ns for before, after in pairwise(packets)]
    assert max(gaps) == pytest.approx(51 * PACKET_NS, abs=PACKET_NS)
    assert min(gaps) > 0


@pytest.mark.parametrize("drift", [0.99, 1.01])
def test_a_clock_that_runs_wrong_is_followed(drift: float) -> None:
    converter, packets = SoundConverter(Track(Kind.AUDIO, "PCMU", 8_000)), []
    for number in range(1_000):
        packets += converter.convert(pcm(0, at_ns=START_NS + int(number * PACKET_NS * drift)))
    last = START_NS + int(999 * PACKET_NS * drift)
    assert abs(packets[-1].capture_ns - last) < MAX_DRIFT_NS + 2 * PACKET_NS
    assert all(before.capture_ns < after.capture_ns for before, after in pairwise(packets))


def test_garbage_is_counted_and_what_follows_is_heard() -> None:
    frames = adts(tone("aac", rate=16_000), 16_000, 1)
    converter, packets = SoundConverter(Track(Kind.AUDIO, "AAC", 16_000)), []
    for number, payload in enumerate([b"garbage", b"", *frames.payloads]):
        at = START_NS + number * 64_000_000
        packets += converter.convert(AccessUnit(payload, at, at, True))
    assert converter.undecodable >= 1
    assert pitch(samples(packets)) == pytest.approx(TONE, rel=0.02)


@pytest.mark.parametrize(("rate", "samples"), [(44_100, 580), (44_100, 1_024), (11_025, 512), (8_000, 160)])
def test_an_hour_of_sound_stays_with_its_source(rate: int, samples: int) -> None:
    converter = SoundConverter(Track(Kind.AUDIO, "L16", rate, 1))
    silence, last = bytes(2 * samples), []
    count = 60 * rate // samples  # a minute tells: what adds up to a step in two minutes is a third of it by then
    for number in range(count):
        at = START_NS + number * samples * 10**9 // rate
        last = converter.convert(AccessUnit(silence, at, at, True)) or last
    end = START_NS + count * samples * 10**9 // rate
    assert abs(end - last[-1].capture_ns) < 50_000_000
