"""Mistakes in a configuration file are told in words of ours: where, at which key, and what is allowed there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.config import Config
from common.config_cameras import CameraConfig, TlsConfig
from common.config_file import load
from common.config_leaves import leaves
from common.errors import ConfigError
from tests.fakes.config_file import Writer, leaf


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "camshaft.yaml")


# What is wrong: (file, line, key, words that the message must hold)
MISTAKES = [
    ("htpp: {}", 1, "htpp", ["unknown key; did you mean http?", "allowed here: cameras, http, "]),
    ("zzz: {}", 1, "zzz", ["unknown key; allowed here: cameras, http, "]),
    ("http:\n  listn: x", 2, "http.listn", ["unknown key", "allowed here: listen"]),
    ("cameras:\n  a:\n    ulr: rtsp://x", 3, "cameras.a.ulr", ["unknown key", "url, transport"]),
    ("cameras:\n  a: {transport: tcp}", 2, "cameras.a.url", ["is missing", "Address"]),
    ("cameras:\n  a:\n    url: rtsp://x\n    x: 1", 4, "cameras.a.x", ["allowed here: url, transport"]),
    ("cameras:\n  a:\n    url: rtsp://x\n    tls: {x: 1}", 4, "cameras.a.tls.x", ["allowed here: verify"]),
    ("cameras:\n  a: {url: ftp://x}", 2, "cameras.a.url", ["must start with rtsp://"]),
    ("cameras:\n  a: {url: file:///x}", 2, "cameras.a.url", ["add file to sources.allow", "rtsp, rtsps, http, https"]),
    (
        "cameras:\n  a:\n    url: rtsp://x\n    streams: {sub: {url: rtmp://x/}}",
        4,
        "cameras.a.streams.sub.url",
        ["add rtmp to sources.allow"],
    ),
    ("sources: {allow: [rtsp]}\ncameras:\n  a: {url: http://x}", 3, "cameras.a.url", ["add http to sources.allow"]),
    ("sources: {allow: [ftp]}", 1, "sources.allow.0", ["must be one of: rtsp, rtsps"]),
    ("cameras:\n  a: {url: 'rtsp://'}", 2, "cameras.a.url", ["rtsp://host[:port]", "user:password@"]),
    ("cameras:\n  a: {url: 'rtsp://h/a b'}", 2, "cameras.a.url", ["without spaces"]),
    ("cameras:\n  a: rtsp://x", 2, "cameras.a", ["must consist of keys and values; allowed: url", "a: {url: 'rtsp"]),
    ("cameras:\n  a:\n", 2, "cameras.a", ["must consist of keys and values"]),
    ("cameras:\n  a b: {url: rtsp://x}", 2, "cameras.a b", ["1 to 64 letters"]),
    ("cameras: [1]", 1, "cameras", ["must consist of keys and values", "below its name, such as front: {url:"]),
    ("cameras:\n  a: {url: rtsp://x, transport: quic}", 2, "cameras.a.transport", ["must be one of: auto, tcp, udp"]),
    ("cameras:\n  a: {url: rtsp://x, keep_after: -1}", 2, "cameras.a.keep_after", ["must be 0 or more"]),
    ("cameras:\n  a: {url: rtsp://x, keep_after: .nan}", 2, "cameras.a.keep_after", ["0"]),
    ("cameras:\n  a: {url: rtsp://x, tls: {fingerprint: abc}}", 2, "cameras.a.tls.fingerprint", ["64 hexadecimal"]),
    ("\n\nmedia:\n  port: many", 4, "media.port", ["whole number", "First UDP port"]),
    ("media: {port: 70000}", 1, "media.port", ["65535"]),
    ("media: {port: yes}", 1, "media.port", ["whole number"]),
    ("media: {tcp: maybe}", 1, "media.tcp", ["on, off or the number of a port"]),
    ("media: {tcp: 70000}", 1, "media.tcp", ["65535"]),
    ("media: {advertise: ['stun:a b']}", 1, "media.advertise.0", ["stun:HOST"]),
    ("media: {advertise: 'https://cams.example/'}", 1, "media.advertise.0", ["without https:// and without a port"]),
    ("media: {advertise: ['192.0.2.7:8189']}", 1, "media.advertise.0", ["without https:// and without a port"]),
    ("cameras:\n\u00a0 a: {url: rtsp://h/}", 2, "\u00a0 a", ["special space", "retype the spaces"]),
    ("media: {advertise: 'stun:8555'}", 1, "media.advertise.0", ["names no server", "stun:stun.example.org"]),
    ("media: {advertise: ['::']}", 1, "media.advertise.0", ["not an address of any machine"]),
    ("media: {advertise: 1.2}", 1, "media.advertise", ["such as [192.0.2.7,"]),
    ("media:\n  advertise:\n  - a\n  - [b]", 4, "media.advertise.1", ["must be text"]),
    ("http: {listen: 8080}", 1, "http.listen", ["HOST:PORT"]),
    ("http: {listen: host}", 1, "http.listen", ["HOST:PORT"]),
    ("http: {listen: 'host:99999'}", 1, "http.listen", ["HOST:PORT"]),
    ("http: text", 1, "http", ["must consist of keys and values; allowed: listen"]),
    ("log: {level: loud}", 1, "log.level", ["debug, info, warning, error"]),
    ("http: {}\nhttp: {}", 2, "http", ["given twice"]),
    ("cameras:\n  a: {url: rtsp://x}\n  a: {url: rtsp://y}", 3, "cameras.a", ["given twice"]),
    ("http: {\n", 2, "", ["not valid YAML"]),
    ("http: *nowhere", 1, "", ["not valid YAML", "undefined alias"]),
    ("http: !!python/name:os.system x", 1, "", ["not valid YAML"]),
    ("a: 1\n---\nb: 2", 2, "", ["not valid YAML"]),
    ("\thttp: {}", 1, "", ["never with a tab"]),
    ("cameras:\n\ta: {url: rtsp://x}", 2, "", ["never with a tab"]),
    ("cameras:\n  a: {url: !secret door}", 2, "", ["tags such as !secret are not supported"]),
    ("cameras:\n  a:\n    url: @x", 3, "", ["in quotes"]),
    ("cameras:\n  a:\n    url: rtsp://x\n   transport: tcp", 4, "", ["check the indentation"]),
    ("cameras:\n  a:\n    name: front: door", 3, "", ["in quotes"]),
    ("[cameras]\nfront=rtsp://x", 2, "", ["each line needs a key, a colon and a value"]),
    ("cameras:\n  a: {url: 'rtsp://x}\n", 3, "", ["is not closed"]),
    ("? [a, b]\n: 1", 1, "", ["a key must be plain text"]),
]


@pytest.mark.parametrize(("text", "line", "key", "words"), MISTAKES)
def test_mistake_is_named_with_line_key_and_what_is_allowed(
    write: Writer, text: str, line: int, key: str, words: list[str]
) -> None:
    error = write.error(text)
    assert (error.where, error.key) == (write.line(line), key), str(error)
    for word in words:
        assert word in error.problem, str(error)


@pytest.mark.parametrize(
    ("text", "problem"), [("- a\n- b", "must consist of keys and values"), ("[" * 1_000, "not valid YAML")]
)
def test_mistake_of_the_whole_file(write: Writer, text: str, problem: str) -> None:
    assert problem in str(write.error(text))


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml", environ={})
    (tmp_path / "latin1.yaml").write_bytes(b"http: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(tmp_path / "latin1.yaml", environ={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, environ={})


@pytest.mark.parametrize("text", ["http: &a {listen: *a}", "&a cameras: &b {x: *b}", "&top\nhttp: *top"])
def test_alias_to_itself_is_an_error_not_a_hang(write: Writer, text: str) -> None:
    write.error(text)


@pytest.mark.thorough
def test_aliases_that_explode_are_an_error_not_a_hang(write: Writer) -> None:
    laughs = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert write.error("\n".join(laughs)).problem.startswith("unknown key")


def test_mistake_in_a_variable_names_the_variable(write: Writer) -> None:
    error = write.error("media: {port: 5}", {"CAMSHAFT_MEDIA_PORT": "five"})
    assert (error.where, error.key) == ("CAMSHAFT_MEDIA_PORT", "media.port")
    error = write.error("", {"CAMSHAFT_CAMERA": "ftp://x"})
    assert (error.where, error.key) == ("CAMSHAFT_CAMERA", "cameras.camera.url")


def test_misspelt_key_is_named_and_not_what_it_stands_for(write: Writer) -> None:
    error = write.error("cameras:\n  door:\n    uri: rtsp://host/\nmedia: {port: x}")
    assert (error.where, error.key) == (write.line(3), "cameras.door.uri")
    assert error.problem == (
        "unknown key; did you mean url? "
        "allowed here: url, transport, on_demand, keep_after, one_session, tls, streams, name, group, order"
    )


def test_camera_name_that_is_wrong_is_told_the_rule(write: Writer) -> None:
    assert write.error("cameras: {-x: {url: 'rtsp://h/'}}").problem == (
        "a camera's name has 1 to 64 letters, digits, '.', '_' or '-', and starts with a letter or digit"
    )


def test_what_is_no_list_is_told_how_one_looks(write: Writer) -> None:
    error = write.error("media:\n  advertise: 192.0")
    assert (error.where, error.key) == (write.line(2), "media.advertise")
    assert error.problem == "must be text or a list of it, such as [192.0.2.7, cameras.example.org]"


@pytest.mark.parametrize(
    "host", ["https://cam.example.org", "cam.example.org:8443", "cam.example.org/", "[::1]:80", ""]
)
def test_published_name_that_could_never_match_is_refused(write: Writer, host: str) -> None:
    error = write.error(f"http:\n  hosts:\n  - '{host}'")
    assert (error.where, error.key) == (write.line(3), "http.hosts.0")
    assert "without https:// and without a port" in error.problem


@pytest.mark.parametrize(
    "server",
    ["stun.example.org", "turn:@turn.example.org", "stun:u:hunter2@h", "http://h", "turn:u:hunter2@h/?x", "stun:"],
)
def test_ice_server_that_is_wrong_is_told_the_form(write: Writer, server: str) -> None:
    error = write.error(f"http:\n  ice_servers: ['{server}']")
    assert (error.where, error.key) == (write.line(2), "http.ice_servers.0")
    assert "must be stun:HOST:PORT, turn:HOST:PORT or turn:USER:PASSWORD@HOST:PORT" in error.problem
    assert "hunter2" not in str(error)


def test_mistake_in_an_option_names_the_option() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {leaf("--media-port"): "five"}, {})
    assert caught.value.where == "--media-port"


@pytest.mark.parametrize(
    "text",
    [
        "cameras: {a: {url: 'ftp://u:hunter2@h/'}}",
        "cameras: {a: {url: 'rtmp://u:hunter2@h/'}}",
        "cameras: {a: {url: 'rtsp://u:hunter2 @h/'}}",
        "cameras: {'rtsp://u:hunter2@h': {}}",
        "cameras: {a: 'rtsp://u:hunter2@h'}",
        "cameras: {a: {url: rtsp://x, 'rtsp://u:hunter2@h': 1}}",
        "cameras: {a: {url: rtsp://x, transport: 'rtsp://u:hunter2@h'}}",
        "'rtsp://u:hunter2@h': 1\n'rtsp://u:hunter2@h': 2",
        "cluster: {secret: [hunter2]}",
        "cluster: {secret: hunter2}",
    ],
)
def test_no_mistake_shows_a_password(write: Writer, text: str) -> None:
    assert "hunter2" not in str(write.error(text))
    assert "hunter2" not in repr(write.error(text))


@pytest.mark.parametrize("secret", ["...", " ", "x" * 15])
def test_a_secret_that_is_guessed_is_refused(write: Writer, secret: str) -> None:
    assert "cluster.secret: must have 16 characters or more" in str(write.error(f"cluster: {{secret: '{secret}'}}"))


YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cameras", "url", "http", "listen", "tls", "media", "port", "advertise", "a"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(value=YAML_VALUES)
def test_any_document_loads_or_is_a_config_error(value: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    import yaml

    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), "utf-8")
    with contextlib.suppress(ConfigError):
        load(path, environ={})


@given(text=st.text(st.sampled_from("{}[]:,-?&*!|>'\"%@`#\n\t ab1~"), max_size=30))
def test_any_text_loads_or_is_a_config_error(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, "utf-8")
    with contextlib.suppress(ConfigError):
        load(path, environ={})


VALUES = [None, True, 5, 1.5, -1, 10**30, float("inf"), float("nan"), "x", "", [], [None], [1], {}, {"a": 1}, {"a": {}}]
FOREIGN = re.compile(
    r"[Ii]nput should|valid (string|number|integer|boolean)|unable to|<class|\bNone\b|\bTrue\b|\bFalse\b"
)


def every_place() -> Iterator[tuple[str, ...]]:
    """Every key of the model, and its sections."""
    yield from (("cameras",), ("cameras", "door"), ("cameras", "door", "tls"))
    yield from (("cameras", "door", key) for key in CameraConfig.model_fields)
    yield from (("cameras", "door", "tls", key) for key in TlsConfig.model_fields)
    yield from ((section,) for section in Config.model_fields)
    yield from ((leaf.section, leaf.key) for leaf in leaves())


def mistake_in(write: Writer, text: str) -> str:
    """The problem with it, without the place; empty if nothing is wrong."""
    try:
        write.load(text)
    except ConfigError as exc:
        return str(exc).removeprefix(exc.where)
    return ""


@pytest.mark.thorough
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_every_mistake_is_told_in_words_of_ours(write: Writer, value: object) -> None:
    for place in every_place():
        document: Any = {"cameras": {"door": {"url": "rtsp://host/"}}}
        section = document
        for key in place[:-1]:
            section = section.setdefault(key, {})
        section[place[-1]] = value
        error = mistake_in(write, yaml.safe_dump(document))
        assert not FOREIGN.search(error), error
        assert "is not allowed here" not in error


@pytest.mark.parametrize(
    "text", ["media: {port: 2001-99-99}", f"media: {{port: {'9' * 5_000}}}"], ids=["date", "digits"]
)
def test_what_yaml_itself_cannot_read_is_an_error_of_ours(write: Writer, text: str) -> None:
    assert "cannot be read" in write.error(text).problem


def test_a_key_without_end_is_cut(write: Writer) -> None:
    assert len(str(write.error(f"media: {{{'x' * 900}: 1}}"))) < 600


def test_a_file_of_another_program_is_told_what_to_do(write: Writer) -> None:
    error = write.error("api:\n  listen: :1984\nstreams:\n  door: rtsp://u:hunter2@h/")
    assert (error.where, error.key) == (write.line(1), "api")
    assert error.problem == (
        "unknown key: this is go2rtc's or MediaMTX's; Camshaft calls it `http`; "
        "`camshaft import FILE` converts such a file"
    )
