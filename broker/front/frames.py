"""Where the frames of a page's WebSocket end (RFC 6455 5.2): counted first, so that few are read at once.

A frame of two bytes becomes an object of two hundred, and one read may hold a hundred thousand of them. No I/O. Nothing
is judged but the number of pieces: what is malformed has an end, too, and whoever reads it says what is wrong.
"""

from __future__ import annotations

from common.errors import ProtocolError

MAX_PIECES = 1_024  # of one message: of the longest that is read, 64 bytes each
MAX_HEAD = 14  # bytes of a frame's

_EXTENDED = {126: 2, 127: 8}  # bytes of a length that stands behind the first two


class Frames:
    """Follows the frames of one connection."""

    def __init__(self) -> None:
        self._left = 0  # bytes of the frame that is under way
        self._final = False  # it is the last piece of its message
        self._pieces = 0  # of the message that is under way

    def take(self, data: bytes | bytearray, most: int) -> tuple[int, int]:
        """How many bytes of ``data``, from its beginning, hold at most so many frames, and the messages that end there.

        The last frame may go on behind them. 0 bytes are less than a frame's head, or ``most`` is 0. Raises
        ``ProtocolError`` for a message in too many pieces.
        """
        at = messages = frames = 0
        while True:
            step = min(self._left, len(data) - at)
            at += step
            self._left -= step
            if step and not self._left:
                messages += self._final
            if self._left or frames == most or not (head := self._begin(data, at)):
                return at, messages
            frames += 1
            at += head
            if not self._left:
                messages += self._final

    def _begin(self, data: bytes | bytearray, at: int) -> int:
        """Begin the frame that is there. Returns the bytes of its head; 0 if that has not come whole."""
        if len(data) - at < 2:
            return 0
        first, second = data[at], data[at + 1]
        extended = _EXTENDED.get(second & 0x7F, 0)
        head = 2 + extended + (4 if second & 0x80 else 0)
        if len(data) - at < head:
            return 0
        self._left = int.from_bytes(data[at + 2 : at + 2 + extended]) if extended else second & 0x7F
        self._final = bool(first & 0x80)
        if not first & 0x08:  # 5.5: else a control frame, which may stand between the pieces of a message
            self._pieces += 1
            if self._pieces > MAX_PIECES:
                raise ProtocolError(f"a message is in more than {MAX_PIECES} pieces")
            if self._final:
                self._pieces = 0
        return head
