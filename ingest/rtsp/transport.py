"""The ``Transport`` header of SETUP (RFC 2326 12.39), as a client and a server need it; no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.errors import ProtocolError

Pair = tuple[int, int]  # of RTP and of RTCP: ports, or channels

_PAIR = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?")
_PROTOCOL = re.compile(r"(?i)RTP/(S?AVPF?)(/(UDP|TCP))?")
_MAX_PORT = 65_535
_MAX_CHANNEL = 255
_MAX_TTL = 255
_MAX_SPECS = 16  # of one header; real ones have one, seldom two
_MAX_LENGTH = 2_048  # characters of a header that are looked at; real ones have 100


@dataclass(frozen=True, slots=True)
class TransportSpec:
    """One way to carry a media section. ``str()`` is the header's value.

    No ``mode`` is ever written: some cameras refuse any (SETUP plays by default).
    """

    tcp: bool
    multicast: bool = False
    interleaved: Pair | None = None
    client_port: Pair | None = None
    server_port: Pair | None = None
    source: str | None = None
    destination: str | None = None  # of a multicast …
    port: Pair | None = None  # … its ports …
    ttl: int | None = None  # … and hops
    ssrc: int | None = None
    profile: str = "AVP"  # or AVPF (RFC 4585 9), SAVP (RFC 3711 9), SAVPF (RFC 5124 3)

    @classmethod
    def parse(cls, value: str, *, tcp: bool | None = None) -> TransportSpec:
        """The first understood spec of a header, if possible one over ``tcp`` or not. Raises ``ProtocolError``.

        Where none names a protocol as it should, the first one counts that has channels or ports.
        """
        specs = [[part.strip() for part in text.split(";")] for text in value[:_MAX_LENGTH].split(",")[:_MAX_SPECS]]
        found = [cls._from(name.upper(), parameters) for name, *parameters in specs if _PROTOCOL.fullmatch(name)]
        if not found:
            others = (cls._from("", parts) for parts in specs)
            found = [spec for spec in others if spec.interleaved or spec.client_port or spec.server_port]
        if found:
            return next((spec for spec in found if spec.tcp == tcp), found[0])
        raise ProtocolError(f"no transport we know in {value[:100]!r}")

    @classmethod
    def _from(cls, protocol: str, parameters: list[str]) -> TransportSpec:
        values: dict[str, str] = {}
        for parameter in parameters:
            name, _, text = parameter.partition("=")
            values.setdefault(name.strip().lower(), text.strip().strip('"'))
        interleaved = _pair(values.get("interleaved"), 0, _MAX_CHANNEL)
        return cls(
            # Some cameras answer plain RTP/AVP with "interleaved=": that parameter only makes sense over TCP.
            tcp=protocol.endswith("/TCP") or interleaved is not None,
            # "port=" is of a multicast's; without it, unlike RFC 2326 12.39, no word means unicast.
            multicast=not {"multicast", "port"}.isdisjoint(values) and "unicast" not in values and interleaved is None,
            interleaved=interleaved,
            client_port=_pair(values.get("client_port"), 1, _MAX_PORT),
            server_port=_pair(values.get("server_port"), 1, _MAX_PORT),
            source=values.get("source") or None,
            destination=values.get("destination") or None,
            port=_pair(values.get("port"), 1, _MAX_PORT),
            ttl=_ttl(values.get("ttl", "")),
            ssrc=_ssrc(values.get("ssrc", "")),
            profile=match[1] if (match := _PROTOCOL.fullmatch(protocol)) else "AVP",
        )

    def __str__(self) -> str:
        protocol = f"RTP/{self.profile}"
        parts = [f"{protocol}/TCP" if self.tcp else protocol, "multicast" if self.multicast else "unicast"]
        for name in ("interleaved", "client_port", "server_port", "port"):
            pair: Pair | None = getattr(self, name)
            if pair is not None:
                parts.append(f"{name}={pair[0]}-{pair[1]}")
        for name in ("source", "destination", "ttl"):
            value: str | int | None = getattr(self, name)
            if value is not None:
                parts.append(f"{name}={value}")
        if self.ssrc is not None:
            parts.append(f"ssrc={self.ssrc:08X}")
        return ";".join(parts)


def _pair(text: str | None, least: int, most: int) -> Pair | None:
    """``"a-b"``, or ``"a"`` for a and the one after it; ``None`` for anything else."""
    match = _PAIR.fullmatch(text.strip()) if text else None
    if not match:
        return None
    first = int(match[1])
    second = int(match[2]) if match[2] else first + 1
    return (first, second) if least <= first <= most and least <= second <= most else None


def _ttl(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 and 0 < int(text) <= _MAX_TTL else None


def _ssrc(text: str) -> int | None:
    try:
        ssrc = int(text, 16)
    except ValueError:
        return None
    return ssrc if 0 <= ssrc < 1 << 32 else None
