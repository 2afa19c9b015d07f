"""How connections of the bus are secured (CURVE, ZMQ RFC 26), where they leave the machine."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from common.endpoints import Endpoints
from common.errors import ConfigError


class Domain(StrEnum):
    """The purpose of a connection to the broker (ZMQ RFC 27: the domain of a ZAP request)."""

    CONTROL = "control"
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    JOIN = "join"


@dataclass(frozen=True, slots=True)
class Keys:
    """CURVE key pairs (Z85): the broker's, and that of a worker.

    With one secret for the cluster both come from it, so there is nothing else to hand out. With worker tokens each
    side has the secret half of its own pair alone, and the other is empty.
    """

    server_public: bytes
    server_secret: bytes = field(repr=False)
    client_public: bytes
    client_secret: bytes = field(repr=False)

    @property
    def by_token(self) -> bool:
        """Whether they are those of a worker that joined by a token."""
        return bool(self.client_secret) and not self.server_secret

    @classmethod
    def derive(cls, secret: str) -> Keys:
        """The same secret gives the same keys on every machine."""

        def pair(name: str) -> tuple[bytes, bytes]:
            private = z85.encode(hmac.digest(secret.encode(), f"camshaft curve {name}".encode(), hashlib.sha256))
            return zmq.curve_public(private), private

        return cls(*pair("server"), *pair("client"))

    @classmethod
    def of_cluster(cls, endpoints: Endpoints, secret: str) -> Keys | None:
        """Keys for ``endpoints``, ``None`` where none are needed. Raises ``ConfigError`` where they are and are not."""
        if endpoints.directory is not None:
            return None
        if secret:
            return cls.derive(secret)
        if endpoints.leaves_machine:
            problem = (
                f"needed because {endpoints.address} can be reached from other machines: the same on each, or instead "
                "cluster.token for each worker, made by `camshaft token worker` on the broker's machine"
            )
            raise ConfigError(problem, key="cluster.secret")
        return None


@contextmanager
def authenticated(context: zmq.Context[zmq.Socket[bytes]], keys: Keys | None) -> Iterator[None]:
    """While open, CURVE servers of ``context`` accept only clients that hold the cluster's client key."""
    if keys is None:
        yield
        return
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    try:
        authenticator.configure_curve_callback("*", _ClusterMembers(keys.client_public))
        yield
    finally:
        authenticator.stop()


@dataclass(frozen=True, slots=True)
class _ClusterMembers:
    client_public: bytes

    def callback(self, domain: str, key: bytes) -> bool:  # pyzmq's authenticator calls it, with the key in Z85
        return hmac.compare_digest(key, self.client_public)
