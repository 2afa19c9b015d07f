"""Codecs' names: what cameras call them, what they are registered as, and what people know; no I/O.

Which of them are played, and how, is for ``registry``.
"""

from __future__ import annotations

import re

from common.media import Kind
from ingest.sdp import Format, MediaSection

MUXED = frozenset({"MP2T", "MP2P", "MP1S", "PS"})  # RFC 2250 2; the last is of Chinese recorders (GB/T 28181)
DYNAMIC = range(96, 128)  # payload types whose meaning an rtpmap has to say (RFC 3551 section 6)

REMEDIES = {
    Kind.VIDEO: "set this stream of the camera to H.264 or H.265, or use its sub-stream",
    Kind.AUDIO: "set the camera's sound to G.711, Opus or AAC",
}
_USE_H264, _USE_G711 = (f"cannot be played; {REMEDIES[kind]}" for kind in (Kind.VIDEO, Kind.AUDIO))

# How cameras spell what is registered as something else; dots do not count, and underscores are hyphens.
_ALIASES = {
    "AV1X": "AV1",  # of browsers before 2022, and what was made with them
    "MJPEG": "JPEG",
    "MJPG": "JPEG",
    "H263-1998": "H263",
    "H263-2000": "H263",
    "G726": "G726-32",
    "G721": "G726-32",
    **dict.fromkeys(("AAC", "AAC-HBR", "AAC-LC", "MP4A", "MPEG4-AAC", "MPEG-4-GENERIC"), "MPEG4-GENERIC"),
    **dict.fromkeys(("G711U", "G711-U", "G711MU", "G711-ULAW", "G711-MULAW", "PCM-ULAW", "PCM-MULAW"), "PCMU"),
    **dict.fromkeys(("ULAW", "U-LAW", "MULAW", "MU-LAW"), "PCMU"),
    **dict.fromkeys(("PCM", "PCML", "L16LE", "S16LE", "PCM-S16LE"), "L16"),
    **dict.fromkeys(("G711A", "G711-A", "G711-ALAW", "PCM-ALAW", "ALAW", "A-LAW"), "PCMA"),
}

# Of these, names of samples with the least significant byte first.
_LITTLE = frozenset(name for name, meant in _ALIASES.items() if meant == "L16")

# Names that makers and containers have for the two ("H264+", "SMART265", "avc1"); what comes is looked at all the same.
_MEANT = re.compile(r"(H264|\b264|SMART264|\bAVC[13]?\b)|H265|SMART265|HEVC|\bHEV1|\bHVC1")

# What travels to a converter, by registered encoding name in upper case: the name that people know.
CONVERTED = {
    "JPEG": "Motion JPEG",
    "MP4V-ES": "MPEG-4 video",
    "MPEG4-GENERIC": "AAC",
    "MP4A-LATM": "AAC",
    "MPV": "MPEG-2 video",
    "H263": "H.263",
    "L8": "uncompressed sound (L8)",
    "L16": "uncompressed sound (L16)",
    "L24": "uncompressed sound (L24)",
    "MPA": "MPEG audio (MP2 or MP3)",
    "AC3": "AC-3",
    "EAC3": "AC-3",
    "SPEEX": "Speex",
    "GSM": "GSM",
    "DVI4": "ADPCM (DVI4)",
    "G723": "G.723",
    "G729": "G.729",
    "AMR": "AMR",
    "AMR-WB": "AMR",
    "MULTIOPUS": "Opus with more than two channels",
} | {f"{order}G726-{rate}": "G.726" for order in ("", "AAL2-") for rate in (16, 24, 32, 40)}

# By registered encoding name in upper case: the name people know, and the rest of a sentence that begins with it.
UNKNOWN = {
    "H266": ("H.266", _USE_H264),
    "MP2T": ("an MPEG transport stream", _USE_H264),
    **dict.fromkeys(MUXED - {"MP2T"}, ("an MPEG program stream", _USE_H264)),
    "H261": ("H.261", _USE_H264),
    "THEORA": ("Theora", _USE_H264),
    "RAW": ("uncompressed video", _USE_H264),
    "JPEG2000": ("JPEG 2000", _USE_H264),
    "DV": ("DV", _USE_H264),
    "VC1": ("VC-1", _USE_H264),
    "VORBIS": ("Vorbis", _USE_G711),
    "LPC": ("LPC", _USE_G711),
    "QCELP": ("QCELP", _USE_G711),
    "G728": ("G.728", _USE_G711),
    "G7221": ("G.722.1", _USE_G711),
    "G7291": ("G.729.1", _USE_G711),
    **dict.fromkeys(("PCMA-WB", "PCMU-WB"), ("G.711.1", _USE_G711)),
    "ILBC": ("iLBC", _USE_G711),
    "AMR-WB+": ("AMR-WB+", _USE_G711),
    "LPCM": ("uncompressed sound of unknown format (LPCM)", _USE_G711),
    "ADPCM": ("ADPCM of unknown kind", _USE_G711),
    "G711": ("G.711 that does not say whether it is A-law or µ-law", _USE_G711),
    "CN": ("only comfort noise", "is not sound; set the camera's sound to G.711, Opus or AAC"),
}


def registered(section: MediaSection, format_: Format) -> str:
    """The registered name, in upper case."""
    codec = _plain(format_)
    if not codec and section.kind == Kind.VIDEO and format_.payload_type in DYNAMIC:
        return "H264"  # AJA Helo says no more than the number; whether it is H.264 is seen when it comes
    codec = codec.removeprefix("X-")  # RFC 6648 2: of the time before it was registered
    if section.kind == Kind.VIDEO and (meant := _MEANT.search(codec)):
        return "H264" if meant[1] else "H265"
    return _ALIASES.get(codec, codec)


def is_little(format_: Format) -> bool:
    """Whether the name says of samples that their least significant byte comes first."""
    return _plain(format_).removeprefix("X-") in _LITTLE


def _plain(format_: Format) -> str:
    return format_.codec.upper().replace(".", "").replace("_", "-").strip('"')
