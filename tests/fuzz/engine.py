"""One target under atheris, in a process of its own: ``engine.py TARGET FINDINGS [libFuzzer's options]``.

libFuzzer itself ends with the first failure. Here an input that raises what is no declared error, or that takes too
long, is written to the directory FINDINGS and the run goes on; each place in the code is reported once.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from tests.fuzz.target import Target

ROOT = Path(__file__).parents[2]
PACKAGES = ["broker", "camshaft", "common", "egress", "ingest"]
COUNTING = 3  # times that code which counts its paths is slower; the parent measures again without
YOUNG = 20_000  # objects made, after which the garbage collector looks at them
TELLS = 1_000  # inputs, after which the file ``steps`` says anew how many messages and moments one has
WORSE = 1.2  # times the slowest input so far that the next one has to take to be kept


def _target(name: str) -> Target:
    """The target of this name. What others import is left alone: instrumenting it takes longer than many runs."""
    for path in sorted(Path(__file__).parent.glob("*_targets.py")):
        if f'"{name}"' in path.read_text():
            targets: tuple[Target, ...] = tuple(importlib.import_module(f"tests.fuzz.{path.stem}").TARGETS)
            if found := [target for target in targets if target.name == name]:
                return found[0]
    raise SystemExit(f"there is no target {name}")


def main() -> None:
    """Run until libFuzzer's options say that it is enough."""
    _, name, findings, *options = sys.argv
    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=PACKAGES):
        from tests.fuzz.target import Program

        target = _target(name)
    gc.collect()
    gc.freeze()  # what is imported, which would otherwise be gone through again and again
    gc.set_threshold(YOUNG, 20, 20)
    reported = set[str]()
    limit, inputs = COUNTING * target.slow, 0

    def keep(kind: str, data: bytes, about: str) -> None:
        path = Path(findings) / f"{kind}-{hashlib.sha256(data).hexdigest()[:16]}"
        path.write_bytes(data)
        path.with_suffix(".txt").write_text(about)

    def one(data: bytes) -> None:
        nonlocal limit, inputs
        inputs += 1
        if inputs % TELLS == 0 and Program.steps:
            (Path(findings) / "steps").write_text(f"{Program.steps / inputs:.1f}")
        start = time.thread_time()
        try:
            target(data)
        except Exception as exc:
            frame = traceback.extract_tb(exc.__traceback__)[-1]
            place = f"{type(exc).__name__} at {frame.filename}:{frame.lineno}"
            if place not in reported:
                reported.add(place)
                keep("error", data, traceback.format_exc())
        spent = time.thread_time() - start
        if spent > limit:
            limit = spent * WORSE
            keep("slow", data, f"{spent * 1000:.0f} ms with its paths counted")

    # A merge starts the program again by its first word.
    atheris.Setup([f"{sys.executable} {__file__} {name} {findings}", *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
