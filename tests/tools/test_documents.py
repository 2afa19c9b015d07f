"""The documents name what is there."""

from __future__ import annotations

import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from common.config_leaves import leaves
from tests.fakes.sources import PACKAGES, PRODUCT, modules, source

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
DECISIONS = (ROOT / "docs/decisions.md").read_text()
MOST_WORDS = 40
MOST_LINES = 5  # of a decision
DATA = {
    "camshaft.yaml",
    "camshaft.db",
    "camshaft.db.damaged",
    "camshaft.db.keys",
    "camshaft.db.people",
    "camshaft.db.secret",
}  # files of the operator's
MADE = {"bench/results/", "ingest/x.py", "tests/ingest/test_x.py"}  # by the benchmark; and names that stand for any


def exists(name: str) -> bool:
    """Whether a dotted name is that of a module, or of something in one."""
    parts = name.split(".")
    paths = [ROOT.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)]
    count = max(at for at, path in enumerate(paths, 1) if path.is_dir() or path.with_suffix(".py").is_file())
    value: object = import_module(".".join(parts[:count])) if parts[count:] else None
    for each in parts[count:]:
        if not hasattr(value, each) and each not in getattr(value, "__annotations__", {}):
            return False
        value = getattr(value, each, None)
    return True


def anchors(page: Path) -> set[str]:
    """The names by which a link leads to a heading of the page."""
    heads = (line.lstrip("#").strip().lower() for line in page.read_text().splitlines() if line.startswith("#"))
    return {re.sub(r"[^\w -]", "", head).replace(" ", "-") for head in heads}


def leads_nowhere(page: Path, link: str) -> bool:
    """Whether a link of a page, relative to it, names a file or a heading that is not there."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or bool(anchor and target.suffix == ".md" and anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text())
    assert [link for link in links if leads_nowhere(page, link)] == []


def test_a_link_that_leads_nowhere_is_noticed() -> None:
    page = ROOT / "docs/limits.md"
    assert not leads_nowhere(page, "settings.md#limits")
    assert leads_nowhere(page, "settings.md#limit")
    assert leads_nowhere(page, "setings.md")


def test_a_name_that_is_nowhere_is_noticed() -> None:
    assert exists("egress.media.group.Lane.base")
    assert not exists("egress.media.group.Lane.basis")
    assert not exists("egress.fanout")


def test_each_name_in_a_recipe_is_in_the_code() -> None:
    """Private names and those in capitals, which nothing else holds to the code."""
    recipes = (ROOT / "docs/development.md").read_text()
    quoted = " ".join(re.findall(r"`([^`]+)`", recipes))
    names = set(re.findall(r"(?<!\w)(_[A-Za-z]\w+|[A-Z][A-Z_]{3,})(?!\w)", quoted))
    code = "\n".join(path.read_text() for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py"))
    code += (ROOT / "Makefile").read_text()
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_dotted_name_is_something(page: Path) -> None:
    names = set(re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`", page.read_text())) - DATA
    settings = {f"{leaf.section}.{leaf.key}" for leaf in leaves()}
    assert [name for name in sorted(names - settings) if not exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_file_of_the_repository_is_there(page: Path) -> None:
    folders = "|".join((*PACKAGES, "tests", "tools", "docs", "deploy"))
    paths = set(re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text())) - MADE
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_glossary_is_short_and_in_order() -> None:
    words = re.findall(r"^\| ([a-z ]+) \|.*\| `[\w.]+` \|$", ARCHITECTURE.partition("## Glossary")[2], re.MULTILINE)
    assert words
    assert words == sorted(words)
    assert len(words) <= MOST_WORDS


def test_a_word_of_the_glossary_is_the_name_of_one_class() -> None:
    named = set(re.findall(r"`[\w.]+\.([A-Z]\w+)(?:\.\w+)?` \|$", ARCHITECTURE, re.MULTILINE))
    paths = [path for path in modules(*PRODUCT) if path.name != "page_messages.py"]  # has the words of the page
    classes = Counter(name for path in paths for name, _ in source(path).classes)
    assert {name: classes[name] for name in named if classes[name] > 1} == {}


def test_each_decision_is_short() -> None:
    decisions = re.findall(r"^### (.+)\n((?:[^#\n].*\n)+)", DECISIONS, re.MULTILINE)
    assert len(decisions) == DECISIONS.count("\n### ")
    assert [title for title, text in decisions if text.count("\n") > MOST_LINES] == []


def test_the_contents_of_decisions_name_all_groups_in_order() -> None:
    listed = re.findall(r"^\| \[(.+?)\]\(#", DECISIONS, re.MULTILINE)
    assert listed == re.findall(r"^## (.+)$", DECISIONS, re.MULTILINE)
