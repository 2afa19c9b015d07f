"""Settings that a file holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.secret_file import MAX_BYTES, read_secret

VARIABLE = "CAMSHAFT_CLUSTER_SECRET_FILE"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_newline_at_the_end_is_not_part_of_it(file: Path, end: str) -> None:
    file.write_bytes(f" of this one\ncluster {end}".encode())
    assert read_secret(file, VARIABLE) == " of this one\ncluster "


@pytest.mark.parametrize(
    ("data", "problem"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "UTF-8"), (b"hunter2" * MAX_BYTES, "holds more than 64 kB")],
)
def test_a_file_that_holds_none_is_named(file: Path, data: bytes, problem: str) -> None:
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=problem) as caught:
        read_secret(file, VARIABLE)
    assert caught.value.where == VARIABLE
    assert str(file) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"secret cannot be read: No such file"):
        read_secret(file, VARIABLE)
    with pytest.raises(ConfigError, match="is not the path"):
        read_secret(Path("\0"), VARIABLE)
