"""The operator's configuration: one model that the YAML file, ``CAMSHAFT_…`` variables and options all fill.

Every leaf ``section.key`` of the model is also the variable
``CAMSHAFT_SECTION_KEY`` and the option ``--section-key``; its help text is the field's description.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from common.address import split_ice_server
from common.config_access import AuthConfig, JwtConfig, OidcConfig
from common.config_cameras import CameraConfig
from common.config_limits import LimitsConfig, SourcesConfig
from common.config_types import (
    IN_ANY_CASE,
    Advertise,
    BasePath,
    CameraId,
    FilePath,
    Hosts,
    IceServers,
    Listen,
    ListenOrNot,
    Networks,
    Secret,
    Section,
    SwitchOrPort,
    Whole,
    WorkerTokenText,
)
from common.settings import ENV_PREFIX

CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"  # names the file
CAMERA_VARIABLE = f"{ENV_PREFIX}CAMERA"
DEMO_VARIABLE = f"{ENV_PREFIX}DEMO"  # the simulated camera, from serve to its broker


def default_broker_address() -> str:
    """``ipc`` in a directory that only this user can enter, the same for every process of the user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime or not _may_write_below(Path(runtime)):
        return f"ipc://{Path(tempfile.gettempdir()) / f'camshaft-{os.getuid()}'}"
    return f"ipc://{Path(runtime) / 'camshaft'}"


def _may_write_below(directory: Path) -> bool:
    """Whether this user may, also by making it: ``su`` leaves the variable as it was for somebody else."""
    there = next(each for each in (directory, *directory.absolute().parents) if os.path.exists(each))  # noqa: PTH110 - never raises
    return os.access(there, os.W_OK | os.X_OK)


class HttpConfig(Section):
    """The front door: page, WHEP, WebSocket and REST."""

    listen: Listen = Field("127.0.0.1:8080", description="HOST:PORT to listen on; :PORT for all interfaces.")
    hosts: Hosts = Field(
        (),
        description="Names of this server in browsers. If any are given, or on the loopback, other names are refused.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Networks of reverse proxies to trust: X-Forwarded-…, Forwarded, and auth.user_header.",
    )
    base_path: BasePath = Field(
        "",
        description="Path below which a proxy serves this server, such as /cams, whether or not the proxy removes it.",
    )
    ice_servers: IceServers = Field(
        (),
        repr=False,
        description="STUN and TURN servers for viewers: stun:HOST:PORT, turn:HOST:PORT with `http.turn_secret`, or "
        "turn:USER:PASSWORD@HOST:PORT.",
    )
    turn_secret: Secret = Field(
        "",
        repr=False,
        description="Secret shared with the TURN servers; it gives each viewer a password that expires.",
    )
    turn_hours: float = Field(12.0, ge=0.25, le=720, description="Hours after which such a password expires.")
    tls_cert: FilePath | None = Field(
        None, description="PEM file with the certificate and its chain; with it, the page is served over https."
    )
    tls_key: FilePath | None = Field(
        None, description="PEM file with the certificate's key; by default the key is in the certificate's file."
    )
    redirect_from: ListenOrNot = Field(
        "", description="HOST:PORT for plain HTTP, from which browsers are redirected to https, such as :80."
    )

    @model_validator(mode="after")
    def _of_tls(self) -> HttpConfig:
        for key in ("tls_key", "redirect_from"):
            if getattr(self, key) and self.tls_cert is None:
                raise ValueError(f"{key} is given without tls_cert; name the certificate, or leave {key} out")
        return self

    @model_validator(mode="after")
    def _of_turn(self) -> HttpConfig:
        for server in self.ice_servers:
            if server.startswith("turn") and not split_ice_server(server)[1] and not self.turn_secret:
                raise ValueError(
                    f"ice_servers: {server} has neither turn:USER:PASSWORD@ nor a secret; give one of them, "
                    "the secret as http.turn_secret"
                )
        return self

    @property
    def scheme(self) -> str:
        """The page's: https where there is a certificate."""
        return "http" if self.tls_cert is None else "https"


class MediaConfig(Section):
    """Where media for viewers leaves: a UDP port for each egress process, and a TCP port next to it."""

    port: Whole = Field(
        8189, ge=0, le=65_535, description="First UDP port; each further egress of `serve` takes the next. 0: any."
    )
    tcp: SwitchOrPort = Field(
        "on",
        description="TCP for viewers that UDP does not reach: on (with UDP's port number), off, or the first port.",
    )
    listen: str = Field("", description="Address to bind; empty for every interface, IPv4 and IPv6.")
    advertise: Advertise = Field(
        (),
        description="Addresses or names at which viewers reach this machine, instead of its interfaces' addresses; "
        "`stun:HOST` adds the one that a STUN server sees.",
    )

    @property
    def tcp_port(self) -> int | None:
        """The number of the TCP port; 0: any, ``None``: there is to be none."""
        if self.tcp in ("on", "off"):
            return self.port if self.tcp == "on" else None
        return int(self.tcp)


class BrokerConfig(Section):
    """The address at which every worker finds the broker."""

    address: str = Field(
        default_factory=default_broker_address,
        description="ipc:///DIRECTORY on one machine, tcp://HOST:PORT (PORT and the next three) on several.",
    )
    relay: Annotated[Literal["auto", "inside", "apart"], IN_ANY_CASE] = Field(
        "auto",
        description=(
            "Media is relayed `inside` the broker's process, or `apart`, by `camshaft relay` on its machine; "
            "`auto`: apart under `serve` if media passes it there (see `direct`), else inside."
        ),
    )
    direct: bool = Field(
        True,
        description="Let workers on one machine, where the bus is Unix sockets, exchange media without the relay.",
    )

    @property
    def relays(self) -> bool:
        """Whether ``camshaft broker`` relays media itself."""
        return self.relay != "apart"


class ClusterConfig(Section):
    """The secret or the token by which the machines of a cluster recognize each other."""

    secret: Secret = Field(
        "",
        repr=False,
        description="Encrypts and authenticates the bus between machines; must be the same on each.",
    )
    token: WorkerTokenText = Field(
        "",
        repr=False,
        description="A worker's token, instead of the secret; made on the broker's machine by `camshaft token worker`.",
    )
    key_file: FilePath | None = Field(
        None,
        description="File for the key that a worker gets for its token; by default it gets a new one at each start.",
    )


class IngestConfig(Section):
    """Ingest processes of `serve`."""

    workers: Whole | None = Field(None, ge=0, le=256, description="Ingest processes to start; default one.")


class EgressConfig(Section):
    """Egress processes of `serve`, and how they send."""

    workers: Whole | None = Field(
        None,
        ge=0,
        le=256,
        description="Egress processes to start; default one, and under load more, up to one per core.",
    )
    compiled: Annotated[Literal["auto", "always", "never"], IN_ANY_CASE] = Field(
        "auto",
        description="Use the compiled send loop: auto (where it was built), always (or do not start), never.",
    )


class TranscodeConfig(Section):
    """Transcode processes: they turn what browsers cannot play into H.264 and Opus, while somebody watches it."""

    workers: Whole | None = Field(
        None,
        ge=0,
        le=256,
        description="Transcode processes to start; default one, while something may need converting or a still.",
    )
    max_height: Whole = Field(
        0,
        ge=0,
        le=8_192,
        description="Maximum height of a converted picture in lines; larger ones are scaled down. 0: no limit.",
    )
    encoder: Annotated[Literal["auto", "software"], IN_ANY_CASE] = Field(
        "auto",
        description="What encodes pictures: hardware if a trial at the start shows that it works, or software.",
    )
    share: float = Field(
        0.75, gt=0, le=1, description="Share of the cores beyond which a process starts no further conversion."
    )
    memory: Whole = Field(
        4_096,
        ge=0,
        le=1 << 20,
        description="MiB of memory that a process may use; allocations beyond that fail. 0: no limit.",
    )


class DrainConfig(Section):
    """How a process ends when told to: its work moves to others first."""

    timeout: float = Field(
        8.0,
        ge=0,
        le=86_400,
        description="Seconds that a process told to end (SIGTERM, `nodes drain`) goes on for what cannot move.",
    )


class StoreConfig(Section):
    """Where cameras that were added at run time are kept."""

    path: FilePath = Field(Path("camshaft.db"), description="SQLite file for cameras added at run time.")
    key_file: FilePath | None = Field(
        None,
        description="File with the key that seals passwords in the store; by default one is made next to the store.",
    )


class LogConfig(Section):
    """Logs, on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], IN_ANY_CASE] = Field(
        "info", description="Lowest severity that is logged."
    )
    format: Annotated[Literal["auto", "text", "json"], IN_ANY_CASE] = Field(
        "auto", description="auto: text on a terminal, else JSON lines."
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was made, and a person changes it: ``camshaft.yaml, line 3``, a variable or an option."""

    where: str
    simulated: bool = False  # a camera that ``camshaft serve`` plays itself
    watched: bool = False  # in a file: a change there is seen while we run


class Config(Section):
    """Everything that can be configured."""

    cameras: dict[CameraId, CameraConfig] = Field({}, description="Cameras by name.")
    http: HttpConfig = HttpConfig()
    auth: AuthConfig = AuthConfig()
    jwt: JwtConfig = JwtConfig()
    oidc: OidcConfig = OidcConfig()
    media: MediaConfig = MediaConfig()
    broker: BrokerConfig = Field(default_factory=BrokerConfig)
    cluster: ClusterConfig = ClusterConfig()
    ingest: IngestConfig = IngestConfig()
    egress: EgressConfig = EgressConfig()
    transcode: TranscodeConfig = TranscodeConfig()
    drain: DrainConfig = DrainConfig()
    limits: LimitsConfig = LimitsConfig()
    sources: SourcesConfig = SourcesConfig()
    store: StoreConfig = StoreConfig()
    log: LogConfig = LogConfig()
    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        """Ask ``origin_of``, if the context of the validation has it, for the origin of each camera."""
        if isinstance(context, dict) and (origin_of := context.get("origin_of")):
            self._origins.update((camera, origin_of(camera)) for camera in self.cameras)

    def origin_of(self, camera: str) -> Origin:
        """Where one of ``cameras`` was configured."""
        return self._origins.get(camera, Origin("the configuration"))
