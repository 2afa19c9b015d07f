"""``camshaft serve`` as a stranger runs it: real processes, real kills, a look at the process list."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from broker.store import Store
from common.config_cameras import CameraConfig
from common.log_taps import LOOK_INTERVAL
from rigs.command import BOUND, Command, wait_until
from rigs.process import ROOT, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("serve")]  # most of them look at one cluster


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def cluster(directory: Path) -> Iterator[Command]:
    """One cluster with a simulated camera, for every test that leaves it as it was."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # its processes begin with that, also under nohup
    try:
        with Command(directory, "demo") as cluster:
            cluster.ready()
            wait_until(lambda: everybody_serves(cluster), "not everybody has joined")
            yield cluster
    finally:
        signal.signal(signal.SIGHUP, before)


def cameras(cluster: Command) -> dict[str, dict[str, Any]]:
    return {camera["id"]: camera for camera in cluster.get("/api/cameras") or ()}


def plays(cluster: Command, name: str) -> bool:
    return cameras(cluster).get(name, {}).get("state") == "playing"


def everybody_serves(cluster: Command) -> bool:
    """Whether each process has joined, or listens as the simulated camera does: the cluster may be ready before."""
    nodes = {node["pid"] for node in cluster.get("/api/nodes") or ()}
    try:
        return all(process.pid in nodes or process.net_connections("tcp") for process in cluster.family()[1:])
    except psutil.Error:  # ended while we looked
        return False


def camshaft(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "camshaft", *arguments],
        cwd=ROOT,
        input=text,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def test_simulated_camera_plays_with_picture_and_sound(cluster: Command) -> None:
    wait_until(lambda: plays(cluster, "demo"), "the simulated camera does not play")
    tracks = cameras(cluster)["demo"]["tracks"]
    assert [(track["kind"], track["codec"], track["playable"]) for track in tracks] == [
        ("video", "H264", True),
        ("audio", "opus", True),
    ]


def test_cameras_are_added_listed_and_removed(cluster: Command) -> None:
    url = cameras(cluster)["demo"]["url"]
    added = camshaft("camera", "add", "second", "-", "--api", cluster.page, text=url)
    assert (added.returncode, added.stdout, added.stderr) == (0, "Camera second is added.\n", "")
    wait_until(lambda: plays(cluster, "second"), "the second camera does not play")
    again = camshaft("camera", "add", "second", url, "--api", cluster.page)
    assert again.returncode == 1
    assert again.stderr.startswith("camshaft: ")
    assert again.stderr.count("\n") == 1
    listed = camshaft("camera", "list", "--api", cluster.page).stdout.splitlines()
    assert [line.split()[:3] for line in listed] == [
        ["NAME", "STATE", "TRACKS"],
        ["demo", "playing", "H.264+Opus"],
        ["second", "playing", "H.264+Opus"],
    ]
    removed = camshaft("camera", "remove", "second", "--api", cluster.page)
    assert (removed.returncode, removed.stderr) == (0, "")
    assert list(cameras(cluster)) == ["demo"]


@pytest.mark.parametrize("name", ["demo-camera", "egress-0", "ingest-0", "broker"])
def test_what_dies_is_replaced_and_the_camera_plays_again(cluster: Command, name: str) -> None:
    """Processes that hang are in ``test_recovery`` and ``test_what_hangs``, beside a viewer."""
    wait_until(lambda: plays(cluster, "demo"), "the simulated camera does not play")
    before = cluster.child(name)
    assert before is not None
    others = {process.pid for process in cluster.family()} - {before.pid}
    before.kill()
    after = wait_until(
        lambda: (child := cluster.child(name)) and child.pid != before.pid and child, f"{name} was not replaced"
    )
    wait_until(lambda: everybody_serves(cluster), f"what replaces {name} does not serve")
    wait_until(lambda: (cluster.get("/readyz") or {}).get("status") == "ready", f"not ready again without {name}")
    wait_until(lambda: plays(cluster, "demo"), f"the camera does not play again without {name}")
    assert {process.pid for process in cluster.family()} == others | {after.pid}


def test_who_follows_the_log_hears_all_processes(cluster: Command, directory: Path) -> None:
    command = [sys.executable, "-m", "camshaft", "logs", "-f", "--json", "--broker-address", f"ipc://{directory}/bus"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as following:
        try:
            wait_until(lambda: any((directory / "bus/logs").glob("*.sock")), "nobody follows")
            time.sleep(LOOK_INTERVAL)  # in which a process that has just looked for followers does not look again
            cluster.process.send_signal(signal.SIGHUP)
            url = cameras(cluster)["demo"]["url"]
            assert camshaft("camera", "add", "third", url, "--api", cluster.page).returncode == 0
            assert following.stdout is not None
            silent = {"serve", "broker", "ingest-0"}
            while silent:
                silent.discard(json.loads(following.stdout.readline())["node"])
            assert camshaft("camera", "remove", "third", "--api", cluster.page).returncode == 0
        finally:
            following.kill()


def test_hang_up_ends_none_of_its_processes(cluster: Command) -> None:
    family = cluster.family()
    for process in family:
        process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration read again; nothing has changed" in cluster.stderr, "it has not said so")
    assert cluster.family() == family


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({}, 3, ["http: ", "is in use by another program", "--http-listen"]),
        ({"CAMSHAFT_HTTP_LISTEN": "127.0.0.1:0"}, 3, ["broker: ipc://", "--broker-address", "--store-path"]),
        (
            {"CAMSHAFT_HTTP_LISTEN": "127.0.0.1:0", "CAMSHAFT_BROKER_ADDRESS": "ipc://{tmp}/bus"},
            4,
            ["store.path", "camshaft.db"],
        ),
        (
            {
                "CAMSHAFT_HTTP_LISTEN": "127.0.0.1:0",
                "CAMSHAFT_BROKER_ADDRESS": "ipc://{tmp}/bus",
                "CAMSHAFT_STORE_PATH": "{tmp}/db",
                "CAMSHAFT_MEDIA_PORT": "{media}",
            },
            3,
            ["{media}", "is in use by another program", "--media-port"],
        ),
    ],
    ids=["http", "bus", "store", "media"],
)
def test_second_cluster_is_told_what_is_taken_and_how_to_choose_another(
    cluster: Command, tmp_path: Path, given: dict[str, str], code: int, words: list[str]
) -> None:
    egress = cluster.child("egress-0")
    assert egress is not None
    media = next(each.laddr.port for each in egress.net_connections("udp"))
    environ = {"CAMSHAFT_HTTP_LISTEN": cluster.page.removeprefix("http://"), "CAMSHAFT_BROKER_ADDRESS": ""}
    environ["CAMSHAFT_BROKER_ADDRESS"] = f"ipc://{cluster.directory}/bus"
    environ["CAMSHAFT_STORE_PATH"] = f"{cluster.directory}/camshaft.db"
    environ |= {key: value.format(tmp=tmp_path, media=media) for key, value in given.items()}
    with Command(tmp_path, "serve", environ=environ) as second:
        assert second.process.wait(BOUND) == code
        for word in words:
            assert word.format(media=media) in second.stderr
        assert "Traceback" not in second.stderr
    assert cluster.get("/readyz")["status"] == "ready"


def test_a_second_one_that_is_tried_out_takes_what_is_free_and_says_so(tmp_path: Path) -> None:
    """Two people's `make run`, or one person's in two clones: nothing is set."""
    (tmp_path / "run").mkdir()
    nothing = dict.fromkeys(("CAMSHAFT_HTTP_LISTEN", "CAMSHAFT_MEDIA_PORT", "CAMSHAFT_BROKER_ADDRESS"), "")
    environ = nothing | {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "CAMSHAFT_LOG_LEVEL": "warning"}
    directories = [tmp_path / name for name in ("first", "second")]
    for each in directories:
        each.mkdir()
    with Command(directories[0], "serve", "--demo-if-none", environ=environ) as first:
        first.ready()
        with Command(directories[1], "serve", "--demo-if-none", environ=environ) as second:
            assert second.ready().page != first.page
            assert "another program has the usual addresses" in second.stderr
            for each in (first, second):
                wait_until(lambda each=each: plays(each, "demo"), "it does not play")  # type: ignore[misc]
        same_store = directories[0] / "camshaft.db"
        third = environ | {"CAMSHAFT_STORE_PATH": str(same_store)}
        with Command(directories[1], "serve", "--demo-if-none", environ=third) as refused:
            assert refused.process.wait(BOUND) == 2
            another = same_store.with_name("camshaft-2.db")
            assert f"{same_store} is in use by another cluster; put CAMSHAFT_STORE_PATH={another}" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "shown"), [(("serve", "--demo-if-none"), ["demo"]), (("demo",), ["demo", "demo-2"])]
)
def test_no_camera_is_simulated_in_place_of_a_stored_one(
    tmp_path: Path, arguments: tuple[str, ...], shown: list[str]
) -> None:
    with closing(Store(tmp_path / "camshaft.db")) as store:
        store.put_camera("demo", CameraConfig(url="rtsp://127.0.0.1:9/"))
    with Command(tmp_path, *arguments) as cluster:
        cluster.ready()
        found = cameras(cluster)
        assert sorted(found) == shown
        assert found["demo"]["source"] == "api"
        for name in shown[1:]:
            removed = camshaft("camera", "remove", name, "--api", cluster.page)
            assert "Add a camera of your own" in removed.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_end_where_folders_have_the_names_of_ours(tmp_path: Path, number: signal.Signals) -> None:
    for name in ("common", "broker", "relay", "ingest", "egress", "transcode", "camshaft"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not this one')")
    with Command(tmp_path, "demo") as cluster:
        cluster.ready()
        family = cluster.family()
        assert cluster.end(number) == 0
        assert not [process for process in family if process.is_running()]
        assert "Traceback" not in cluster.stderr
        assert "did not end in time" not in cluster.stderr


def test_nothing_stays_behind_when_it_is_killed_itself(tmp_path: Path) -> None:
    with Command(tmp_path, "demo") as cluster:
        cluster.ready()
        family = cluster.family()
        cluster.process.kill()
        cluster.process.wait()
        wait_until(lambda: not any(map(psutil.Process.is_running, family[1:])), "processes stayed behind")


def test_password_is_in_no_command_line_log_or_answer(tmp_path: Path) -> None:
    """Three ways to give one, while a camera refuses the user."""
    demo = Command(
        tmp_path,
        "demo-camera",
        "--listen",
        f"127.0.0.1:{free_port()}",
        "--user",
        "admin",
        environ={"CAMSHAFT_DEMO_CAMERA_PASSWORD": "other"},
    )
    with demo:
        port = wait_until(lambda: listening(demo.process.pid), "the camera does not listen")
        (tmp_path / "camshaft.yaml").write_text(f"cameras: {{a: {{url: 'rtsp://admin:hunter2@127.0.0.1:{port}/'}}}}")
        given = f"--camera=b=rtsp://admin:hunter2@127.0.0.1:{port}/"
        environ = {"CAMSHAFT_CAMERA": f"c=rtsp://admin:hunter2@127.0.0.1:{port}/", "CAMSHAFT_LOG_LEVEL": "debug"}
        with Command(tmp_path, "serve", given, environ=environ) as cluster:
            cluster.ready()
            wait_until(
                lambda: [camera["state"] for camera in cameras(cluster).values()] == ["unauthorized"] * 3,
                "the cameras did not refuse us",
            )
            commands = [" ".join(process.cmdline()) for process in cluster.family()]
            assert len(commands) == 4  # none that relays, as media goes by, or converts: no camera sends anything
            assert "hunter2" not in "\n".join(commands)
            for path in ("/api/cameras", "/api/nodes", "/api/cameras/a"):
                assert "hunter2" not in str(cluster.get(path))
            assert cluster.end() == 0
            assert "hunter2" not in cluster.stderr


def test_mistake_in_the_file_ends_it_with_one_message(tmp_path: Path) -> None:
    (tmp_path / "camshaft.yaml").write_text("media:\n  prot: 8189\n")
    with Command(tmp_path, "serve") as cluster:
        assert cluster.process.wait(BOUND) == 2
        assert cluster.stderr == (
            "camshaft: camshaft.yaml, line 2: media.prot: unknown key; did you mean port? "
            "allowed here: port, tcp, listen, advertise\n"
        )


def listening(pid: int) -> int | None:
    ports = [each.laddr.port for each in psutil.Process(pid).net_connections("tcp") if each.status == "LISTEN"]
    return ports[0] if ports else None
