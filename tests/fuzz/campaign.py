"""One target's run: libFuzzer as a child process, what it found, and what is kept of its corpus."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.native_parts import PARTS, Part
from tests.fuzz.table import CORPUS, TARGETS, corpus
from tests.fuzz.target import Target, seconds

ENGINE = Path(__file__).with_name("engine.py")
KEPT_BYTES = 20_000  # of each target's corpus: all of them stay below the limit of test_corpus.py
INPUT_TIMEOUT = 10  # seconds for one input; one that takes longer is taken for an endless loop
MEMORY = 1_024  # MB of a target's process
GRACE = 120.0  # seconds beyond the time asked for, until a run counts as hung
MERGE_TIMEOUT = 900.0  # seconds

HEAD = "| target | inputs | inputs/s | features | crashes | slow | slowest, ms |\n|---|---:|---:|---:|---:|---:|---:|"


@dataclass(frozen=True)
class Outcome:
    """The outcome of one target; ``str()`` is its line of the table."""

    name: str
    inputs: int
    seconds: float
    features: int  # of coverage, as libFuzzer counts them
    crashes: int
    slow: int
    slowest: float  # seconds of CPU, of what is kept and what was found

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0.0
        return (
            f"| {self.name} | {self.inputs:,} | {rate:,.0f} | {self.features:,} | {self.crashes} | {self.slow} |"
            f" {self.slowest * 1000:.1f} |"
        )


@dataclass(frozen=True)
class Limits:
    """Bounds of each target's run: it ends when either is reached."""

    seconds: int
    inputs: int  # 0: any number


def run(name: str, limits: Limits, findings: Path, *, keep: bool) -> Outcome:
    """Run one target. What is found lies in ``findings`` afterwards; ``keep``: new inputs go into the corpus."""
    findings.mkdir(parents=True, exist_ok=True)
    for old in findings.iterdir():
        old.unlink()
    kept = CORPUS / name
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / "work"
        work.mkdir()
        command = _native(PARTS[name], work) if name in PARTS else _python(TARGETS[name], work, findings)
        options = [
            f"-max_total_time={limits.seconds}",
            f"-runs={limits.inputs or -1}",
            f"-timeout={INPUT_TIMEOUT}",
            f"-rss_limit_mb={MEMORY}",
            f"-artifact_prefix={findings}/hard-",
            "-print_final_stats=1",
        ]
        started = time.monotonic()
        log = _call([*command, *options, str(work), *([str(kept)] if kept.exists() else [])], limits.seconds + GRACE)
        took = time.monotonic() - started
        if keep:
            _keep(command, work, kept, Path(scratch))
    (findings / "log.txt").write_text(log)
    slow, slowest = _slow(TARGETS[name], findings) if name in TARGETS else (0, 0.0)
    crashes = [path for path in findings.iterdir() if re.match(r"error-\w+\.txt|hard-(?!slow)", path.name)]
    return Outcome(
        name,
        _last(r"^(?:#|stat::number_of_executed_units: )(\d+)", log),
        took,
        _last(r"\bft: (\d+)", log),
        len(crashes),
        slow,
        slowest,
    )


def _python(target: Target, work: Path, findings: Path) -> list[str]:
    for number, seed in enumerate(target.seeds):
        (work / f"seed-{number}").write_bytes(seed)
    command = [sys.executable, str(ENGINE), target.name, str(findings), f"-max_len={target.most}"]
    if target.words:
        words = work.with_name("words")
        words.write_text("\n".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in target.words))
        command.append(f"-dict={words}")
    return command


def _native(part: Part, work: Path) -> list[str]:
    binary = work.with_name("fuzzer")
    part.build_fuzzer(binary)
    return [str(binary), f"-max_len={part.most}"]


def _call(command: list[str], timeout: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired as exc:
        return (exc.stderr or b"").decode(errors="replace")
    return done.stderr


def _keep(command: list[str], work: Path, kept: Path, scratch: Path) -> None:
    """Keep the smallest inputs that between them take all paths, up to a limit."""
    chosen = scratch / "chosen"
    chosen.mkdir()
    _call([*command, "-merge=1", str(chosen), *([str(kept)] if kept.exists() else []), str(work)], MERGE_TIMEOUT)
    inputs = sorted((path.read_bytes() for path in chosen.iterdir()), key=len)
    if not inputs:
        return
    kept.mkdir(exist_ok=True)
    for old in kept.iterdir():
        old.unlink()
    budget = KEPT_BYTES
    for data in inputs:
        budget -= len(data)
        if budget < 0:
            break
        (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def _slow(target: Target, findings: Path) -> tuple[int, float]:
    """The number of inputs that are slow also where no paths are counted, and the seconds of the slowest of all."""
    slowest = max((_seconds(target, data) for data in corpus(target.name)), default=0.0)
    slow = 0
    for about in findings.glob("slow-*.txt"):
        spent = _seconds(target, about.with_suffix("").read_bytes())
        slowest = max(slowest, spent)
        if spent > target.slow:
            slow += 1
        else:
            about.with_suffix("").unlink()
            about.unlink()
    return slow, slowest


def _seconds(target: Target, data: bytes) -> float:
    """The seconds of an input; 0 for one that fails, as it is told of among the crashes, and may be kept."""
    try:
        return seconds(target, data, rounds=3)
    except Exception:
        return 0.0


def _last(pattern: str, log: str) -> int:
    found = re.findall(pattern, log, re.MULTILINE)
    return int(found[-1]) if found else 0
