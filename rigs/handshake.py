"""The opening handshake (RFC 6455 4.1) of a viewer by the page's own port that is no browser."""

from __future__ import annotations

REQUEST = (
    "GET /mse/{camera}?codecs=H264,AAC,opus HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
"""To be formatted with ``camera`` and ``host``."""
