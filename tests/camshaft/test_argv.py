"""Passwords leave the command line before anything else is done."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import psutil
import pytest

from camshaft.argv import _SECRETS, hide, hide_own
from common.config_leaves import leaves

SECRET = "rtsp://admin:hunter2@camera/stream"


@pytest.mark.parametrize(
    ("arguments", "kept", "moved"),
    [
        (["serve", "--camera", SECRET], ["serve"], {"CAMSHAFT_CAMERA": SECRET}),
        (
            ["serve", f"--camera={SECRET}", "--http-listen", ":1"],
            ["serve", "--http-listen", ":1"],
            {"CAMSHAFT_CAMERA": SECRET},
        ),
        (["serve", "--camera", f"yard={SECRET}"], ["serve"], {"CAMSHAFT_CAMERA": f"yard={SECRET}"}),
        (["serve", "--camera", SECRET, "--camera", SECRET], ["serve"], {"CAMSHAFT_CAMERA": f"{SECRET} {SECRET}"}),
        (
            ["serve", "--camera", "rtsp://a/", "--camera", SECRET],
            ["serve", "--camera", "rtsp://a/"],
            {"CAMSHAFT_CAMERA": SECRET},
        ),
        (
            ["serve", "--camera", "rtsp://h/user=a&password=hunter2"],
            ["serve"],
            {"CAMSHAFT_CAMERA": "rtsp://h/user=a&password=hunter2"},
        ),
        (["broker", "--cluster-secret", "hunter2"], ["broker"], {"CAMSHAFT_CLUSTER_SECRET": "hunter2"}),
        (["broker", "--cluster-secret=hunter2"], ["broker"], {"CAMSHAFT_CLUSTER_SECRET": "hunter2"}),
        (["ingest", "--cluster-token", "hunter2"], ["ingest"], {"CAMSHAFT_CLUSTER_TOKEN": "hunter2"}),
        (
            ["serve", "--http-ice-servers", "turn:u:hunter2@h", "--http-ice-servers=stun:h"],
            ["serve"],
            {"CAMSHAFT_HTTP_ICE_SERVERS": "turn:u:hunter2@h,stun:h"},
        ),
        (["camera", "add", "yard", SECRET, "--json"], ["camera", "add", "yard", "--json"], {"CAMSHAFT_URL": SECRET}),
        (["camera", "add", "yard", "-", "--sub", SECRET], ["camera", "add", "yard", "-"], {"CAMSHAFT_SUB_URL": SECRET}),
        (["probe", SECRET], ["probe"], {"CAMSHAFT_URL": SECRET}),
        (["probe", "--", SECRET], ["probe", "--"], {"CAMSHAFT_URL": SECRET}),
        (["camera", "list", "--api", "http://u:hunter2@h"], ["camera", "list"], {"CAMSHAFT_API": "http://u:hunter2@h"}),
        (["probe", "rtsp:/admin:hunter2@h"], ["probe"], {"CAMSHAFT_URL": "rtsp:/admin:hunter2@h"}),
        (["serve", "--camera", "admin:hunter2@h"], ["serve"], {"CAMSHAFT_CAMERA": "admin:hunter2@h"}),
        (["serve", SECRET], ["serve", "rtsp://***@camera/stream"], {}),
        (["camera", "list", SECRET], ["camera", "list", "rtsp://***@camera/stream"], {}),
        (["ingest", f"--camra={SECRET}"], ["ingest", "--camra=rtsp://***@camera/stream"], {}),
    ],
)
def test_what_holds_a_password_is_moved(arguments: list[str], kept: list[str], moved: dict[str, str]) -> None:
    assert hide(arguments, {"HOME": "/"}) == (kept, {"HOME": "/", **moved})
    assert hide(kept, moved) is None, "once is enough"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve", "--camera", "rtsp://camera/"],
        ["serve", "--camera=rtsp://camera/"],
        ["camera", "add", "yard", "-"],
        ["probe", "rtsp://camera/"],
        ["serve", "--camera"],
        ["serve", "--media-advertise", "192.0.2.1"],
    ],
)
def test_what_holds_none_stays(arguments: list[str]) -> None:
    assert hide(arguments, {}) is None


def test_cameras_of_the_environment_are_kept() -> None:
    assert hide(["serve", "--camera", SECRET], {"CAMSHAFT_CAMERA": "rtsp://a/"}) == (
        ["serve"],
        {"CAMSHAFT_CAMERA": f"rtsp://a/ {SECRET}"},
    )


def test_an_option_beats_the_variable_that_names_a_file() -> None:
    arguments, environ = ["serve", "--cluster-secret", "s"], {"CAMSHAFT_CLUSTER_SECRET_FILE": "x", "A": "b"}
    assert hide(arguments, environ) == (["serve"], {"A": "b", "CAMSHAFT_CLUSTER_SECRET": "s"})


@pytest.mark.thorough
def test_a_url_where_none_belongs_is_refused() -> None:
    serve = subprocess.run(
        [sys.executable, "-m", "camshaft", "serve", SECRET], env=os.environ, capture_output=True, text=True, timeout=20
    )
    assert serve.returncode == 2
    assert "unexpected extra argument (rtsp://***@camera/stream)" in serve.stderr


def test_every_secret_of_the_configuration_is_moved() -> None:
    assert {leaf.option: leaf.variable for leaf in leaves() if leaf.is_secret} == _SECRETS


@pytest.mark.parametrize("secret", [True, False])
def test_the_process_is_replaced_by_one_without_it(monkeypatch: pytest.MonkeyPatch, secret: bool) -> None:
    arguments = ["probe", SECRET if secret else "rtsp://camera/stream"]
    monkeypatch.setattr(sys, "argv", ["camshaft", *arguments])
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-X", "dev", "-m", "camshaft", *arguments])
    began: list[tuple[list[str], str | None]] = []
    monkeypatch.setattr(os, "execve", lambda _, command, environ: began.append((command, environ.get("CAMSHAFT_URL"))))
    hide_own()
    assert began == ([(["python3", "-X", "dev", "-m", "camshaft", "probe"], SECRET)] if secret else [])


@pytest.mark.thorough
def test_process_list_shows_no_password() -> None:
    """``probe`` of a camera that does not answer, looked at from outside."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://admin:hunter2@127.0.0.1:{silent.getsockname()[1]}/"
        with subprocess.Popen(
            [
                sys.executable,
                "-m",
                "camshaft",
                "camera",
                "add",
                "yard",
                url,
                "--api",
                f"http://127.0.0.1:{silent.getsockname()[1]}",
            ],
            env=os.environ,
        ) as process:
            try:
                silent.settimeout(20)
                connection, _ = silent.accept()  # it has come to its work
                with connection:
                    command = psutil.Process(process.pid).cmdline()
            finally:
                process.kill()
    assert "hunter2" not in " ".join(command)
    assert command[1:6] == ["-m", "camshaft", "camera", "add", "yard"]
