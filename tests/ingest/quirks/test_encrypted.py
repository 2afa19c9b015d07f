"""Cameras that send SRTP; ``tests/ingest/test_gstreamer.py`` has one with keys by MIKEY."""

from __future__ import annotations

from base64 import b64encode

import pylibsrtp
import pytest

from common.cameras import CameraState, Transport
from ingest.rtsp import silence
from rigs.camera import FakeCamera, FakeTrack, h264_track
from tests.fakes.quirks import plays
from tests.fakes.viewer import Pulled

MASTER = bytes(range(30))


class EncryptedTrack(FakeTrack):
    """A track that libsrtp protects."""

    def __init__(self, told: bytes = MASTER) -> None:
        plain = h264_track(size=1_200)  # pylibsrtp takes no larger packets
        sdp = plain.sdp.replace("RTP/AVP", "RTP/SAVP")
        keys = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{b64encode(told).decode()}|2^31"
        super().__init__(sdp, plain.units, control=plain.control, extra=[keys])
        policy = pylibsrtp.Policy(MASTER, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        policy.allow_repeat_tx = True
        self._session = pylibsrtp.Session(policy)

    def packets(self, number: int, sequence: int) -> list[bytes]:
        return [self._session.protect(packet) for packet in super().packets(number, sequence)]

    def report(self, number: int, unix_ns: int) -> bytes:
        protected: bytes = self._session.protect_rtcp(super().report(number, unix_ns))
        return protected


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_srtp_with_keys_in_the_description_plays(transport: Transport) -> None:
    fake = FakeCamera(tracks=[EncryptedTrack()], reports=True)
    pulled = await plays(fake, transport=transport)
    (setup,) = (each.headers.get("Transport") or "" for each in fake.requests if each.method == "SETUP")
    assert setup.startswith("RTP/SAVP")
    assert (pulled.camera.report.stats[0].dropped, pulled.camera.report.stats[0].lost) == (0, 0)


async def test_srtp_with_other_keys_than_were_told_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.5)
    fake = FakeCamera(tracks=[EncryptedTrack(told=bytes(30))])
    async with fake, Pulled(fake.url, transport=Transport.TCP) as pulled:
        report = await pulled.reached(CameraState.SILENT)
        assert "SRTP keys do not decrypt them" in report.detail
