"""The compiled fan-out as a target: ``native/fanout_fuzz.c``, with address and undefined-behaviour sanitizers.

libFuzzer needs clang (Debian: clang libclang-rt-14-dev). To replay what is kept, any compiler with sanitizers will do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

NAME = "fanout-native"
READS = "runs of packets, lanes and routes, and what the kernel says, in `egress/native/fanout.c` (ASan, UBSan)"
MOST = 512  # bytes of an input
SOURCE = Path(__file__).with_name("native") / "fanout_fuzz.c"

_FLAGS = ["-g", "-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]


def build_fuzzer(binary: Path) -> None:
    """Compile the fuzzer. Raises ``CalledProcessError`` or ``FileNotFoundError``."""
    _compile("clang", binary, "-fsanitize=fuzzer,address,undefined")


def build_replay(binary: Path) -> None:
    """Compile the program that runs the files it is given. Raises as ``build_fuzzer``."""
    _compile(os.environ.get("CC", "cc"), binary, "-fsanitize=address,undefined", "-DREPLAY")


def fuzzer_missing() -> str:
    """Why this target cannot be fuzzed here; empty if it can."""
    return "" if shutil.which("clang") else "clang is missing: apt-get install clang libclang-rt-14-dev"


def compiler_missing() -> str:
    """Why nothing can be replayed here; empty if it can."""
    return "" if shutil.which(os.environ.get("CC", "cc")) else "no C compiler"


def _compile(compiler: str, binary: Path, *flags: str) -> None:
    command = [compiler, *_FLAGS, *flags, "-o", str(binary), str(SOURCE), "-lcrypto"]
    subprocess.run(command, check=True, capture_output=True)
