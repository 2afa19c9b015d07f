"""The kinds of errors that packages raise to each other; an error of one module's own stands there.

An error's class says whose fault it is, its fields say what happened, and ``str()`` is the sentence for a person.
Nothing here ever carries a camera's password: URLs are redacted before they reach an error.
"""

from __future__ import annotations

import errno
import os

from common.cameras import CameraState


class CamshaftError(Exception):
    """Base of all errors below."""


class ConfigError(CamshaftError):
    """The operator's file, variable or option is wrong. Exit code 2.

    ``where`` names the place to mend, such as ``camshaft.yaml, line 3`` or ``CAMSHAFT_MEDIA_PORT``; ``key`` is dotted.
    """

    def __init__(self, problem: str, *, where: str = "", key: str = "") -> None:
        super().__init__(problem)
        self.where = where
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.problem) if part)


class NotNowError(ConfigError):
    """Something configured cannot be had now, but perhaps a moment later. Exit code 4.

    A machine that has just been switched on has not got its addresses and name servers yet, and a disk may be full.
    """


class AddressInUseError(CamshaftError):
    """A port or socket that we must listen on belongs to somebody else. Exit code 3."""

    def __init__(self, what: str, address: str, option: str) -> None:
        super().__init__(what, address, option)
        self.what = what
        self.address = address
        self.option = option

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.address} is in use by another program; free it, or choose another with {self.option}"
        )


class CameraError(CamshaftError):
    """A camera does not give what we need. ``state`` is what the API shows; ``detail`` is what was seen."""

    def __init__(self, state: CameraState, detail: str = "") -> None:
        super().__init__(state, detail)
        self.state = state
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.state.sentence} ({self.detail})" if self.detail else self.state.sentence


class RequestError(CamshaftError):
    """A request of people's cannot be served. ``status`` is the HTTP status, ``code`` a stable word for programs.

    ``retry_after`` is the seconds after which it may be tried again, 0 where that is not known.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(status, code, message, retry_after)
        self.retry_after = retry_after
        self.status = status
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class UnfitError(CamshaftError):
    """A worker's release and its broker's speak nothing in common; ``problem`` says which do."""

    def __init__(self, node: str, problem: str) -> None:
        super().__init__(node, problem)
        self.node = node
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.node} cannot be of this cluster: {self.problem}"


class ProtocolError(CamshaftError):
    """Bytes that do not follow their protocol, from whatever side: they are dropped and counted, never fatal."""


_PASSING = frozenset(
    {
        *(errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.ENETUNREACH, errno.ENODEV),
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE),
        *(errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE, errno.EAGAIN),
    }
)
"""Reasons of the system to refuse a value that it may take later, though nobody mends the configuration."""


_REMEDIES = {
    errno.EADDRNOTAVAIL: "; no interface of this machine has that address now: use one that it has, or none for all",
    errno.EACCES: "; ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it, or choose a higher port",
}
_UNRESOLVED = "; an address needs no name server"


def refused(number: int | None, problem: str, *, key: str) -> ConfigError:
    """The error for a key whose value the system refused with this ``errno``.

    It is a ``NotNowError`` where the system may take the value later, as is.
    """
    unresolved = (number or 0) < 0  # of getaddrinfo: a name server that does not answer
    remedy = _UNRESOLVED if unresolved else _REMEDIES.get(number or 0, "")
    if not problem.startswith("cannot listen"):
        remedy = ""
    return (NotNowError if unresolved or number in _PASSING else ConfigError)(f"{problem}{remedy}", key=key)


def unreadable(error: OSError) -> str:
    """Why a file of the operator's was not read, and for want of a right what to do: the end of a sentence about it."""
    if isinstance(error, PermissionError):
        remedy = "give it and its directories to a group of that user's (under systemd: SupplementaryGroups=)"
        return f"cannot be read: {error.strerror} for user {os.geteuid()}; {remedy}"
    if isinstance(error, IsADirectoryError):
        return "cannot be read: it is a directory; Docker creates one if the file to mount does not exist"
    return f"cannot be read: {error.strerror}"
