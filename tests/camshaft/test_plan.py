"""A plan of processes, and what each is told, from a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from camshaft.plan import Program, programs, shared_environ
from common.config import Config
from common.config_file import load
from common.config_leaves import leaves
from common.control import Role
from common.errors import ConfigError
from common.heard import HUNG_LOOKS


def config(**sections: Any) -> Config:
    return Config.model_validate(sections)


def by_name(plan: list[Program]) -> dict[str, Program]:
    return {program.name: program for program in plan}


def test_one_egress_for_each_core_and_what_all_connect_to_first() -> None:
    plan = programs(Config(), {}, cores=2)
    assert [program.name for program in plan] == ["broker", "ingest-0", "egress-0", "egress-1", "transcode-0"]
    assert [program.arguments for program in plan] == [
        ("broker",),
        ("ingest", "--node", "ingest-0"),
        ("egress", "--node", "egress-0"),
        ("egress", "--node", "egress-1"),
        ("transcode", "--node", "transcode-0"),
    ]


def test_an_egress_for_each_core_keeps_to_its_own_and_nothing_else_does() -> None:
    plan = programs(config(egress={"workers": 2}), {}, cores=2, cpus=[3, 5])
    assert not any(program.reserve for program in plan if program.role is Role.EGRESS)
    assert {program.name: program.cpu for program in plan} == {
        "broker": None,
        "ingest-0": None,
        "egress-0": 3,
        "egress-1": 5,
        "transcode-0": None,
    }


def test_where_nobody_said_how_many_a_transcode_process_is_in_reserve_and_the_broker_tells_when_it_is_needed() -> None:
    plan = by_name(programs(Config(), {}, cores=2))
    assert (plan["transcode-0"].reserve, plan["broker"].tells, plan["egress-0"].tells) == (True, True, True)
    for workers in (0, 1):
        plan = by_name(programs(config(transcode={"workers": workers}), {}, cores=2))
        assert not plan["broker"].tells
        assert [each.reserve for each in plan.values() if each.role is Role.TRANSCODE] == [False] * workers


def test_where_nobody_said_how_many_one_egress_runs_and_the_others_are_in_reserve_each_for_a_core() -> None:
    plan = [program for program in programs(config(), {}, cores=3, cpus=[3, 5, 6]) if program.role is Role.EGRESS]
    assert [(program.cpu, program.reserve) for program in plan] == [(None, False), (5, True), (6, True)]


@pytest.mark.parametrize(
    ("workers", "cores", "cpus"),
    [
        (None, 2, range(8)),  # a container's quota: on which cores is the kernel's to say
        (8, 2, range(8)),
        (3, 4, range(4)),  # one core is left for all others
        (4, 2, range(2)),
        (1, 1, [0]),
        (None, 2, []),  # not Linux
    ],
)
def test_egress_runs_anywhere_unless_there_is_one_for_each_core(
    workers: int | None, cores: int, cpus: Sequence[int]
) -> None:
    plan = programs(config(egress={"workers": workers}), {}, cores=cores, cpus=cpus)
    assert {program.cpu for program in plan} == {None}


def test_numbers_of_workers_are_configured() -> None:
    plan = programs(config(ingest={"workers": 2}, egress={"workers": 0}, transcode={"workers": 2}), {}, cores=8)
    assert [program.name for program in plan] == [
        "broker",
        "ingest-0",
        "ingest-1",
        "transcode-0",
        "transcode-1",
    ]


def test_the_broker_is_told_how_many_ingest_workers_start_with_it() -> None:
    plan = by_name(programs(config(ingest={"workers": 3}), {}, cores=1))
    assert plan["broker"].environ["CAMSHAFT_INGEST_WORKERS"] == "3"


def test_the_relay_is_taken_for_hung_sooner_than_all_others() -> None:
    plan = programs(config(broker={"relay": "apart"}), {}, cores=2)
    assert {program.name for program in plan if program.hung_looks < HUNG_LOOKS} == {"relay"}


@pytest.mark.parametrize(
    ("broker", "apart"),
    [
        ({}, False),  # processes of one machine give media to each other
        ({"direct": False}, True),
        ({"address": "tcp://127.0.0.1:5900"}, True),
        ({"relay": "apart"}, True),
        ({"relay": "inside", "direct": False}, False),
    ],
)
def test_the_relay_is_a_process_of_its_own_where_media_passes_it_and_nobody_said_otherwise(
    broker: dict[str, Any], apart: bool
) -> None:
    given = {"CAMSHAFT_BROKER_RELAY": broker["relay"]} if "relay" in broker else {}
    plan = by_name(programs(config(broker=broker), given, cores=1))
    assert ("relay" in plan) is apart
    assert plan["broker"].environ["CAMSHAFT_BROKER_RELAY"] == ("apart" if apart else "inside")


@pytest.mark.parametrize(
    ("tcp", "told"), [("on", ["on"] * 3), ("off", ["off"] * 3), (443, ["443", "444", "445"]), (0, ["0"] * 3)]
)
def test_each_egress_has_a_tcp_port_of_its_own(tcp: str | int, told: list[str]) -> None:
    given = config(media={"port": 9000, "tcp": tcp}, egress={"workers": 3})
    plan = by_name(programs(given, {"CAMSHAFT_MEDIA_TCP": str(tcp)}, cores=1))
    assert [plan[f"egress-{n}"].environ["CAMSHAFT_MEDIA_TCP"] for n in range(3)] == told


def test_there_have_to_be_as_many_tcp_ports() -> None:
    with pytest.raises(ConfigError, match=r"media\.tcp: 3 egress processes need as many ports from 65534 on"):
        programs(config(media={"tcp": 65_534}, egress={"workers": 3}), {}, cores=1)


def test_each_egress_has_a_port_of_its_own() -> None:
    plan = by_name(programs(config(media={"port": 9000}, egress={"workers": 3}), {"CAMSHAFT_MEDIA_PORT": "1"}, cores=1))
    assert [plan[f"egress-{n}"].environ["CAMSHAFT_MEDIA_PORT"] for n in range(3)] == ["9000", "9001", "9002"]


def test_any_port_stays_any_port() -> None:
    plan = by_name(programs(config(media={"port": 0}, egress={"workers": 2}), {}, cores=1))
    assert {plan[f"egress-{n}"].environ["CAMSHAFT_MEDIA_PORT"] for n in range(2)} == {"0"}


def test_ports_that_do_not_exist_are_an_error_at_once() -> None:
    with pytest.raises(ConfigError, match=r"media\.port: 3 egress processes .* 65534 on"):
        programs(config(media={"port": 65534}, egress={"workers": 3}), {}, cores=1)
    programs(config(media={"port": 65535}, egress={"workers": 0}), {}, cores=1)


def test_cameras_of_the_environment_reach_the_broker_alone() -> None:
    plan = by_name(programs(Config(), {"CAMSHAFT_CAMERA": "rtsp://u:hunter2@h/"}, cores=1))
    assert [name for name, program in plan.items() if "hunter2" in str(program.environ)] == ["broker"]
    assert "hunter2" not in repr(plan)
    plan = by_name(programs(Config(), {"CAMSHAFT_CAMERA_FILE": "/run/secrets/cameras"}, cores=1))
    assert [name for name, program in plan.items() if "cameras" in str(program.environ)] == ["broker"]


def test_each_worker_is_told_the_token_of_its_role_and_nobody_else_is() -> None:
    tokens = {"ingest": "camshaft-i", "egress": "camshaft-e", "transcode": "camshaft-t"}
    given = config(broker={"address": "tcp://127.0.0.1:5900"})
    plan = by_name(programs(given, {}, cores=1, demo_port=1, tokens=tokens))
    told = {name: program.environ.get("CAMSHAFT_CLUSTER_TOKEN") for name, program in plan.items()}
    assert told == dict.fromkeys(("demo-camera", "relay", "broker")) | {
        f"{role}-0": token for role, token in tokens.items()
    }
    plan = by_name(programs(Config(), {"CAMSHAFT_CLUSTER_TOKEN_FILE": "x"}, cores=1, tokens=tokens))
    assert "CAMSHAFT_CLUSTER_TOKEN_FILE" not in plan["egress-0"].environ


def test_an_option_takes_the_place_of_a_variable_that_names_a_file() -> None:
    (secret,) = (leaf for leaf in leaves() if leaf.option == "--cluster-secret")
    environ = shared_environ({secret.file_variable: "x", "HOME": "/"}, None, {secret: "of this one cluster"})
    assert environ == {"HOME": "/", secret.variable: "of this one cluster"}


@pytest.mark.parametrize("address", ["tcp://*:5550", "tcp://0.0.0.0:5550", "tcp://[::]:5550"])
def test_workers_are_told_an_address_they_can_connect_to(address: str) -> None:
    plan = by_name(programs(config(broker={"address": address}), {"CAMSHAFT_BROKER_ADDRESS": address}, cores=1))
    assert {plan[name].environ["CAMSHAFT_BROKER_ADDRESS"] for name in ("broker", "relay")} == {address}
    assert plan["ingest-0"].environ["CAMSHAFT_BROKER_ADDRESS"] == "tcp://127.0.0.1:5550"


def test_simulated_camera_comes_before_the_operators_own() -> None:
    plan = programs(Config(), {"CAMSHAFT_CAMERA": "yard=rtsp://yard/"}, cores=1, demo_port=8554)
    assert plan[0].arguments == ("demo-camera", "--listen", "127.0.0.1:8554")
    environ = by_name(plan)["broker"].environ
    assert environ["CAMSHAFT_CAMERA"] == "yard=rtsp://yard/"
    assert environ["CAMSHAFT_DEMO"] == "demo=rtsp://127.0.0.1:8554/"


def test_simulated_camera_that_wants_a_password_is_asked_with_it() -> None:
    environ = {"CAMSHAFT_DEMO_CAMERA_USER": "ad min", "CAMSHAFT_DEMO_CAMERA_PASSWORD": "p@ss"}
    plan = by_name(programs(Config(), environ, cores=1, demo_port=1))
    assert plan["broker"].environ["CAMSHAFT_DEMO"] == "demo=rtsp://ad%20min:p%40ss@127.0.0.1:1/"


def test_simulated_camera_takes_a_free_name() -> None:
    plan = programs(config(cameras={"demo": {"url": "rtsp://a/"}}), {}, cores=1, demo_port=1, stored={"demo-2"})
    assert by_name(plan)["broker"].environ["CAMSHAFT_DEMO"] == "demo-3=rtsp://127.0.0.1:1/"


def test_options_and_file_reach_the_processes_as_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that reads the plan's variables has the same configuration as ``serve``, whatever that was given."""
    monkeypatch.chdir(tmp_path)
    Path("camshaft.yaml").write_text("log: {level: debug}\nmedia: {port: 7}")
    values: dict[str, Any] = {"--media-port": "9", "--media-advertise": ["192.0.2.1", "b"], "--store-path": "x.db"}
    overrides = {leaf: values[leaf.option] for leaf in leaves() if leaf.option in values}
    environ = shared_environ({"HOME": "/root"}, Path("camshaft.yaml"), overrides)
    assert environ["HOME"] == "/root"
    assert environ["CAMSHAFT_CONFIG"] == str(tmp_path / "camshaft.yaml")
    wanted = load(Path("camshaft.yaml"), overrides, {})
    assert load(Path(environ["CAMSHAFT_CONFIG"]), environ=environ) == wanted
    assert (wanted.media.port, wanted.media.advertise, wanted.log.level) == (9, ("192.0.2.1", "b"), "debug")
