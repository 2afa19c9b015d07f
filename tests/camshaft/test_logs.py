"""``camshaft logs -f`` beside processes that say something."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from camshaft.cli import cli
from common.claim import claimed_directory
from common.log_taps import FOLLOWERS, Taps
from tests.fakes.private_bus import private_endpoints

COMMAND = [sys.executable, "-m", "camshaft", "logs"]
ROOT = Path(__file__).parents[2]


@contextmanager
def following(*options: str, broker: bool = True) -> Iterator[tuple[subprocess.Popen[str], Taps]]:
    with private_endpoints() as endpoints, claimed_directory(endpoints), socket.socket(socket.AF_UNIX) as control:
        assert endpoints.directory is not None
        if broker:
            control.bind(endpoints.control.removeprefix("ipc://"))
            control.listen()
        command = [*COMMAND, "-f", *options, "--broker-address", endpoints.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True) as process:
            try:
                while not any((endpoints.directory / FOLLOWERS).glob("*.sock")):
                    assert process.poll() is None
                    time.sleep(0.02)
                yield process, Taps(endpoints.directory)
            finally:
                process.kill()


def say(taps: Taps, line: str) -> None:
    taps.emit(logging.LogRecord("x", logging.INFO, "", 0, line, None, None))


@pytest.mark.thorough
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_lines_are_shown_as_they_are_said(options: tuple[str, ...]) -> None:
    line = json.dumps({"event": "viewer joins", "camera": "yard", "level": "info", "timestamp": "2026-01-01T00:00:00Z"})
    with following(*options) as (process, taps):
        say(taps, line)
        assert process.stdout is not None
        shown = process.stdout.readline()
        if options:
            assert json.loads(shown)["camera"] == "yard"
        else:
            assert "viewer joins" in shown
            assert "camera=yard" in shown
        process.send_signal(signal.SIGTERM)  # SIGINT may be ignored where the tests run in the background
        assert process.wait(60) in (0, 1)
        taps.close()


@pytest.mark.thorough
def test_one_beside_no_broker_says_that_it_waits_and_follows_the_next() -> None:
    with following("--json", broker=False) as (process, taps):
        assert process.stderr is not None
        assert "no broker has its bus at" in process.stderr.readline()
        say(taps, "{}")
        assert process.stdout is not None
        assert process.stdout.readline() == "{}\n"
        taps.close()


@pytest.mark.thorough
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_follower_that_is_ended_leaves_nothing_behind(signum: signal.Signals) -> None:
    with following() as (process, taps):
        process.send_signal(signum)
        assert process.wait(60) == 0
        taps.close()
        assert not taps._directory.exists()


@pytest.mark.thorough
def test_one_whose_reader_has_had_enough_ends_without_a_word() -> None:
    with following("--json") as (process, taps):
        assert process.stdout is not None
        process.stdout.close()
        while process.poll() is None:
            say(taps, "{}")
            time.sleep(0.02)
        assert process.returncode == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        taps.close()


@pytest.mark.thorough
def test_a_line_that_is_none_of_ours_is_shown_as_it_is_and_does_nothing_to_the_terminal() -> None:
    odd = ["no JSON", "[1]", "[" * 100_000, '{"event": "x", "level": []}', "\x1b]0;title\x07"]
    with following() as (process, taps):
        for line in [*odd, json.dumps({"event": "last \x1b[2J", "\x1b": "\x1b"})]:
            say(taps, line)
        assert process.stdout is not None
        shown = [process.stdout.readline().rstrip("\n") for _ in range(6)]
        assert shown[:4] == odd[:4]
        assert shown[4] == "\\x1b]0;title\\x07"
        assert "last" in shown[5]
        assert "\x1b" not in shown[5]
        taps.close()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "journalctl -u camshaft"),
        (["-f", "--broker-address", "tcp://127.0.0.1:5550"], "each has its own log"),
        (["-f", "--broker-address", "ipc:///nowhere/at/all"], "there is no log to follow at /nowhere/at/all"),
    ],
)
def test_where_there_is_nothing_to_follow_that_is_said(options: list[str], sentence: str) -> None:
    result = CliRunner().invoke(cli, ["logs", *options])
    assert result.exit_code
    assert sentence in f"{result.output}{result.exception}"
