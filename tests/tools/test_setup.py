"""The packages of a wheel: what is rewritten as a module is copied into the namespace, and what is refused.

``tools/try-wheel`` builds a whole one and starts it.
"""

from __future__ import annotations

import ast
import importlib.util
from types import ModuleType

import pytest

from tests.fakes.sources import PRODUCT, ROOT


@pytest.fixture(scope="module")
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_of_the_wheel", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_imports_of_services_lead_into_the_namespace_and_nothing_else_changes(setup: ModuleType) -> None:
    source = b'''"""From common to all: from common import log."""
import common_sense
from commonplace import book
from . import broker
from common import log, \\
    process
if TYPE_CHECKING:
    from broker.director import (
        cameras,
    )
def late():
    x = "\xc3\xa9"; from ingest.worker import run
'''
    expected = source.replace(b"from common import log, \\", b"from camshaft.common import log, \\")
    expected = expected.replace(b"from broker.director", b"from camshaft.broker.director")
    expected = expected.replace(b"from ingest.worker", b"from camshaft.ingest.worker")
    assert setup.inside(source, "x.py") == expected


def test_an_import_that_would_bind_another_name_is_refused(setup: ModuleType) -> None:
    with pytest.raises(setup.NamespaceError, match=r"x\.py:2: import what is a service's by"):
        setup.inside(b"import sys\nimport egress.native\n", "x.py")


def texts(source: bytes) -> set[str]:
    """The strings of a module, but for parts of an f-string: there ``common.PREFIX`` can stand before them."""
    nodes = list(ast.walk(ast.parse(source)))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    found = (node for node in nodes if isinstance(node, ast.Constant) and id(node) not in parts)
    return {node.value for node in found if isinstance(node.value, str)}


def test_the_product_is_what_a_wheel_has(setup: ModuleType) -> None:
    assert {setup.NAMESPACE, *setup.SERVICES} == set(PRODUCT)


@pytest.mark.thorough
def test_each_module_can_be_moved_and_names_no_other_in_a_string(setup: ModuleType) -> None:
    paths = [path for folder in (setup.NAMESPACE, *setup.SERVICES) for path in (ROOT / folder).rglob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    modules = {name for name in names if "." in name and not name.startswith("camshaft.")}
    named = {path: texts(setup.inside(path.read_bytes(), str(path))) & modules for path in paths}
    assert {str(path): found for path, found in named.items() if found} == {}
