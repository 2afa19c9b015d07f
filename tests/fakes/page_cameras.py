"""The cameras that the tests of pages have."""

from __future__ import annotations

CAMERAS = {"door": {"url": "rtsp://host/door"}, "yard": {"url": "rtsp://host/yard"}}
