"""The roles of workers: what each publishes, what it subscribes to, and which a cluster needs."""

from __future__ import annotations

from enum import StrEnum

from common.control.fields import NodeName


class Role(StrEnum):
    """The kind of a worker. A new kind of worker begins here: ``docs/development.md`` says how it goes on."""

    INGEST = "ingest"
    EGRESS = "egress"
    TRANSCODE = "transcode"
    RELAY = "relay"  # which only reports: it is given nothing, and there is one


RELAY_NODE = NodeName("relay")
"""The relay's name. No other worker may have it: the real one would be refused, and the broker not ready."""

PUBLISHERS = frozenset({Role.INGEST, Role.TRANSCODE})
"""The roles that make renditions: they may publish."""

SUBSCRIBERS = frozenset({Role.EGRESS, Role.TRANSCODE})
"""The roles that take renditions: they may subscribe, and are told the keys that these are sealed with."""

NEEDED = (Role.INGEST, Role.EGRESS)
"""The roles without which nothing can be watched: the cluster is not ready before it has one of each."""
