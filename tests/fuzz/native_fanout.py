"""The compiled fan-out with address and undefined-behaviour sanitizers: as a target, ``native/fanout_fuzz.c``, and as
an extension that Python loads.

libFuzzer needs clang (Debian: clang libclang-rt-14-dev). For all else any compiler with sanitizers will do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from egress.native.build import builder

NAME = "fanout-native"
READS = "runs of packets, lanes and routes, and what the kernel says, in `egress/native/fanout.c` (ASan, UBSan)"
MOST = 512  # bytes of an input
SOURCE = Path(__file__).with_name("native") / "fanout_fuzz.c"
FANOUT = Path(__file__).parents[2] / "egress" / "native" / "fanout.c"

_FLAGS = [
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fno-sanitize-recover=all",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Werror",
]
_SANITIZERS = "-fsanitize=address,undefined"


def build_fuzzer(binary: Path) -> None:
    """Compile the fuzzer. Raises ``CalledProcessError`` or ``FileNotFoundError``."""
    _compile("clang", binary, "-fsanitize=fuzzer,address,undefined")


def build_replay(binary: Path) -> None:
    """Compile the program that runs the files it is given. Raises as ``build_fuzzer``."""
    _compile(_compiler(), binary, _SANITIZERS, "-DREPLAY")


def build_extension(extension: Path, fanout: Path = FANOUT) -> None:
    """Compile ``egress.native._fanout`` with another ``fanout.c``. Raises as ``build_fuzzer``."""
    wrapper = extension.with_suffix(".c")
    builder.emit_c_code(str(wrapper))
    headers = [f"-I{sysconfig.get_path('include')}", f"-I{FANOUT.parent}"]
    shared = ["-fPIC", "-shared", "-Wno-unused-parameter"]  # the wrapper, which is cffi's, has some
    sources = [str(wrapper), str(fanout), "-lcrypto"]
    command = [_compiler(), *_FLAGS, _SANITIZERS, *shared, *headers, "-o", str(extension), *sources]
    subprocess.run(command, check=True, capture_output=True)


def sanitized_environment() -> dict[str, str]:
    """The environment of a Python that loads such an extension: the sanitizer must be there before anything else.

    Each object gets a block of its own from it, so that its end is known. Python's own leaks are left out.
    """
    return {**os.environ, "LD_PRELOAD": _sanitizer(), "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}


def fuzzer_missing() -> str:
    """Why this target cannot be fuzzed here; empty if it can."""
    return "" if shutil.which("clang") else "clang is missing: apt-get install clang libclang-rt-14-dev"


def compiler_missing() -> str:
    """Why nothing can be replayed here; empty if it can."""
    return "" if shutil.which(_compiler()) else "no C compiler"


def sanitizer_missing() -> str:
    """Why no Python can load what is built for the sanitizers here; empty if one can."""
    if missing := compiler_missing():
        return missing
    return "" if Path(_sanitizer()).is_absolute() else f"{_compiler()} has no libasan.so, as GCC has"


def _compiler() -> str:
    return os.environ.get("CC", "cc")


def _sanitizer() -> str:
    """The sanitizers' library; a mere name if the compiler has none."""
    command = [_compiler(), "-print-file-name=libasan.so"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _compile(compiler: str, binary: Path, *flags: str) -> None:
    command = [compiler, *_FLAGS, *flags, "-o", str(binary), str(SOURCE), "-lcrypto"]
    subprocess.run(command, check=True, capture_output=True)
