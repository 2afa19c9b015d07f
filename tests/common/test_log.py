"""Logs: one line an event, in either style, and never a password."""

from __future__ import annotations

import json
import logging
import threading
import time

import pytest
import structlog

from common.errors import ConfigError
from common.log import LINES_A_MINUTE, MAX_VALUE, Quiet, configure, get_logger

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
def stderr(capsys: pytest.CaptureFixture[str]) -> Captured:
    return Captured(capsys)


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
    [SECRET_URL, [SECRET_URL], {"url": SECRET_URL}, ConfigError(SECRET_URL), SECRET_URL.encode(), Opaque()],
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


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_that_strangers_cause_are_summed_up_when_their_minute_is_over() -> None:
    clock = Clock()
    with structlog.testing.capture_logs() as logs:
        quiet = Quiet(get_logger(), clock, LINES_A_MINUTE)
        for number in range(1_000):
            clock.now = number / 100
            quiet.info("viewer left", number=number)
            quiet.info("viewer refused")
        clock.now = 59.0
        quiet.sweep()
        assert len(logs) == 2 * LINES_A_MINUTE
        clock.now = 61.0
        quiet.sweep()
        quiet.sweep()
    assert [entry["event"] for entry in logs[2 * LINES_A_MINUTE :]] == [
        f"{event}: and {1_000 - LINES_A_MINUTE} more in a minute" for event in ("viewer left", "viewer refused")
    ]
    with structlog.testing.capture_logs() as logs:
        quiet.info("viewer left")
        clock.now = 200.0
        quiet.sweep()
    assert [entry["event"] for entry in logs] == ["viewer left"]


def test_what_was_left_out_is_told_before_the_next_line_where_nobody_swept() -> None:
    clock = Clock()
    with structlog.testing.capture_logs() as logs:
        quiet = Quiet(get_logger(), clock)
        for _ in range(1_000):
            quiet.info("garbage", reason="x")
            quiet.warning("refused")
        clock.now = Quiet.INTERVAL
        quiet.info("garbage", reason="y")
        clock.now = 2 * Quiet.INTERVAL
        quiet.info("garbage", reason="z")
    assert [(entry["event"], entry.get("reason")) for entry in logs] == [
        ("garbage", "x"),
        ("refused", None),
        ("garbage: and 999 more in a minute", None),
        ("garbage", "y"),
        ("garbage", "z"),
    ]


def test_what_was_left_out_is_told_at_the_end() -> None:
    with structlog.testing.capture_logs() as logs:
        quiet = Quiet(get_logger(), lambda: 0.0)
        for _ in range(3):
            quiet.info("viewer left")
        quiet.flush()
        quiet.flush()
    assert [entry["event"] for entry in logs] == ["viewer left", "viewer left: and 2 more in a minute"]


def test_each_level_is_written_as_that() -> None:
    with structlog.testing.capture_logs() as logs:
        quiet = Quiet(get_logger())
        for level in ("info", "warning", "error"):
            for _ in range(2):
                getattr(quiet, level)(f"a line of {level}", number=1)
    assert logs == [
        {"event": f"a line of {level}", "number": 1, "log_level": level} for level in ("info", "warning", "error")
    ]


def test_lines_about_different_subjects_are_counted_apart() -> None:
    with structlog.testing.capture_logs() as logs:
        quiet = Quiet(get_logger(), lambda: 0.0, lines=2)
        for _ in range(5):
            for camera in ("door", "yard"):
                quiet.info("camera state", about=camera, camera=camera)
        quiet.flush()
    assert [entry["camera"] for entry in logs[:4]] == ["door", "yard"] * 2
    assert [(entry["event"], entry["about"]) for entry in logs[4:]] == [
        ("camera state: and 3 more in a minute", camera) for camera in ("door", "yard")
    ]


def test_lines_about_whatever_strangers_choose_are_bounded_in_all() -> None:
    """As those about addresses: somebody with a /48 has 65,536 networks of which each is one's own."""
    clock = Clock()
    with structlog.testing.capture_logs() as logs:
        quiet = Quiet(get_logger(), clock, lines=2, in_all=10)
        for minute in range(2):
            clock.now = minute * Quiet.INTERVAL
            for number in range(1_000):
                quiet.warning("access refused", about=f"2001:db8:{number:x}::")
            quiet.warning("another thing", about="2001:db8::")
        assert len(quiet._minutes) < 30, "nothing is kept of what is not written"
        quiet.flush()
    written = [entry["event"] for entry in logs]
    assert written.count("access refused") == 2 * 10
    assert written.count("access refused: and 990 more in a minute, about others") == 2
    assert written.count("another thing") == 2


def test_what_is_counted_apart_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quiet, "KINDS", 10)
    with structlog.testing.capture_logs() as logs:
        quiet = Quiet(get_logger(), lambda: 0.0)
        for number in range(100):
            for _ in range(2):
                quiet.info("camera state", about=str(number))
        assert len(quiet._minutes) == 10
        quiet.flush()
    assert len(logs) == 2 * 100  # none is lost by that


def test_what_strangers_say_is_not_told_at_any_length(style: str, stderr: Captured) -> None:
    configure("info", style)  # type: ignore[arg-type]
    get_logger().info("refused", reason="x" * 100_000, codecs=["y" * 100] * 1_000, number=1 << 100_000)
    logging.getLogger("library").warning("z" * 100_000)
    written = stderr.getvalue()
    assert "x" * MAX_VALUE in written
    assert len(written) < 4 * MAX_VALUE
    assert "(100000 characters)" in written


def test_what_strangers_say_does_nothing_to_a_terminal(style: str, stderr: Captured) -> None:
    """As the name of a camera in an address, say: clears the screen, sets its title, or writes a line of its own."""
    configure("info", style)  # type: ignore[arg-type]
    get_logger().info("refused", request="GET/\x1b[2J\x1b]0;x\x07\x9b31m", camera="a\nb\u202ec\udcff")
    logging.getLogger("library").warning("odd header: \x1b[2J\r\x1b[1A")
    written = stderr.getvalue()
    assert written.endswith("\n")
    assert all(each.isprintable() for each in written.splitlines())
    assert len(written.splitlines()) == 2
    assert "GET/" in written


def test_a_password_is_not_shown_because_its_url_is_cut(style: str, stderr: Captured) -> None:
    configure("info", style)  # type: ignore[arg-type]
    secret = "rtsp://admin:" + "hunter2" * MAX_VALUE + "@camera/stream"
    get_logger().info("refused", reason=secret)
    assert "hunter2" not in stderr.getvalue()


def test_libraries_write_few_lines_a_minute_from_each_place(stderr: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    configure("info", "json")
    library = logging.getLogger("library")
    for number in range(1_000):
        if number == 990:
            now[0] = 61.0
        library.warning("client %d has an odd header", number)
        get_logger().info("ours")
    library.error("another place")
    lines = [json.loads(line)["event"] for line in stderr.getvalue().splitlines()]
    odd = [line for line in lines if "odd header" in line]
    assert len(odd) == LINES_A_MINUTE + 10
    assert odd[LINES_A_MINUTE] == "client 990 has an odd header (and 960 more of this kind before)"
    assert lines.count("another place") == 1
    assert lines.count("ours") == 1_000
