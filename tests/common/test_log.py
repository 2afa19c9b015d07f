"""Logs: one line an event, in either style, and never a password."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator

import pytest
import structlog

from common.errors import ConfigError
from common.log import LINES_A_MINUTE, MAX_VALUE, Quiet, Sparing, configure, get_logger

SECRET_URL = "rtsp://admin:hunter2@camera/stream"


class Captured:
    """All that was written to standard error so far."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capture.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Captured]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Captured(capsys)
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture(params=["json", "text"])
def style(request: pytest.FixtureRequest) -> str:
    style: str = request.param
    return style


def test_json_line_holds_event_level_time_and_fields(stderr: Captured) -> None:
    configure("info", "json", node="egress-0")
    get_logger(camera="yard").info("viewer joined", session="s1", count=2)
    line = json.loads(stderr.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "viewer joined",
        "level": "info",
        "node": "egress-0",
        "camera": "yard",
        "session": "s1",
        "count": 2,
    }


def test_text_line_holds_the_same(stderr: Captured) -> None:
    configure("info", "text", node="egress-0")
    get_logger(camera="yard").warning("viewer joined", session="s1")
    for part in ("warning", "viewer joined", "node=egress-0", "camera=yard", "session=s1"):
        assert part in stderr.getvalue()
    assert stderr.getvalue().count("\n") == 1


def test_auto_is_json_where_no_person_looks(stderr: Captured) -> None:
    configure()
    get_logger().info("hello")
    assert json.loads(stderr.getvalue())["event"] == "hello"


def test_level_is_the_least_that_is_shown(stderr: Captured) -> None:
    configure("warning", "json")
    get_logger().info("no")
    logging.getLogger("library").info("no")
    get_logger().warning("yes")
    assert [json.loads(line)["event"] for line in stderr.getvalue().splitlines()] == ["yes"]


def test_chatty_libraries_are_kept_quiet(stderr: Captured) -> None:
    configure("debug", "json")
    logging.getLogger("aioice.ice").info("no")
    logging.getLogger("aiortc.rtcdtlstransport").debug("no")
    assert not stderr.getvalue()


def test_fields_of_the_process_are_in_lines_of_threads_and_libraries_too(stderr: Captured) -> None:
    configure("info", "json", node="egress-0")
    thread = threading.Thread(target=lambda: get_logger().info("from a thread"))
    thread.start()
    thread.join()
    logging.getLogger("library").info("from %s", "a library")
    lines = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert [(line["event"], line["node"]) for line in lines] == [
        ("from a thread", "egress-0"),
        ("from a library", "egress-0"),
    ]


def test_line_of_a_subject_may_name_another_node(stderr: Captured) -> None:
    configure("info", "json", node="broker")
    get_logger(node="egress-0").info("gone")
    assert json.loads(stderr.getvalue())["node"] == "egress-0"


class Opaque:
    """Shows its URL only when asked for its ``repr``."""

    def __str__(self) -> str:
        return "opaque"

    def __repr__(self) -> str:
        return f"Opaque({SECRET_URL})"


@pytest.mark.parametrize(
    "value",
    [SECRET_URL, [SECRET_URL], {"url": SECRET_URL}, ConfigError("", "", SECRET_URL), SECRET_URL.encode(), Opaque()],
    ids=lambda value: type(value).__name__,
)
def test_no_value_shows_a_password(stderr: Captured, style: str, value: object) -> None:
    configure("info", style)  # type: ignore[arg-type]  # one of the literals
    get_logger(bound=value).info("pulling", value=value)
    get_logger().info("pulling %s", value)
    logging.getLogger("library").info("pulling %s", value)
    assert "pulling" in stderr.getvalue()
    assert "hunter2" not in stderr.getvalue()


def test_no_traceback_shows_a_password(stderr: Captured, style: str) -> None:
    configure("info", style)  # type: ignore[arg-type]  # one of the literals
    try:
        int(SECRET_URL)
    except ValueError:
        get_logger().exception("failed")
        logging.getLogger("library").exception("failed")
    assert stderr.getvalue().count("with base 10: 'rtsp://***@camera/stream'") == 2
    assert "hunter2" not in stderr.getvalue()


def test_json_stays_one_line_whatever_a_camera_says(stderr: Captured) -> None:
    configure("info", "json")
    get_logger().info("connected", server='Cam\r\n{"event": "forged"}\x1b[2J')
    assert len(stderr.getvalue().splitlines()) == 1


def test_lines_that_strangers_cause_are_summed_up() -> None:
    with structlog.testing.capture_logs() as logs:
        said = Sparing(get_logger())
        for number in range(1_000):
            said.info("viewer left", now=number / 100, number=number)
            said.info("viewer refused", now=number / 100)
        said.sweep(59.0)
        assert len(logs) == 2 * LINES_A_MINUTE
        said.sweep(60.0)
        said.sweep(61.0)
    assert [entry["event"] for entry in logs[2 * LINES_A_MINUTE :]] == [
        f"{event}: and {1_000 - LINES_A_MINUTE} more in the last minute" for event in ("viewer left", "viewer refused")
    ]
    with structlog.testing.capture_logs() as logs:
        said.info("viewer left", now=62.0)
        said.sweep(200.0)
    assert [entry["event"] for entry in logs] == ["viewer left"]


def test_the_next_line_tells_of_those_left_out_before() -> None:
    with structlog.testing.capture_logs() as logs:
        said = Sparing(get_logger())
        for second in range(LINES_A_MINUTE + 2):
            said.info("viewer left", now=second / 10)
        said.info("viewer left", now=100.0)
    assert [entry["event"] for entry in logs[LINES_A_MINUTE:]] == [
        "viewer left: and 2 more in the last minute",
        "viewer left",
    ]


def test_what_strangers_say_is_not_told_at_any_length(style: str, stderr: Captured) -> None:
    configure("info", style)  # type: ignore[arg-type]
    get_logger().info("refused", reason="x" * 100_000, codecs=["y" * 100] * 1_000, number=1 << 100_000)
    logging.getLogger("library").warning("z" * 100_000)
    written = stderr.getvalue()
    assert "x" * MAX_VALUE in written
    assert len(written) < 4 * MAX_VALUE
    assert "(100000 characters)" in written


def test_a_password_is_not_shown_because_its_url_is_cut(style: str, stderr: Captured) -> None:
    configure("info", style)  # type: ignore[arg-type]
    secret = "rtsp://admin:" + "hunter2" * MAX_VALUE + "@camera/stream"
    get_logger().info("refused", reason=secret)
    assert "hunter2" not in stderr.getvalue()


def test_lines_about_different_subjects_are_summed_up_separately(stderr: Captured) -> None:
    configure("info", "json")
    quiet = Quiet(get_logger(), lambda: 0.0, lines=2)
    for _ in range(5):
        for camera in ("door", "yard"):
            quiet.info("camera state", about=camera, camera=camera)
    lines = [json.loads(line)["camera"] for line in stderr.getvalue().splitlines()]
    assert lines == ["door", "yard"] * 2


def test_quiet_lines_are_summed_up_by_the_next_of_their_kind(stderr: Captured) -> None:
    configure("info", "json")
    now = [0.0]
    quiet = Quiet(get_logger(), lambda: now[0])
    for _ in range(1_000):
        quiet.info("garbage", reason="x")
        quiet.warning("refused")
    now[0] = Quiet.INTERVAL
    quiet.info("garbage", reason="y")
    now[0] = 2 * Quiet.INTERVAL
    quiet.info("garbage", reason="z")
    lines = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert [(line["event"], line.get("reason"), line.get("more")) for line in lines] == [
        ("garbage", "x", None),
        ("refused", None, None),
        ("garbage", "y", 999),
        ("garbage", "z", None),
    ]
