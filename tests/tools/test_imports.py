"""Imports where import-linter does not look: it knows packages, and tests are none."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.fakes import sources

pytestmark = pytest.mark.xdist_group("sources")


def modules(*folders: str) -> dict[str, Path]:
    """Path of each module below these folders, by its dotted name."""
    return {
        ".".join(path.relative_to(sources.ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sources.modules(*folders)
    }


def imports(path: Path) -> set[str]:
    return sources.source(path).imports


def test_tests_import_the_benchmark_only_to_test_it() -> None:
    found = {name for name, path in modules("tests").items() if any(i.startswith("bench.") for i in imports(path))}
    assert {name for name in found if not name.startswith("tests.bench.")} == set()


def test_what_tests_play_and_measure_with_imports_no_tests() -> None:
    paths = modules("rigs", "bench")
    assert [name for name, path in paths.items() if any(i.startswith("tests") for i in imports(path))] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    every = modules(*sources.PACKAGES, "tests")
    graph = {name: imports(path) & every.keys() for name, path in every.items()}
    packages = {name for name, path in every.items() if path.name == "__init__.py"}
    # "from package import module" names the package, too; it is the module that is wanted.
    needed = {
        name: {i for i in found if i not in packages or not any(j.startswith(f"{i}.") for j in found)}
        for name, found in graph.items()
    }
    TopologicalSorter(needed).prepare()  # raises CycleError, which names the circle
