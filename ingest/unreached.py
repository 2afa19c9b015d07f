"""Reasons why no connection came about, in words for a person.

A host that is off, a port on which nobody listens, a network to which this server has no way, and a name that nobody
knows are mended in different places.
"""

from __future__ import annotations

import errno
import ipaddress
import socket

from common.address import is_loopback, reachable_host
from common.cameras import CameraState
from common.errors import CameraError

_SILENT = "check its power, its cable and its address, and whether a firewall is in between"
_OWN = "that is this server itself, or its container; write the address of the machine you mean"
_GROUP = (
    "that is a multicast group, to which nobody can connect; write the camera's own address, and transport: multicast"
)
_MDNS = "such names need mDNS on this server, and containers have none; use the camera's IP address"


def unreached(error: OSError, host: str, port: int, waited: float) -> CameraError:
    """The error for a TCP connection that failed, after ``waited`` seconds if nothing was heard."""
    where = f"{host} port {port}"
    if _is_group(host):
        return CameraError(CameraState.UNREACHABLE, f"{where}: {_GROUP}")
    if isinstance(error, ConnectionRefusedError):
        own = f": {_OWN}" if is_loopback(reachable_host(host)) else ""
        return CameraError(CameraState.CONNECTION_REFUSED, f"{where}{own}")
    if isinstance(error, TimeoutError):
        return CameraError(CameraState.UNREACHABLE, f"{where} did not answer within {round(waited, 1):g} s; {_SILENT}")
    if isinstance(error, ConnectionError):
        return CameraError(CameraState.CLOSED, f"{where}, while connecting")
    reason = error.strerror or str(error)
    match error.errno:
        case errno.EHOSTUNREACH:
            return CameraError(CameraState.UNREACHABLE, f"{where}: {reason}; {_SILENT}")
        case errno.ENETUNREACH | errno.EADDRNOTAVAIL:
            what = "this server has no route to that network; check the address, and this server's own network"
            return CameraError(CameraState.UNREACHABLE, f"{where}: {what}")
        case errno.EINVAL if host.lower().startswith("fe80:") and "%" not in host:
            what = "such an address is valid on one interface only: add this server's interface, such as [fe80::1%eth0]"
            return CameraError(CameraState.UNREACHABLE, f"{where}: {what}")
        case errno.EPERM | errno.EACCES:
            return CameraError(CameraState.UNREACHABLE, f"{where}: a firewall on this server forbids it")
    return CameraError(CameraState.UNREACHABLE, f"{where}: {reason}")


def _is_group(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_multicast
    except ValueError:
        return False


def unresolved(error: socket.gaierror | UnicodeError | TimeoutError, host: str) -> CameraError:
    """The error for a host whose name was not found."""
    silent = isinstance(error, TimeoutError) or (isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN)
    if host.lower().endswith(".local"):
        return CameraError(CameraState.HOST_UNKNOWN, f"{host}: {_MDNS}")
    if silent:
        return CameraError(CameraState.HOST_UNKNOWN, f"no name server answered for {host}; check this server's DNS")
    return CameraError(CameraState.HOST_UNKNOWN, host)
