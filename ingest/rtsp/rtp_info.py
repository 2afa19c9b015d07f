"""The ``RTP-Info`` header of PLAY's answer (RFC 2326 12.33): by what a track's packets are known; no I/O.

Old servers (live555 before 2015, in Reolink's cameras) go on sending what an earlier session asked for, on a connection
that is another one's by then. The header tells the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MAX_LENGTH = 4_096  # characters that are looked at; real ones have 100 a track
MAX_TRACKS = 16

_BETWEEN = re.compile(r",\s*(?=url\s*=)", re.IGNORECASE)
_URL = re.compile(r"\s*url\s*=\s*\"?([^;\"\s]*)", re.IGNORECASE)
_SEQUENCE = re.compile(r";\s*seq\s*=\s*([0-9]{1,5})(?![0-9])", re.IGNORECASE)
_SSRC = re.compile(r";\s*ssrc\s*=\s*([0-9A-F]{1,8})(?![0-9A-F])", re.IGNORECASE)
_SAID_BY_MISTAKE = {0, 1}  # by Hikvision and Tapo, whatever comes


class Announced(NamedTuple):
    """One track's entry; ``None`` for what it does not say."""

    url: str
    sequence: int | None  # of its first packet
    ssrc: int | None


def parse(header: str | None) -> tuple[Announced, ...]:
    """Every entry of a header. Never raises: what cannot be read says nothing."""
    entries = _BETWEEN.split((header or "")[:MAX_LENGTH], maxsplit=MAX_TRACKS)[:MAX_TRACKS]
    return tuple(_entry(text, match[1]) for text in entries if (match := _URL.match(text)))


def of_track(entries: Sequence[Announced], control: str | None, index: int, tracks: int) -> Announced | None:
    """The entry of the track with that ``a=control``, which is the one with that index of so many tracks."""
    name = (control or "").rpartition("/")[2]
    named = [each for each in entries if name and name in each.url]
    if len(named) == 1:
        return named[0]
    return entries[index] if index < len(entries) == tracks else None


def _entry(text: str, url: str) -> Announced:
    sequence, ssrc = _SEQUENCE.search(text), _SSRC.search(text)
    number = int(sequence[1]) if sequence else 0
    known = None if number in _SAID_BY_MISTAKE or number > 0xFFFF else number
    return Announced(url, known, int(ssrc[1], 16) if ssrc else None)
