"""The microphone's sound, and mu-law against FFmpeg's decoder."""

from __future__ import annotations

import struct

import av
import pytest

from camshaft.demo_camera.settings import AUDIO_FRAMES_PER_SECOND
from camshaft.demo_camera.sound import mu_law, pcm_frames, pcmu_frames, second


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_frames_are_the_second_cut_in_fifty(rate: int) -> None:
    frames = pcm_frames(rate)
    assert len(frames) == AUDIO_FRAMES_PER_SECOND
    assert list(struct.unpack(f"<{rate}h", b"".join(frames))) == second(rate)


def test_beep_comes_at_the_start_of_the_second_and_hum_all_the_time() -> None:
    samples = second(8_000)
    assert max(samples[:800]) > 10_000
    assert 200 < max(samples[800:]) < 400
    assert max(samples[7_900:]) > 200


def test_second_joins_to_itself_without_a_click() -> None:
    samples = second(48_000)
    steps = [abs(after - before) for before, after in zip(samples, [*samples[1:], samples[0]], strict=True)]
    assert steps[-1] <= max(steps[10_000:])


@pytest.mark.parametrize(("sample", "byte"), [(0, 0xFF), (32_767, 0x80), (-32_768, 0x00), (-1, 0x7F)])
def test_mu_law_at_its_ends(sample: int, byte: int) -> None:
    assert mu_law(sample) == byte


def test_mu_law_is_what_others_decode() -> None:
    samples = list(range(-32_768, 32_768, 97))
    decoder = av.CodecContext.create("pcm_mulaw", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    (frame,) = decoder.decode(av.Packet(bytes(map(mu_law, samples))))
    decoded = struct.unpack(f"<{len(samples)}h", bytes(frame.planes[0])[: 2 * len(samples)])
    for sample, heard in zip(samples, decoded, strict=True):
        assert abs(sample - heard) <= max(8, abs(sample) / 16), sample


def test_pcmu_frames_are_20_ms() -> None:
    assert [len(frame) for frame in pcmu_frames()] == [160] * 50
