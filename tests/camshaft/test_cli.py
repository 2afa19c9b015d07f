"""The command line: what it understands, what it passes on, and what a mistake gets."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from camshaft import beginning
from camshaft import serve as serve_module
from camshaft.camera import camera
from camshaft.cli import cli
from camshaft.options import Given
from camshaft.workers import KINDS
from common.config_leaves import leaves
from common.errors import AddressInUseError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, environ: dict[str, str] | None = None, text: str = "") -> Result:
    return CliRunner().invoke(cli, arguments, env=environ, input=text, prog_name="camshaft")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of ``serve``, which are kept in place of serving."""
    calls: list[dict[str, Any]] = []

    def serve(given: Given, _main: object, *, demo: bool | None) -> int:
        calls.append({"config": given.config(), "demo": demo})
        return 0

    monkeypatch.setattr(serve_module, "serve", serve)
    return calls


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nodes that a worker command was about to run as."""
    nodes: list[str] = []
    monkeypatch.setattr(beginning, "run_process", lambda node, config, main, **_: nodes.append(node))
    return nodes


@pytest.mark.thorough
def test_every_command_has_help_and_none_imports_a_service() -> None:
    """Help is asked for in a hurry; the services take a second to import."""
    commands = [[], ["serve"], ["demo"], ["broker"], ["ingest"], ["egress"], ["camera"], ["camera", "add"], ["probe"]]
    script = (
        "import sys\nfrom camshaft.cli import cli\n"
        f"for command in {commands!r}:\n"
        "    try: cli([*command, '--help'])\n"
        "    except SystemExit as exc: assert exc.code == 0\n"
        "assert not {'zmq', 'aiohttp', 'av', 'broker', 'ingest', 'egress'} & set(sys.modules), sys.modules.keys()\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_version() -> None:
    assert run("--version").output == "camshaft, version 0.1.0\n"


def test_serve_has_an_option_for_every_leaf_with_its_description_and_variable() -> None:
    command = cli.commands["serve"]
    options = {option: parameter for parameter in command.params for option in parameter.opts}
    for leaf in leaves():
        option = options[leaf.option]
        assert isinstance(option, click.Option)
        assert leaf.field.description is not None
        assert (option.help or "").startswith(leaf.field.description)
        assert leaf.variable in (option.help or "")


@pytest.mark.parametrize(
    ("command", "sections"),
    [
        ("broker", {"http", "auth", "jwt", "oidc", "broker", "cluster", "limits", "sources", "store", "log"}),
        ("ingest", {"sources", "broker", "cluster", "drain", "limits", "log"}),
        ("egress", {"media", "broker", "cluster", "drain", "limits", "log"}),
    ],
)
def test_workers_have_the_options_that_concern_them(command: str, sections: set[str]) -> None:
    options = {option for parameter in cli.commands[command].params for option in parameter.opts}
    assert {leaf.section for leaf in leaves() if leaf.option in options} == sections


def test_options_beat_variables_beat_the_file(served: list[dict[str, Any]]) -> None:
    Path("camshaft.yaml").write_text("media: {port: 1, advertise: [a]}\nhttp: {listen: ':1'}\nlog: {level: debug}")
    environ = {"CAMSHAFT_MEDIA_PORT": "2", "CAMSHAFT_HTTP_LISTEN": ":2"}
    result = run("serve", "--media-port", "3", "--media-advertise", "b", "--media-advertise", "c", environ=environ)
    assert (result.exit_code, result.output) == (0, "")
    (call,) = served
    assert call["demo"] is False
    config = call["config"]
    assert (config.media.port, config.media.advertise, config.http.listen) == (3, ("b", "c"), ":2")
    assert config.log.level == "debug"


def test_empty_option_counts_as_not_given(served: list[dict[str, Any]]) -> None:
    Path("camshaft.yaml").write_text("media: {port: 1, listen: 127.0.0.1, advertise: [a]}")
    run("serve", "--media-port", "", "--media-listen", "")
    media = served[0]["config"].media
    assert (media.port, media.listen, media.advertise) == (1, "127.0.0.1", ("a",))


def test_file_is_named_by_option_or_variable(served: list[dict[str, Any]]) -> None:
    Path("a.yaml").write_text("media: {port: 1}")
    Path("b.yaml").write_text("media: {port: 2}")
    Path("camshaft.yaml").write_text("media: {port: 3}")
    run("serve", "--config", "a.yaml", environ={"CAMSHAFT_CONFIG": "b.yaml"})
    run("serve", environ={"CAMSHAFT_CONFIG": "b.yaml"})
    run("serve")
    assert [call["config"].media.port for call in served] == [1, 2, 3]


def test_cameras_are_added_to_those_of_the_environment(served: list[dict[str, Any]]) -> None:
    run("serve", "--camera", "yard=rtsp://yard/", environ={"CAMSHAFT_CAMERA": "rtsp://a/"})
    assert list(served[0]["config"].cameras) == ["camera", "yard"]


@pytest.mark.parametrize(("arguments", "demo"), [(["demo"], True), (["serve", "--demo-if-none"], None)])
def test_demo(served: list[dict[str, Any]], arguments: list[str], demo: bool | None) -> None:
    run(*arguments)
    assert served[0]["demo"] is demo


@pytest.mark.parametrize("command", ["serve", "demo", "broker", "relay", "ingest", "egress", "demo-camera"])
def test_mistake_in_the_configuration_is_one_sentence_and_exit_code_2(command: str) -> None:
    Path("camshaft.yaml").write_text("http:\n  listn: x")
    result = run(command)
    assert result.exit_code == 2
    assert result.output == (
        "camshaft: camshaft.yaml, line 2: http.listn: unknown key; did you mean listen? allowed here: listen, hosts, "
        "trusted_proxies, base_path, ice_servers, turn_secret, turn_hours, tls_cert, tls_key, redirect_from\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--config", "none.yaml"], "camshaft: none.yaml: cannot be read: No such file or directory\n"),
        (["serve", "--media-port", "many"], "camshaft: --media-port: media.port: must be a whole number"),
        (["egress", "--node", "a b"], "camshaft: --node: a node's name has 1 to 64"),
        (["egress", "--node", "relay"], "camshaft: --node: 'relay' is the media relay's name; choose another"),
        (["demo-camera", "--size", "large"], "camshaft: --size: 'large' is not WIDTHxHEIGHT"),
        (["demo-camera", "--size", "321x200"], "camshaft: --size: '321x200' is not WIDTHxHEIGHT"),
        (["demo-camera", "--listen", "8554"], "camshaft: --listen: must be HOST:PORT"),
        (["demo-camera", "--fps", "0"], "Error: Invalid value for '--fps'"),
        (["camera", "list", "--api", "127.0.0.1:8080"], "camshaft: --api: 127.0.0.1:8080 is not an address like"),
        (["camera", "add", "yard", "-"], "camshaft: standard input: holds no URL\n"),
        (["camera", "add", "yard"], "Error: Missing argument 'URL'"),
        (["serve", "--no-such-option"], "Error: No such option"),
    ],
)
def test_mistake_on_the_command_line(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_port_in_use_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(given: Given, _main: object, *, demo: bool | None) -> int:
        raise AddressInUseError("http", "127.0.0.1:8080", "--http-listen")

    monkeypatch.setattr(serve_module, "serve", taken)
    result = run("serve")
    assert result.exit_code == 3
    assert result.output.startswith("camshaft: http: 127.0.0.1:8080 is in use by another program;")


@pytest.mark.parametrize("command", [kind.role.value for kind in KINDS])
def test_node_is_named_or_made_up(started: list[str], command: str) -> None:
    pytest.importorskip(f"{command}.worker")
    assert run(command, "--node", "n-1").exit_code == 0
    assert run(command, environ={"CAMSHAFT_NODE": "n-2"}).exit_code == 0
    assert run(command).exit_code == 0
    assert started[:2] == ["n-1", "n-2"]
    assert started[2].startswith(f"{command}-")


# Cameras of a running broker


class FakeApi:
    """Answers requests of the command line; keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.status = 200
        self.answer: Any = None
        self.address = ""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fake.requests.append((self.command, self.path, json.loads(body) if body else None))
            answer = b"" if fake.answer is None else json.dumps(fake.answer).encode()
            self.send_response(fake.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _handle  # noqa: N815 - as http.server calls them

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield fake
        server.shutdown()
        thread.join()


CAMERAS = [
    {
        "id": "front-door",
        "url": "rtsp://***@10.0.0.9/s",
        "state": "playing",
        "viewers": 12,
        "tracks": [{"codec": "H264", "name": "H.264"}, {"codec": "opus"}],
        "failed": False,
    },
    {
        "id": "yard",
        "url": "rtsp://yard/",
        "state": "unauthorized",
        "viewers": 0,
        "tracks": [],
        "failed": True,
        "sentence": "The camera refused the user name or password.",
        "detail": "401",
    },
]


def test_cameras_are_listed_as_a_table(api: FakeApi) -> None:
    api.answer = CAMERAS
    result = run("camera", "list", environ={"CAMSHAFT_API": api.address + "/"})
    assert api.requests == [("GET", "/api/cameras", None)]
    assert result.output.splitlines() == [
        "NAME        STATE         TRACKS      VIEWERS  URL",
        "front-door  playing       H.264+opus  12       rtsp://***@10.0.0.9/s",
        "yard        unauthorized  -           0        rtsp://yard/",
        "yard: The camera refused the user name or password. 401",
    ]


def test_what_a_camera_says_does_nothing_to_the_terminal(api: FakeApi) -> None:
    api.answer = [{**CAMERAS[1], "detail": "401 \x1b[2J\x1b]0;owned\x07"}]
    said = run("camera", "list", "--api", api.address).output
    assert "401 \\x1b[2J" in said
    api.status, api.answer = 422, {"detail": "url: \x1b[31mred\nforged"}
    said += run("camera", "list", "--api", api.address).output
    assert "\x1b" not in said
    assert "\nforged" not in said


def test_cameras_are_listed_for_programs(api: FakeApi) -> None:
    api.answer = CAMERAS
    assert json.loads(run("camera", "list", "--json", "--api", api.address).output) == CAMERAS


def test_no_cameras(api: FakeApi) -> None:
    api.answer = []
    assert run("camera", "list", "--api", api.address).output.startswith("There are no cameras; add one")


@pytest.mark.parametrize(
    ("arguments", "environ", "text"),
    [
        (["rtsp://h/"], {}, ""),
        (["-"], {}, "rtsp://h/\n"),
        ([], {"CAMSHAFT_URL": "rtsp://h/"}, ""),
    ],
)
def test_camera_is_added(api: FakeApi, arguments: list[str], environ: dict[str, str], text: str) -> None:
    api.status, api.answer = 201, {"id": "yard"}
    result = run("camera", "add", "yard", *arguments, "--api", api.address, environ=environ, text=text)
    assert (result.exit_code, result.output) == (0, "Camera yard is added.\n")
    assert api.requests == [("POST", "/api/cameras", {"id": "yard", "url": "rtsp://h/"})]


def test_camera_is_added_with_everything(api: FakeApi) -> None:
    api.status, api.answer = 201, {"id": "yard"}
    options = ["--transport", "udp", "--on-demand", "--keep-after", "5", "--no-tls-verify", "--tls-legacy"]
    options += ["--tls-fingerprint", "ab", "--sub", "rtsps://h/sub", "--json"]
    result = run("camera", "add", "yard", "rtsps://h/", "--api", api.address, *options)
    assert json.loads(result.output) == {"id": "yard"}
    assert api.requests[0][2] == {
        "id": "yard",
        "url": "rtsps://h/",
        "transport": "udp",
        "on_demand": True,
        "keep_after": 5.0,
        "tls": {"verify": False, "legacy": True, "fingerprint": "ab"},
        "streams": {"sub": {"url": "rtsps://h/sub"}},
    }


def test_whatever_can_be_said_of_a_new_camera_can_be_changed() -> None:
    add, edit = ({each.name for each in camera.commands[name].params} for name in ("add", "edit"))
    assert add - edit == {"as_json"}
    assert edit <= add


def test_camera_is_removed(api: FakeApi) -> None:
    api.status = 204
    result = run("camera", "remove", "a/b", "--api", api.address)
    assert (result.exit_code, result.output) == (0, "Camera a/b is removed.\n")
    assert api.requests == [("DELETE", "/api/cameras/a%2Fb", None)]


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (404, {"detail": "There is no camera yard."}, "camshaft: There is no camera yard.\n"),
        (500, "oops", "camshaft: the broker answered 500 Internal Server Error\n"),
        (502, {"x": 1}, "camshaft: the broker answered 502 Bad Gateway\n"),
    ],
)
def test_errors_of_the_api_are_sentences(api: FakeApi, status: int, answer: object, said: str) -> None:
    api.status, api.answer = status, answer
    result = run("camera", "remove", "yard", "--api", api.address)
    assert (result.exit_code, result.output) == (1, said)


def test_broker_that_is_not_there() -> None:
    result = run("camera", "list", "--api", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert result.output == (
        "camshaft: no answer from http://127.0.0.1:9 (Connection refused); is camshaft running there? "
        "--api names another address\n"
    )


def test_misspelt_variable_ends_any_command_with_the_nearest_name() -> None:
    for arguments in (["serve"], ["ingest"], ["camera", "list"]):
        result = run(*arguments, environ={"CAMSHAFT_MEDIA_PROT": "1"})
        assert result.exit_code == 2
        assert "CAMSHAFT_MEDIA_PROT: there is no such variable; did you mean CAMSHAFT_MEDIA_PORT?" in result.output


def test_every_variable_of_ours_is_known(served: list[dict[str, Any]]) -> None:
    """Those of other commands and of serve's own processes too: one environment is for all."""
    others = ["NODE=n", "API=http://h:1", "URL=rtsp://h/", "CAMERA=rtsp://h/", "DEMO=demo=rtsp://h/", "DEMO_IF_NONE=1"]
    demo = [
        "DEMO_CAMERA_USER=u",
        "DEMO_CAMERA_PASSWORD=p",
        "DEMO_CAMERA_GOP=1",
        "SUPERVISOR_FD=99",
        "PULSE_FD=98",
        "DEMAND_FD=96",
        "KEPT_FD=97",
    ]
    Path("secret").write_text("of this one cluster\n")
    files = ["CLUSTER_SECRET_FILE=secret"]
    environ = dict(f"CAMSHAFT_{each}".split("=", 1) for each in others + demo + files)
    result = run("serve", environ=environ)
    assert result.exit_code == 0, result.output
    assert len(served) == 1
    assert served[0]["config"].cluster.secret == "of this one cluster"
