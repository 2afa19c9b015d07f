"""What setup.cfg, where the metadata is, cannot say: the one package of a wheel, and what is built with cffi.

In the repository the services are packages of their own (``broker``, ``common``, …). In everybody's site-packages such
names belong to nobody, so an installation has them inside ``camshaft`` (``camshaft.broker``), and their imports are
written anew as they are copied. An editable installation has them as they lie in the repository.
"""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

NAMESPACE = "camshaft"
SERVICES = ("broker", "common", "egress", "ingest", "relay", "transcode")
EDITABLE = "editable_wheel" in sys.argv  # setuptools' build backend calls us with the command that it was asked for


class NamespaceError(Exception):
    """An import that would bind another name inside ``camshaft`` than it does in the repository."""


def inside(source: bytes, where: str) -> bytes:
    """A module's source as it is inside ``camshaft``, each line where it was. Raises ``NamespaceError``."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(_is_ours(alias.name) for alias in node.names):
            raise NamespaceError(f"{where}:{node.lineno}: import what is a service's by `from … import …`")
        if isinstance(node, ast.ImportFrom) and not node.level and _is_ours(node.module or ""):
            before, line = lines[node.lineno - 1][: node.col_offset], lines[node.lineno - 1][node.col_offset :]
            lines[node.lineno - 1] = before + line.replace(b"from ", f"from {NAMESPACE}.".encode(), 1)
    return b"".join(lines)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in SERVICES


class InsideNamespace(build_py):
    """Copies modules, and has them import each other from inside the namespace."""

    def run(self) -> None:
        if not self.editable_mode:
            for service in SERVICES:  # where a build before this one had them: they would be packed, too
                shutil.rmtree(Path(self.build_lib, service), ignore_errors=True)
            self.force = True  # the age of a copy does not tell whether it is the newest
        super().run()

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        made, copied = super().build_module(module, module_file, package)
        if not self.editable_mode:
            path = Path(made)
            path.write_bytes(inside(path.read_bytes(), module_file))
        return made, copied


class CompiledInside(build_ext):
    """Lays what is compiled beside the modules that import it. Their builders know the name in the repository alone."""

    def finalize_options(self) -> None:
        super().finalize_options()
        for extension in self.extensions or ():
            if not EDITABLE and _is_ours(extension.name):
                extension.name = f"{NAMESPACE}.{extension.name}"


def main() -> None:
    """What setuptools calls this file for."""
    found = find_packages(include=[pattern for name in (NAMESPACE, *SERVICES) for pattern in (name, f"{name}.*")])
    moved = {} if EDITABLE else {f"{NAMESPACE}.{name}": name.replace(".", "/") for name in found if _is_ours(name)}
    prefix = "" if EDITABLE else f"{NAMESPACE}."
    setup(
        packages=[name for name in found if EDITABLE or not _is_ours(name)] + list(moved),
        package_dir=moved,
        package_data={f"{prefix}broker": ["web/*"]},
        cffi_modules=[f"compiled.py:{part}" for part in ("batches", "fanout", "pictures")],
        cmdclass={"build_py": InsideNamespace, "build_ext": CompiledInside},
    )


if __name__ == "__main__":
    main()
