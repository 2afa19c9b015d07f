"""The private directory of the bus's Unix sockets, and the locks of those who have it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.endpoints import Endpoints, Part
from common.errors import AddressInUseError, ConfigError, refused
from common.log_taps import FOLLOWERS, forget_killed

_OWNER_ONLY = 0o600  # the directory is private too; a mode that says so needs no second look
_OUR_FILES = {"control", "media-in", "media-out", "lock", FOLLOWERS}
_ACCEPTS = 1 << 16  # of a socket's flags in /proc/net/unix: it listens


@contextmanager
def claimed_directory(endpoints: Endpoints, part: Part = Part.CONTROL) -> Iterator[None]:
    """Create the private directory of ``ipc`` sockets and hold its lock: ZeroMQ would silently take a live socket over.

    Each part of the broker has a lock, as each may be a process; the broker of a release without a relay of its own
    holds but one, and has media's sockets all the same. Raises ``AddressInUseError`` if another broker holds the lock
    or has those, ``ConfigError`` if it is not a directory of ours: one that holds other files is left alone, because
    making ``/tmp`` private would break the machine.
    """
    directory = endpoints.directory
    if directory is None:
        yield
        return
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Its name, too: in /tmp a link of another user's leads to whatever directory of ours they like.
        if {directory.lstat().st_uid, directory.stat().st_uid} != {os.getuid()}:
            raise ConfigError(f"{directory} belongs to another user", key="broker.address")
        if not _OUR_FILES.issuperset(entry.name for entry in directory.iterdir()):
            raise ConfigError(
                f"{directory} holds other files; give Camshaft a directory of its own", key="broker.address"
            )
        directory.chmod(0o700)
        if part is Part.CONTROL:
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        else:  # the directory itself: an earlier release takes none that holds a file which it does not know
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise refused(exc.errno, f"{directory}: {exc.strerror}", key="broker.address") from None
    try:
        if part is Part.CONTROL:
            os.fchmod(lock, _OWNER_ONLY)  # an earlier release made it readable
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AddressInUseError(part.value, endpoints.address, "--broker-address") from None
        if part is Part.RELAY and somebody_listens(endpoints.media_in):
            raise AddressInUseError(part.value, endpoints.media_in, "--broker-address")
        forget_killed(directory)
        try:
            yield
        finally:
            forget_killed(directory)  # an earlier release takes no directory that holds theirs
    finally:
        os.close(lock)


def somebody_listens(endpoint: str) -> bool:
    """Whether a process has the Unix socket. One that was killed leaves its name, where nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(endpoint.removeprefix("ipc://")) in (0, errno.EAGAIN)  # EAGAIN: its queue is full


def seems_served(endpoint: str) -> bool:
    """Whether a process has the Unix socket, asked without its notice where the system tells.

    To a broker, whoever connects and says nothing is a stranger. The system tells of every process in our network
    namespace, be it in another root directory; so this is for those who look, and not for those who claim.
    """
    return endpoint.removeprefix("ipc://") in _listened_at() or somebody_listens(endpoint)


def _listened_at() -> set[str]:
    """Paths of Unix sockets that processes in our network namespace listen at; none where the system does not say."""
    try:
        lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()[1:]
    except OSError:
        return set()
    # proc(5): Num, RefCount, Protocol, Flags, Type, St, Inode, Path
    found = (each for each in (line.split(maxsplit=7) for line in lines) if len(each) == 8)
    return {each[7] for each in found if int(each[3], 16) & _ACCEPTS}
