"""The broker's side of the bus: its address, its keys, who is let in. Each part has it so, in whichever process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import zmq

from broker.doorman import Doorman
from broker.keyring import Keyring, open_keyring
from common.claim import claimed_directory
from common.config import Config
from common.curve import Keys, authenticated
from common.endpoints import Endpoints, Part
from common.log import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class Bus:
    """Sockets can be bound: whoever connects to them is asked for a key, where there are keys."""

    context: zmq.Context[zmq.Socket[bytes]]
    endpoints: Endpoints
    keys: Keys | None
    keyring: Keyring | None = None  # where each worker has a key of its own …
    doorman: Doorman | None = None  # … which decides then


@contextmanager
def opened_bus(config: Config, counters: Counter[str], *parts: Part) -> Iterator[Bus]:
    """Be these parts of the broker until left. ``counters`` gets who was refused.

    Raises ``ConfigError``, or ``AddressInUseError`` if another process is one of them.
    """
    endpoints = Endpoints.parse(config.broker.address)
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(claimed_directory(endpoints, part))
        keyring = open_keyring(config, endpoints)
        if keyring is not None:
            stack.enter_context(closing(keyring))
        keys = Keys.of_cluster(endpoints, config.cluster.secret) if keyring is None else keyring.keys
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.destroy, linger=0)
        if keys is None and endpoints.directory is None:
            log.warning(
                "the bus is open to every user of this machine, who may act as a worker and learn cameras' passwords; "
                "set cluster.secret, or use ipc:// as broker.address",
                address=endpoints.address,
            )
        if keyring is None:
            stack.enter_context(authenticated(context, keys))
            yield Bus(context, endpoints, keys)
        else:
            yield Bus(context, endpoints, keys, keyring, stack.enter_context(Doorman(context, keyring, counters)))
