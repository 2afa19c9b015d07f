"""Results: what one server did under one load, what follows from it, and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.measure import KERNEL_ROLE, Measured, Usage, machine
from rigs.load.report import Window

SUPPORTING = ("camera", KERNEL_ROLE, "load")  # roles that are not the server's


@dataclass(frozen=True, slots=True)
class Run:
    """One server under one load, in a steady window."""

    server: str
    version: str
    label: str  # what distinguishes this run from the others of its scenario
    cameras: int
    viewers: int
    measured: Measured
    window: Window
    idle_memory: Mapping[str, int] = field(default_factory=dict)  # resident bytes by role before the first viewer
    commands: Sequence[str] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)  # what only this scenario measures

    @property
    def packets(self) -> int:
        """Media packets that reached viewers."""
        return self.window.total("packets")

    @property
    def server_usage(self) -> Usage:
        """Usage of all the server's processes."""
        return self.measured.of(role for role in self.measured.roles if role not in SUPPORTING)

    def microseconds(self, *roles: str) -> float:
        """CPU time a packet and viewer, of some roles or of the whole server."""
        usage = self.measured.of(roles) if roles else self.server_usage
        return usage.cpu / self.packets * 1e6 if self.packets else 0.0

    @property
    def cores(self) -> float:
        """Cores that the server kept busy."""
        return self.server_usage.cpu / self.measured.seconds

    @property
    def megabits(self) -> float:
        """Mb/s of media that reached viewers."""
        return self.window.total("bytes") * 8 / 1e6 / self.window.seconds

    @property
    def load_microseconds(self) -> float:
        """CPU time a packet of the load generator itself, in microseconds."""
        spent = self.window.load_user + self.window.load_system
        return spent / self.packets * 1e6 if self.packets else 0.0

    def memory_a_viewer(self, *roles: str) -> float:
        """Bytes of resident memory by which some roles (default: the whole server) grew for each viewer."""
        chosen = roles or [role for role in self.measured.roles if role not in SUPPORTING]
        grown = sum(self.measured.roles[role].memory - self.idle_memory.get(role, 0) for role in chosen)
        return grown / self.viewers if self.viewers else 0.0

    def to_json(self) -> dict[str, Any]:
        """Everything, and what follows from it."""
        return {
            "server": self.server,
            "version": self.version,
            "label": self.label,
            "cameras": self.cameras,
            "viewers": self.viewers,
            "seconds": self.measured.seconds,
            "cpu_us_a_packet": round(self.microseconds(), 3),
            "packets_a_second_a_core": round(self.packets / self.server_usage.cpu) if self.server_usage.cpu else None,
            "megabits_a_core": round(self.megabits / self.cores, 1) if self.cores else None,
            "memory_a_viewer": round(self.memory_a_viewer()),
            "roles": {role: asdict(usage) for role, usage in self.measured.roles.items()},
            "machine_busy_seconds": self.measured.busy,
            "idle_memory": dict(self.idle_memory),
            "load_us_a_packet": round(self.load_microseconds, 3),
            "load": self.window.to_json(),
            "commands": list(self.commands),
            "notes": dict(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Check:
    """A target, and whether it was reached."""

    text: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the value is on the right side of the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(slots=True)
class Result:
    """A scenario's outcome."""

    scenario: str
    command: str
    started: str  # ISO 8601
    runs: list[Run] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # what could not be run, and why

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "scenario": self.scenario,
            "command": self.command,
            "started": self.started,
            "machine": machine(),
            "runs": [run.to_json() for run in self.runs],
            "checks": [asdict(check) | {"reached": check.reached} for check in self.checks],
            "skipped": self.skipped,
        }

    def to_markdown(self) -> str:
        """The results for people."""
        facts = machine()
        versions = {run.server: run.version for run in self.runs}
        lines = [
            f"# {self.scenario}",
            "",
            f"{self.started}, {facts['cpu']}, {facts['memory']}, {facts['kernel']}, Python {facts['python']}, "
            f"{facts['library']}.",
            "; ".join(f"{name} {version}".strip() for name, version in versions.items()) + ".",
            "",
            f"    {self.command}",
            "",
            *_table(self.runs),
            "",
            *_processes(self.runs),
            *_checks(self.checks),
        ]
        noted = {f"{run.server}, {run.label}": run.notes for run in self.runs if run.notes}
        for name, notes in noted.items():
            lines += [f"{name}:", "", *(f"* {key}: {_short(value)}" for key, value in notes.items()), ""]
        if self.skipped:
            lines += ["Not run:", "", *(f"* {reason}" for reason in self.skipped), ""]
        started = [command for run in self.runs for command in run.commands]
        if started:
            lines += ["Started:", "", *(f"    {command}" for command in dict.fromkeys(started)), ""]
        return "\n".join(lines)

    def write(self, directory: Path) -> Path:
        """Write JSON and Markdown. Returns the Markdown's path."""
        directory.mkdir(parents=True, exist_ok=True)
        stem = f"{self.scenario}-{self.started.replace(':', '')}"
        (directory / f"{stem}.json").write_text(json.dumps(self.to_json(), indent=1))
        page = directory / f"{stem}.md"
        page.write_text(self.to_markdown())
        return page


def _table(runs: Sequence[Run]) -> list[str]:
    """CPU first; the ratio is to the first run, by CPU time for the same viewers of the same camera."""
    header = ["server", "run", "viewers", "µs/packet", "user", "system", "of it egress", "cores", "Mb/s a core"]
    header += [
        "kB/viewer",
        "lost",
        "gap p99 ms",
        "delay p50 / p99 ms",
        "keyframe p50 ms",
        "load µs/packet (late ms)",
        "ratio",
    ]
    rows = []
    for run in runs:
        usage, packets, window = run.server_usage, max(run.packets, 1), run.window
        egress = f"{run.microseconds('egress'):.2f}" if "egress" in run.measured.roles else ""
        delay = f"{window.delay_ms.median:.2f} / {window.delay_ms.p99:.2f}" if window.delay_ms.count else ""
        lost = f"{window.total('lost')}" + (f" (+{window.total('dropped')} ours)" if window.total("dropped") else "")
        rows.append(
            [
                run.server,
                run.label,
                f"{window.connected}",
                f"{run.microseconds():.2f}",
                f"{usage.user / packets * 1e6:.2f}",
                f"{usage.system / packets * 1e6:.2f}",
                egress,
                f"{run.cores:.2f}",
                f"{run.megabits / run.cores:.0f}" if run.cores else "",
                f"{run.memory_a_viewer() / 1000:.0f}",
                lost,
                f"{window.spread('gap_ms').p99:.0f}",
                delay,
                f"{window.spread('first_keyframe_ms').median:.0f}",
                f"{run.load_microseconds:.2f} ({window.late_ms:.0f})",
                f"{_ratio(run, runs[0]):.1f}",
            ]
        )
    return _markdown(header, rows)


def _processes(runs: Sequence[Run]) -> list[str]:
    """Share of a core and resident memory of each kind of process, for servers that have several kinds."""
    runs = [run for run in runs if len(set(run.measured.roles) - set(SUPPORTING)) > 1]
    roles = list(dict.fromkeys(role for run in runs for role in run.measured.roles if role not in SUPPORTING))
    rows = []
    for run in runs:
        cells = []
        for role in roles:
            usage = run.measured.roles.get(role, Usage())
            share, size = usage.cpu / run.measured.seconds, usage.memory / 1e6
            count = f" ({usage.processes})" if usage.processes > 1 else ""
            cells.append(f"{share:.1%}, {size:.0f} MB{count}" if usage.processes else "")
        rows.append([f"{run.server}, {run.label}", *cells])
    return [*_markdown(["processes: a core's share, memory", *roles], rows), ""] if rows else []


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(number)}" for name, number in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _ratio(run: Run, reference: Run) -> float:
    """CPU time of a viewer-second against the reference's: packets differ in size between servers, viewers do not."""
    ours = reference.server_usage.cpu / max(reference.window.connected * reference.measured.seconds, 1)
    theirs = run.server_usage.cpu / max(run.window.connected * run.measured.seconds, 1)
    return theirs / ours if ours else 0.0


def _checks(checks: Sequence[Check]) -> list[str]:
    if not checks:
        return []
    rows = []
    for check in checks:
        sign = "≥" if check.at_least else "≤"
        wanted = f"{sign} {check.limit:g} {check.unit}".strip()
        rows.append(
            [check.text, wanted, f"{check.value:.3g} {check.unit}".strip(), "yes" if check.reached else "**no**"]
        )
    return [*_markdown(["target", "wanted", "measured", "reached"], rows), ""]


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
