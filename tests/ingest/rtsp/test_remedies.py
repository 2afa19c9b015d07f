"""Remedies for a camera that refuses, or does not answer."""

from __future__ import annotations

import pytest

from ingest.rtsp.remedies import remedy, unanswered
from ingest.rtsp.url import RtspUrl

URL = "rtsp://camera/live"


@pytest.mark.parametrize(
    ("server", "realm", "path"),
    [
        ("", "IP Camera(C2189)", "/Streaming/Channels/101"),
        ("HiIpcam/V100R003 VodServer/1.0.0", "Hikvision", "/Streaming/Channels/101"),
        ("Rtsp Server/3.0", "Login to 2K02A98PBA00001", "/cam/realmonitor?channel=1&subtype=0"),
        ("Rtsp Server/2.0", "BC Streaming Media", "/h264Preview_01_main"),
        ("GStreamer RTSP server", "AXIS_ACCC8E000000", "/axis-media/media.amp"),
        ("", "TP-Link IP-Camera", "/stream1"),
        ("", "iPOLiS", "/profile2/media.smp"),
        ("Hipcam RealServer/V1.0", "", "/11"),
        ("H264DVR 1.0", "", "/user=NAME&password=PASSWORD"),
        ("UBNT Streaming Server v1.2", "", "UniFi Protect"),
        ("gortsplib", "", "MediaMTX"),
    ],
)
def test_a_path_that_is_not_there_is_answered_with_those_of_the_maker(server: str, realm: str, path: str) -> None:
    assert path in remedy(404, "DESCRIBE", URL, server=server, realm=realm, anonymous=True)
    assert path not in remedy(400, "DESCRIBE", URL, server=server, realm=realm, anonymous=True)


def test_of_an_unknown_maker_no_path_is_guessed() -> None:
    assert remedy(404, "DESCRIBE", URL, server="Acme/2.1", realm="door", anonymous=False) == ""


@pytest.mark.parametrize("url", ["rtsp://camera", "rtsp://camera:8554/", "rtsps://[2001:db8::7]:322/"])
def test_a_url_without_a_path_is_said_to_be_that(url: str) -> None:
    assert "the URL has no path" in remedy(404, "DESCRIBE", url, server="Acme/2.1", realm="", anonymous=False)
    assert "/Streaming/Channels/101" in remedy(404, "DESCRIBE", url, server="Hikvision", realm="", anonymous=False)
    assert remedy(404, "DESCRIBE", f"{url}?x=1", server="Acme/2.1", realm="", anonymous=False) == ""


@pytest.mark.parametrize(
    ("status", "method", "anonymous", "said"),
    [
        (302, "DESCRIBE", False, "type the address of the stream itself"),  # and has no Location
        (400, "DESCRIBE", False, "check the path in its URL, and restart the camera"),
        (403, "DESCRIBE", True, "may want a user name and password"),
        (403, "DESCRIBE", False, "may not watch this stream"),
        (406, "DESCRIBE", False, "; restart the camera"),
        (407, "DESCRIBE", False, "a proxy in between"),
        (454, "PLAY", False, "; restart the camera"),
        (455, "SETUP", False, "; restart the camera"),
        (461, "SETUP", False, ""),  # the other transport is tried
        (500, "DESCRIBE", False, "; restart the camera"),
        (503, "DESCRIBE", False, ""),  # the state says it: it serves as many as it can
        (551, "DESCRIBE", False, "check the path"),
    ],
)
def test_each_status_has_its_remedy(status: int, method: str, anonymous: bool, said: str) -> None:
    found = remedy(status, method, URL, server="", realm="", anonymous=anonymous)
    assert (said in found) if said else not found


def test_a_pipeline_that_does_not_start_is_not_taken_for_a_crowd_alone() -> None:
    assert "pipeline" in remedy(503, "PLAY", URL, server="GStreamer RTSP server", realm="", anonymous=True)


@pytest.mark.parametrize(
    ("url", "said", "unsaid"),
    [
        ("rtsp://camera/live", "port 554 accepts the connection, but nothing there answers in RTSP", "is usually for"),
        ("rtsp://camera/live", "write rtsps:// if", "is usually for"),
        ("rtsps://camera/live", "port 322 accepts the connection", "rtsps://"),
        ("rtsp://camera:80/live", "80 is usually for web pages", "power"),
        ("rtsp://camera:37777/live", "37777 is usually for Dahua's own programs", "power"),
    ],
)
def test_a_port_that_says_nothing_is_named(url: str, said: str, unsaid: str) -> None:
    found = unanswered("OPTIONS", RtspUrl.parse(url))
    assert said in found
    assert unsaid not in found
