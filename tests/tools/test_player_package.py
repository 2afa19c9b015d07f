"""The player as an npm package: packed by npm, it has the scripts of the server's pages and no others."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import common

ROOT = Path(__file__).parents[2]
PACKAGE, WEB = ROOT / "packages/player", ROOT / "broker/web"
TYPES = {f"types/{name}.d.ts" for name in ("player", "react", "vue")}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The packed files by name."""
    if shutil.which("npm") is None:
        pytest.skip("npm is missing: apt install npm")
    home = tmp_path_factory.mktemp("package")
    shutil.copytree(PACKAGE, home / "packages/player", ignore=shutil.ignore_patterns("dist", "LICENSE", "*.tgz"))
    shutil.copytree(WEB, home / "broker/web")
    shutil.copy(ROOT / "LICENSE", home)
    command = ["npm", "pack", "--silent", "--offline", "--pack-destination", str(home)]
    subprocess.run(command, cwd=home / "packages/player", check=True, capture_output=True)
    [archive] = home.glob("*.tgz")
    with tarfile.open(archive) as tar:
        opened = {member.name.removeprefix("package/"): tar.extractfile(member) for member in tar}
        return {name: file.read().decode() for name, file in opened.items() if file is not None}


@pytest.mark.thorough
def test_the_scripts_are_those_of_the_server(packed: dict[str, str]) -> None:
    scripts = {name: text for name, text in packed.items() if name.startswith("dist/")}
    assert "dist/player.js" in scripts
    for name, text in scripts.items():
        assert text == (WEB / name.removeprefix("dist/")).read_text()
        for imported in re.findall(r'(?:from|import) "([^"]+)"', text):
            assert f"dist/{imported.removeprefix('./')}" in scripts, f"{name} imports {imported}"
    assert "dist/index.js" not in scripts, "the pages' own scripts are no part of it"


def test_nothing_else_is_packed(packed: dict[str, str]) -> None:
    others = {name for name in packed if not name.startswith(("dist/", "examples/"))}
    assert others == TYPES | {"package.json", "README.md", "LICENSE"}


@pytest.mark.thorough
def test_what_it_says_of_itself_is_there(packed: dict[str, str]) -> None:
    package = json.loads(packed["package.json"])
    assert package["version"] == common.__version__
    named = [target for entry in package["exports"].values() for target in entry.values()] + [package["types"]]
    assert {target.removeprefix("./") for target in named} <= packed.keys()
    assert "dependencies" not in package


def test_the_readme_names_all_attributes_and_events(packed: dict[str, str]) -> None:
    attributes = re.findall(r"^  (?:get )?(\w+)[?(]", (WEB / "attributes.js").read_text(), re.MULTILINE)
    known = {name for name in attributes if name not in ("connectedCallback", "attributeChangedCallback")}
    assert known == {"camera", "stream", "signalling", "server", "token", "autoconnect", "poster"}
    for name in known:
        assert f"`{name}`" in packed["README.md"]
    dispatched = set(re.findall(r'#dispatch\("(\w+)"', packed["dist/player.js"]))
    assert dispatched == set(re.findall(r"^  (\w+): CustomEvent", packed["types/player.d.ts"], re.MULTILINE))
    assert all(f"`{name}`" in packed["README.md"] for name in dispatched)


def test_the_types_know_each_state() -> None:
    script = (WEB / "player.js").read_text()
    comment = re.search(r"// (idle, .*)\n  state = ", script)
    assert comment is not None
    states = set(re.findall(r"\w+", re.sub(r"\([^)]*\)", "", comment[1])))
    types = (PACKAGE / "types/player.d.ts").read_text()
    assert set(re.findall(r'\| "(\w+)"', types.partition("PlayerState =")[2].partition(";")[0])) == states
    assert set(re.findall(r'#enter\("(\w+)"', script)) <= states
