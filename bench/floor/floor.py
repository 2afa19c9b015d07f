"""The floor without a compiler: the same as ``floor.c``, with the same arguments, in Python.

Its lower bound is therefore Python's, and the table says so.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

UDP_SEGMENT = 103
MAX_SEGMENTS, MAX_BYTES = 60, 65_000
TAG = 16
HEADER = struct.Struct("!BBHII").pack

Run = list[tuple[int, bytes]]  # marker bit and payload of packets that one system call can send


def read(path: Path) -> tuple[bytes, bytes, int, list[tuple[int, list[tuple[int, bytes]]]]]:
    """Key, salt, ticks a second, and units: timestamp and packets."""
    data = path.read_bytes()
    (rate,) = struct.unpack_from("=I", data, 28)
    at, units = 32, []
    while at < len(data):
        ticks, count = struct.unpack_from("=II", data, at)
        at += 8
        packets = []
        for _ in range(count):
            marker, length = struct.unpack_from("=BH", data, at)
            packets.append((marker << 7, data[at + 3 : at + 3 + length]))
            at += 3 + length
        units.append((ticks, packets))
    return data[:16], data[16:28], rate, units


def runs(packets: list[tuple[int, bytes]], gso: bool) -> list[Run]:
    """Packets cut where one system call ends: all of a run are of one size, only the last may be smaller."""
    found: list[Run] = []
    for packet in packets:
        run = found[-1] if found else None
        if (
            run is None
            or not gso
            or len(packet[1]) > len(run[0][1])
            or len(run[-1][1]) < len(run[0][1])
            or len(run) == MAX_SEGMENTS
            or (len(run) + 1) * (len(run[0][1]) + 12 + TAG) > MAX_BYTES
        ):
            found.append([packet])
        else:
            run.append(packet)
    return found


def main() -> None:
    """See ``floor.c``."""
    gso, seconds = sys.argv[1] == "1", float(sys.argv[3])
    viewers = [(host, int(port)) for host, port in (argument.split(":") for argument in sys.argv[4:])]
    key, salt, rate, units = read(Path(sys.argv[2]))
    encrypt, whitening = AESGCM(key).encrypt, int.from_bytes(salt, "big")
    prepared = [(ticks, runs(packets, gso)) for ticks, packets in units]
    span = units[-1][0] + units[1][0] - units[0][0]
    sequences = dict.fromkeys(viewers, 0)
    sent = index = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 20)
        start = time.monotonic()
        while True:
            ticks, unit = prepared[index % len(prepared)]
            ticks += index // len(prepared) * span
            index += 1
            elapsed = time.monotonic() - start
            if elapsed > seconds:
                break
            time.sleep(max(0.0, ticks / rate - elapsed))
            for address in viewers:
                port = address[1]
                sequence, nonce = sequences[address], whitening ^ (port << 48)
                for run in unit:
                    parts = []
                    for marker, payload in run:
                        header = HEADER(0x80, 96 | marker, sequence & 0xFFFF, ticks & 0xFFFFFFFF, port)
                        parts += [header, encrypt((nonce ^ sequence).to_bytes(12, "big"), payload, header)]
                        sequence += 1
                    size = struct.pack("=H", len(run[0][1]) + 12 + TAG)
                    control = [(socket.IPPROTO_UDP, UDP_SEGMENT, size)] if len(run) > 1 else []
                    with contextlib.suppress(ConnectionRefusedError):
                        sock.sendmsg(parts, control, 0, address)
                    sent += len(run)
                sequences[address] = sequence
    print(sent)


if __name__ == "__main__":
    main()
