"""The relay as a broker sees it that has none inside: by the reports of the process that is one (``relay.process``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Protocol

from broker.director.state import Worker
from broker.relay import RelayStatistics
from common.control import Role


class SeenRelay(Protocol):
    """All that the front door asks of the relay, wherever that runs."""

    @property
    def statistics(self) -> RelayStatistics:
        """Frames and bytes so far, as of about a second ago."""

    @property
    def counters(self) -> Counter[str]:
        """Counts that are this process's to tell."""

    @property
    def problem(self) -> str:
        """Why media cannot pass, in a sentence; empty if it can."""


class RelayApart:
    """``workers`` are those that the broker knows."""

    def __init__(self, workers: Callable[[], Iterable[Worker]]) -> None:
        self._workers = workers
        self.counters: Counter[str] = Counter()  # the relay's own report tells them

    @property
    def statistics(self) -> RelayStatistics:
        """The counts of the relay's last report; that of one that is gone holds until another comes."""
        reports = [worker.report for worker in self._workers() if worker.report.role is Role.RELAY]
        counted = reports[-1].counters if reports else {}
        return RelayStatistics(**{name: counted.get(f"{PREFIX}{name}", 0) for name in asdict(RelayStatistics())})

    @property
    def problem(self) -> str:
        """Empty if it reports. One that we do not hear of may work all the same: nobody can say."""
        if any(worker.takes(Role.RELAY) for worker in self._workers()):
            return ""
        return "No relay process is connected."


PREFIX = "relay_"  # of its statistics among the counters of its report


def told(statistics: RelayStatistics) -> dict[str, int]:
    """Statistics as a relay reports them."""
    return {f"{PREFIX}{name}": value for name, value in asdict(statistics).items()}
