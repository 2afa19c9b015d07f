"""Reasons why no connection came about, in words for a person."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from common.cameras import CameraState
from ingest.unreached import unreached, unresolved


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (ConnectionRefusedError(), CameraState.CONNECTION_REFUSED, "10.0.0.9 port 554"),
        (TimeoutError(), CameraState.UNREACHABLE, "did not answer within 5 s; check its power"),
        (errno.EHOSTUNREACH, CameraState.UNREACHABLE, "No route to host; check its power"),
        (errno.ENETUNREACH, CameraState.UNREACHABLE, "this server has no route to that network"),
        (errno.EPERM, CameraState.UNREACHABLE, "a firewall on this server"),
        (errno.ENOBUFS, CameraState.UNREACHABLE, "10.0.0.9 port 554: No buffer space"),
        (ConnectionResetError(), CameraState.CLOSED, "while connecting"),
    ],
    ids=str,
)
def test_each_failure_says_where_to_look(error: OSError | int, state: CameraState, said: str) -> None:
    cause = OSError(error, os.strerror(error)) if isinstance(error, int) else error
    found = unreached(cause, "10.0.0.9", 554, 4.9997)
    assert found.state is state
    assert said in found.detail


@pytest.mark.parametrize("host", ["239.3.1.182", "ff15::7"])
def test_a_group_that_is_taken_for_a_camera_is_told_so(host: str) -> None:
    for cause in (OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH)), TimeoutError()):
        assert "write the camera's own address, and transport: multicast" in unreached(cause, host, 8001, 5.0).detail


def test_a_server_without_a_way_does_not_suspect_the_camera_s_power() -> None:
    cause = OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    assert "power" not in unreached(cause, "10.0.0.9", 554, 5.0).detail


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", True), ("10.0.0.9", False)]
)
def test_the_loopback_is_said_to_be_this_server(host: str, own: bool) -> None:
    """In a container it is the container, which those who type it do not mean."""
    assert ("this server itself" in unreached(ConnectionRefusedError(), host, 554, 5.0).detail) == own


def test_an_address_of_one_link_wants_the_interface() -> None:
    cause = OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    assert "such as [fe80::1%eth0]" in unreached(cause, "fe80::7", 554, 5.0).detail
    assert "Invalid argument" in unreached(cause, "fe80::7%eth0", 554, 5.0).detail


@pytest.mark.parametrize(
    ("error", "host", "said"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "camera", "camera"),
        (socket.gaierror(socket.EAI_AGAIN, "later"), "camera", "no name server answered for camera; check"),
        (TimeoutError(), "camera", "no name server answered for camera; check"),
        (UnicodeError(), "camera", "camera"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "front.local", "front.local: such names need mDNS"),
        (socket.gaierror(socket.EAI_AGAIN, "later"), "front.LOCAL", "front.LOCAL: such names need mDNS"),
    ],
    ids=str,
)
def test_each_name_that_is_not_found_says_who_did_not_know_it(
    error: socket.gaierror | UnicodeError | TimeoutError, host: str, said: str
) -> None:
    found = unresolved(error, host)
    assert found.state is CameraState.HOST_UNKNOWN
    assert found.detail.startswith(said)
