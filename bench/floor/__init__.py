"""The floor: what it costs to encrypt and send the same packets to as many viewers, and to do nothing else."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from rigs.clip import access_units
from rigs.load.crowd import Crowd
from rigs.load.dtls import Keys
from rigs.video import fragment, kind, nal_units

SOURCE = Path(__file__).with_name("floor.c")
MAX_PAYLOAD = 1160  # bytes of an RTP payload, as the product cuts them
CLOCK = 90_000
MAX_SECONDS = 3600  # it is killed when it is no longer wanted; this is for the case that we are
TYPES = {96: ("video", "h264", CLOCK)}


def build(directory: Path) -> Path:
    """Compile the floor into ``directory``; the program's path. Raises ``RuntimeError`` where that is not possible."""
    return compiled(SOURCE, directory, "floor", "-lcrypto")


def compiled(source: Path, directory: Path, name: str, *libraries: str) -> Path:
    """Compile a program into ``directory``; its path. Raises ``RuntimeError`` where that is not possible."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    program = directory / name
    command = [compiler or "cc", "-O2", "-o", str(program), str(source), *libraries]
    if compiler is None or subprocess.run(command, capture_output=True, check=False).returncode:
        raise RuntimeError("the floor needs a C compiler and OpenSSL's headers: apt install gcc libssl-dev")
    return program


def packetize(clip: Path, fps: int, key: bytes, salt: bytes) -> bytes:
    """The clip as the floor's input: packets cut as RFC 6184 and equal runs want them."""
    out = [key, salt, struct.pack("=I", CLOCK)]
    for index, unit in enumerate(access_units(clip)):
        payloads = [part for nal in nal_units(unit) if kind(nal) != 9 for part in _cut(nal)]
        out.append(struct.pack("=II", index * CLOCK // fps, len(payloads)))
        for number, payload in enumerate(payloads, 1):
            out += [struct.pack("=BH", number == len(payloads), len(payload)), payload]
    return b"".join(out)


def _cut(nal: bytes) -> list[bytes]:
    """A NAL unit as one packet or as fragmentation units of equal size (RFC 6184 5.6, 5.8)."""
    if len(nal) <= MAX_PAYLOAD:
        return [nal]
    count = -(-(len(nal) - 1) // (MAX_PAYLOAD - 2))
    return fragment(nal, 2 - (1 - len(nal)) // count)


@dataclass(frozen=True, slots=True)
class Audience:
    """Viewers that wait for the floor, and the master key that they wait with."""

    key: bytes
    salt: bytes
    destinations: list[str]


def invite(crowd: Crowd, viewers: int, address: str = "127.0.0.1") -> Audience:
    """Open viewers on ``address``, which must be an IPv4 address of this host."""
    key, salt = os.urandom(16), os.urandom(12)
    ports = crowd.adopt(Keys("SRTP_AEAD_AES_128_GCM", key + salt, key + salt), TYPES, viewers, address)
    return Audience(key, salt, [f"{address}:{port}" for port in ports])


@contextmanager
def running(audience: Audience, clip: Path, fps: int, directory: Path, *, gso: bool = True) -> Iterator[int]:
    """Let the floor send to its audience; yields its process id. Raises ``RuntimeError`` as ``build`` does."""
    packets = directory / "packets"
    key, salt = (_derived(audience.key, audience.salt, label, size) for label, size in ((0, 16), (2, 12)))
    packets.write_bytes(packetize(clip, fps, key, salt))
    command = [str(build(directory)), str(int(gso)), str(packets), str(MAX_SECONDS), *audience.destinations]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def _derived(key: bytes, salt: bytes, label: int, size: int) -> bytes:
    """Session key or salt of a master key (RFC 3711 4.3.1 with a derivation rate of zero, RFC 7714 11)."""
    block = int.from_bytes(salt + b"\0\0", "big") ^ label << 48
    encryptor = Cipher(algorithms.AES(key), modes.CTR((block << 16).to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(size))
