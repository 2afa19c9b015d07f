"""The wire between two TUN devices: a process that moves packets as two ``Path`` objects say.

Arguments: two file descriptors (server's device, viewer's device) and a JSON object with the paths' fields. Each line
on standard input is a JSON object that replaces paths; the answer is a line with the counts of both. Ends with
standard input.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import os
import select
import sys
import time

from rigs.firewall import Udp, is_closed, is_udp, rejection
from rigs.nat import SymmetricNat
from rigs.path import Path

MTU = 65_535


def main() -> None:
    """Move packets until standard input ends."""
    server, viewer = int(sys.argv[1]), int(sys.argv[2])
    paths = {name: Path(**fields) for name, fields in json.loads(sys.argv[3]).items()}
    routes = {server: ("down", viewer), viewer: ("up", server)}
    due: list[tuple[float, int, int, bytes]] = []  # time, order, device, packet
    order = itertools.count()
    nat = SymmetricNat()
    poll = select.poll()
    for fd in (0, *routes):
        poll.register(fd, select.POLLIN)
    while True:
        timeout = max(0.0, due[0][0] - time.monotonic()) * 1000 if due else None
        for fd, _event in poll.poll(timeout):
            if fd == 0:
                line = sys.stdin.readline()
                if not line:
                    return
                for name, fields in json.loads(line).items():
                    counts = paths[name].counts
                    paths[name] = Path(**fields)
                    paths[name].counts = counts
                print(json.dumps({name: path.counts for name, path in paths.items()}), flush=True)
                continue
            name, out = routes[fd]
            firewall = Udp(paths[name].udp)
            for packet in _drain(fd):
                if firewall is Udp.NAT and is_udp(packet):
                    translated = nat.out(packet) if name == "up" else nat.back(packet)
                    if translated is None:
                        paths[name].counts["dropped"] += 1
                        continue
                    packet = translated
                elif firewall is not Udp.OPEN and is_udp(packet):
                    paths[name].counts[firewall.value] += 1
                    if firewall is Udp.REJECTED:
                        _write(fd, rejection(packet))
                    continue
                elif is_closed(packet, paths[name].largest, paths[name].tcp):
                    paths[name].counts["dropped"] += 1
                    continue
                now = time.monotonic()
                at = paths[name].carry(len(packet), now)
                if at is not None:
                    heapq.heappush(due, (at, next(order), out, packet))
        now = time.monotonic()
        while due and due[0][0] <= now:
            _at, _order, out, packet = heapq.heappop(due)
            _write(out, packet)


def _drain(fd: int) -> list[bytes]:
    packets = []
    for _ in range(64):
        try:
            packets.append(os.read(fd, MTU))
        except BlockingIOError:
            break
    return packets


def _write(fd: int, packet: bytes) -> None:
    with contextlib.suppress(OSError):  # the device's queue is full, or it went down
        os.write(fd, packet)


if __name__ == "__main__":
    main()
