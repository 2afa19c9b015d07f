"""The compiled parts, with address and undefined-behaviour sanitizers: as targets, the programs in ``native/``, and as
extensions that Python loads.

libFuzzer needs clang (Debian: clang libclang-rt-14-dev). For all else any compiler with sanitizers will do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compiled
from tests.fakes.turns import HAS_TURN

_ROOT = Path(__file__).parents[2]
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
_TESTS = """
import importlib, importlib.util, sys, pytest
name, extension, *arguments = sys.argv[1:]
sanitized = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, extension))
sys.modules[name] = sanitized
code = pytest.main(["-q", "-s", "-p", "no:cacheprovider", *arguments])
assert importlib.import_module(name.rpartition(".")[0]).lib is sanitized.lib, "its tests were of another one"
sys.exit(code)
"""


@dataclass(frozen=True)
class Part:
    """One compiled part. ``name`` is its target's, ``reads`` says in words what that reads."""

    name: str
    reads: str
    most: int  # bytes of an input
    source: Path  # the part
    program: Path  # that fuzzes it
    module: str  # that Python loads
    builder: Any
    libraries: tuple[str, ...] = ()
    beside: tuple[Path, ...] = ()  # what else is in the extension, and beside the program

    def build_fuzzer(self, binary: Path) -> None:
        """Compile the fuzzer. Raises ``CalledProcessError`` or ``FileNotFoundError``."""
        self._compile("clang", binary, "-fsanitize=fuzzer,address,undefined")

    def build_replay(self, binary: Path) -> None:
        """Compile the program that runs the files it is given. Raises as ``build_fuzzer``."""
        self._compile(_compiler(), binary, _SANITIZERS, "-DREPLAY")

    def build_extension(self, extension: Path, source: Path | None = None) -> None:
        """Compile the extension, with another source where one is given. Raises as ``build_fuzzer``."""
        wrapper = extension.with_suffix(".c")
        self.builder.emit_c_code(str(wrapper))
        headers = [f"-I{sysconfig.get_path('include')}", *self._headers]
        shared = ["-fPIC", "-shared", "-Wno-unused-parameter"]  # the wrapper, which is cffi's, has some
        sources = [str(wrapper), str(source or self.source), *map(str, self.beside), *self.libraries]
        command = [_compiler(), *_FLAGS, _SANITIZERS, *shared, *headers, "-o", str(extension), *sources]
        subprocess.run(command, check=True, capture_output=True)

    def run_tests(self, extension: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Tests in a Python that loads ``extension`` for this part.

        The sanitizer must be there before anything else. Each object gets a block of its own from it, so that its end
        is known. Python's own leaks are left out.
        """
        command = [sys.executable, "-c", _TESTS, self.module, str(extension), *map(str, arguments)]
        options = {"LD_PRELOAD": _sanitizer(), "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
        environment = {**os.environ, **options, HAS_TURN: "1"}
        environment.pop("PYTEST_XDIST_WORKER", None)  # nor do they collect together with others
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)

    @property
    def _headers(self) -> list[str]:
        return [f"-I{folder}" for folder in sorted({source.parent for source in (self.source, *self.beside)})]

    def _compile(self, compiler: str, binary: Path, *flags: str) -> None:
        sources = [str(self.program), *map(str, self.beside), *self.libraries]
        command = [compiler, *_FLAGS, *flags, *self._headers, "-o", str(binary), *sources]
        subprocess.run(command, check=True, capture_output=True)


BATCHES = Part(
    name="batches-native",
    reads="batches from the bus, in `common/native/batches.c` (ASan, UBSan)",
    most=512,
    source=_ROOT / "common" / "native" / "batches.c",
    program=Path(__file__).with_name("native") / "batches_fuzz.c",
    module="common.native._batches",
    builder=compiled.batches,
)
FANOUT = Part(
    name="fanout-native",
    reads="runs of packets, lanes and routes, and what the kernel says, in `egress/native/fanout.c` (ASan, UBSan)",
    most=512,
    source=_ROOT / "egress" / "native" / "fanout.c",
    program=Path(__file__).with_name("native") / "fanout_fuzz.c",
    module="egress.native._fanout",
    builder=compiled.fanout,
    libraries=("-lcrypto",),
    beside=(_ROOT / "egress" / "native" / "passing.c", _ROOT / "common" / "native" / "batches.c"),
)
PICTURES = Part(
    name="pictures-native",
    reads="pictures in interleaved frames, from a camera, in `ingest/native/pictures.c` and `express.c` (ASan, UBSan)",
    most=4_096,
    source=_ROOT / "ingest" / "native" / "pictures.c",
    program=Path(__file__).with_name("native") / "pictures_fuzz.c",
    module="ingest.native._pictures",
    builder=compiled.pictures,
    beside=(_ROOT / "ingest" / "native" / "express.c",),
)
PARTS = {part.name: part for part in (BATCHES, FANOUT, PICTURES)}


def fuzzer_missing() -> str:
    """Why these targets cannot be fuzzed here; empty if they can."""
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
