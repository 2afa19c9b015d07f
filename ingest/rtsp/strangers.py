"""Other services that answer where a camera should, told by their first bytes; no I/O.

Their own words are not repeated: they may be a secret of a service that only this machine can reach.
"""

from __future__ import annotations

_ANOTHER_PORT = "RTSP is on another port (usually 554), or off in the camera"
_SERVICES = (
    (b"HTTP/", f"a web server (HTTP); {_ANOTHER_PORT}"),
    (b"<", f"a web server; {_ANOTHER_PORT}"),
    (b"SSH-", f"an SSH server; {_ANOTHER_PORT}"),
    (b"220", f"an FTP or SMTP server; {_ANOTHER_PORT}"),
    (b"RFB ", f"a server that shares a screen (VNC); {_ANOTHER_PORT}"),
    (b"\xff\xfd", f"a Telnet server; {_ANOTHER_PORT}"),
    (b"\xff\xfb", f"a Telnet server; {_ANOTHER_PORT}"),
    (b"\x15", "a TLS server; write rtsps:// instead of rtsp://"),
    (b"\x16", "a TLS server; write rtsps:// instead of rtsp://"),
)
_UNKNOWN = f"nothing known; {_ANOTHER_PORT}"
FIRST_BYTES = 8  # that tell it


def looks_like(begin: bytes) -> str:
    """Name the service whose answer begins so: the end of a sentence for a person, with what to do."""
    return next((what for mark, what in _SERVICES if begin.startswith(mark)), _UNKNOWN)
