"""Images of Motion JPEG over HTTP, by what they are themselves and not by what a server writes between them; no I/O.

Boundaries that are not those that were announced, lengths that are missing or wrong, and words before and between do no
harm. An image goes on as soon as its end has come: where its length is not said, the next boundary may come with the
next image only. They are written anew as ``multipart/x-mixed-replace``, each with its length.
"""

from __future__ import annotations

import re

from ingest.sources.readable import Readable

MAX_IMAGE = 16 << 20  # bytes; 8K of the best quality takes half of it
READ = 32 << 10  # bytes at once

_START = b"\xff\xd8"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # behind a scan's bytes, which are none (ITU-T T.81 B.1.1.5)
_LAST, _SCAN = b"\xff\xd9", 0xDA
_PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"
_AWAITED, _NONE = 0, -1


class Images:
    """Reads a body, and is read by FFmpeg instead of it."""

    def __init__(self, body: Readable) -> None:
        self._body = body
        self._buffer = bytearray()  # from where an image begins, once one has
        self._at = 0  # in it: where the image goes on; 0 while none has begun
        self._in_scan = self._scanned = False
        self._out = b""
        self._given = 0  # bytes of it

    def read(self, size: int) -> bytes:
        """At most so many bytes of what is written anew; nothing at the body's end. Raises ``CameraError``."""
        while self._given >= len(self._out):
            if image := self._image():
                self._out, self._given = _PART % (len(image), image), 0
            elif data := self._body.read(READ):
                self._buffer += data
            else:
                return b""
        out = self._out[self._given : self._given + size]
        self._given += len(out)
        return out

    def close(self) -> None:
        """Hang up."""
        self._body.close()

    def _image(self) -> bytes:
        """The next image that has come whole; empty if there is none yet."""
        buffer = self._buffer
        while True:
            if not self._at:
                begin = buffer.find(_START)
                del buffer[: begin if begin >= 0 else max(len(buffer) - 1, 0)]
                if begin < 0:
                    return b""
                self._at, self._in_scan, self._scanned = len(_START), False, False
            end = self._end()
            if end > 0:
                with memoryview(buffer)[:end] as view:
                    image = bytes(view)
                self._forget(end)
                return image
            if end == _AWAITED and len(buffer) <= MAX_IMAGE:
                return b""
            self._forget(self._at)  # all that was looked at: nothing is looked at twice

    def _end(self) -> int:
        """The bytes of the image that is arriving; or that its end is awaited, or that it is none."""
        buffer = self._buffer
        while True:
            if self._in_scan:
                found = _MARKER.search(buffer, self._at)
                self._at = found.start() if found else max(len(buffer) - 1, self._at)
                if not found:
                    return _AWAITED
                self._in_scan = False
            marker = buffer[self._at : self._at + 2]
            if marker == _LAST:
                return self._at + 2
            if len(buffer) < self._at + 4:
                return _AWAITED
            if marker == _START:  # the next one: this one never got its end
                return self._at if self._scanned else _NONE
            if marker[0] != 0xFF:
                return _NONE
            if marker[1] == 0xFF:  # a byte that fills up
                self._at += 1
                continue
            self._at += 2 + int.from_bytes(buffer[self._at + 2 : self._at + 4])
            self._in_scan = marker[1] == _SCAN
            self._scanned |= self._in_scan

    def _forget(self, count: int) -> None:
        del self._buffer[:count]
        self._at = 0
