"""The operator's configuration: one model that the YAML file, ``CAMSHAFT_…`` variables and options all fill.

Every leaf ``section.key`` of the model is also the variable
``CAMSHAFT_SECTION_KEY`` and the option ``--section-key``; its help text is the field's description.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_origin

from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema

from common.address import split_ice_server
from common.camera_url import read_pasted, refusal
from common.cameras import SUB, CameraName, CameraSpec, TlsSpec, Transport, stream_of
from common.config_access import AuthConfig, JwtConfig, OidcConfig
from common.config_types import (
    MAX_ORDER,
    Addresses,
    Advertise,
    BasePath,
    CameraId,
    CameraUrl,
    Fingerprint,
    Hosts,
    IceServers,
    Label,
    Limit,
    Listen,
    ListenOrNot,
    Networks,
    Rate,
    Schemes,
    Secret,
    Section,
    SwitchOrPort,
    Whole,
    WorkerTokenText,
)
from common.settings import ENV_PREFIX, SECRETS, in_file, option_of, variable_of

CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"  # names the file
CAMERA_VARIABLE = f"{ENV_PREFIX}CAMERA"
DEMO_VARIABLE = f"{ENV_PREFIX}DEMO"  # the simulated camera, from serve to its broker


def default_broker_address() -> str:
    """``ipc`` in a directory that only this user can enter, the same for every process of the user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    directory = Path(runtime) / "camshaft" if runtime else Path(tempfile.gettempdir()) / f"camshaft-{os.getuid()}"
    return f"ipc://{directory}"


class TlsConfig(Section):
    """How the certificate of an rtsps or https camera is judged."""

    verify: bool = Field(True, description="Verify the certificate against the system's authorities.")
    fingerprint: Fingerprint | None = Field(None, description="SHA-256 of the only certificate accepted.")
    legacy: bool = Field(False, description="Allow the old ciphers and TLS versions of old cameras.")

    def spec(self) -> TlsSpec:
        """The same, as an ingest worker is told of it."""
        return TlsSpec(self.verify, self.fingerprint, self.legacy)


class StreamConfig(Section):
    """One of a camera's streams."""

    url: CameraUrl = Field(repr=False, description="As the camera's url.")
    tls: TlsConfig | None = Field(None, description="Certificate checks for rtsps and https; else the camera's.")

    @model_validator(mode="before")
    @classmethod
    def _unverified(cls, values: Any) -> Any:
        return _told_by_url(values)


def _told_by_url(values: Any) -> Any:
    """``rtspx://`` says that the certificate is not to be verified."""
    if isinstance(values, Mapping) and isinstance(url := values.get("url"), str):
        with contextlib.suppress(ValueError):
            tls = values.get("tls") or {}
            if read_pasted(url).unverified and isinstance(tls, Mapping):
                return {**values, "tls": {**tls, "verify": False}}
    return values


class StreamsConfig(Section):
    """A camera's streams."""

    main: SkipJsonSchema[StreamConfig | None] = Field(None, description="The camera's url, if it is not given there.")
    sub: StreamConfig | None = Field(
        None, description="A stream of smaller pictures; pulled while somebody watches it."
    )


class Refused(NamedTuple):
    """A URL that a camera may not have: its key, and why not."""

    key: tuple[str, ...]
    problem: str


class CameraConfig(Section):
    """One camera. Also the body of the REST API."""

    url: CameraUrl = Field(
        repr=False,
        description="Address, with user and password if it needs them; its scheme has to be in sources.allow.",
    )
    transport: Transport = Field(Transport.AUTO, description="Transport of RTP: auto (TCP, then UDP), tcp or udp.")
    on_demand: bool = Field(False, description="Pull the camera only while somebody watches.")
    keep_after: float = Field(10.0, ge=0, le=86_400, description="Seconds to keep an on-demand camera without viewers.")
    one_session: bool = Field(
        False,
        description="The camera serves one client at a time. Otherwise that is learnt from its refusals (453, 503).",
    )
    tls: TlsConfig = Field(TlsConfig(), description="Certificate checks for rtsps and https.")
    streams: StreamsConfig = Field(StreamsConfig(), repr=False, description="Its further streams: sub.")
    name: Label = Field("", description="The name that people see, such as Kitchen, back door; by default its id.")
    group: Label = Field("", description="The heading that it stands below in lists.")
    order: Whole = Field(0, ge=-MAX_ORDER, le=MAX_ORDER, description="Its place in lists: smaller ones come first.")

    # The last of these comes first.
    @model_validator(mode="before")
    @classmethod
    def _unverified(cls, values: Any) -> Any:
        return _told_by_url(values)

    @model_validator(mode="before")
    @classmethod
    def _main(cls, values: Any) -> Any:
        """The main stream's address is the camera's, wherever it is given."""
        match values:
            case {"streams": {"main": {"url": _} as main}} if main.keys() <= StreamConfig.model_fields.keys():
                for key, value in main.items():
                    if values.get(key, value) != value:
                        raise ValueError(
                            f"the main stream's {key} is given twice, here and in streams.main; leave one out"
                        )
                return {**values, **main, "streams": {**values["streams"], "main": None}}
        return values

    def spec(self, name: CameraName, revision: int = 0) -> CameraSpec:
        """The camera's main stream as an ingest worker is told of it."""
        return CameraSpec(
            name,
            self.url,
            self.transport,
            self.on_demand,
            self.keep_after,
            self.tls.spec(),
            revision,
            one_session=self.one_session,
        )

    def refused(self, allowed: Collection[str]) -> Refused | None:
        """The first of its URLs whose scheme is none of ``sources.allow``, if there is one."""
        sub = self.streams.sub
        urls = {("url",): self.url} | ({("streams", "sub", "url"): sub.url} if sub is not None else {})
        problems = (Refused(key, refusal(url, allowed)) for key, url in urls.items())
        return next((refused for refused in problems if refused.problem), None)

    def specs(self, name: CameraName, revision: int = 0) -> dict[CameraName, CameraSpec]:
        """All its streams by their names. Of those beside the main one, none is pulled that nobody watches."""
        main = self.spec(name, revision)
        specs = {name: main}
        if self.streams.sub is not None:
            sub = stream_of(name, SUB)
            tls = (self.streams.sub.tls or self.tls).spec()
            specs[sub] = replace(main, id=sub, url=self.streams.sub.url, tls=tls, on_demand=True)
        return specs


class HttpConfig(Section):
    """The front door: page, WHEP, WebSocket and REST."""

    listen: Listen = Field("127.0.0.1:8080", description="HOST:PORT to listen on; :PORT for all interfaces.")
    hosts: Hosts = Field(
        (),
        description="Names of this server in browsers; if some are given, and on the loopback, others are refused.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Networks of reverse proxies that are believed: X-Forwarded-…, and auth.user_header.",
    )
    base_path: BasePath = Field(
        "",
        description="Path that a reverse proxy has this server below, such as /cams, whether or not it takes it off.",
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
        description="Secret shared with the TURN servers: it gives each viewer a password of its own, which runs out.",
    )
    turn_hours: float = Field(12.0, ge=0.25, le=720, description="Hours after which such a password runs out.")
    tls_cert: Path | None = Field(
        None, description="PEM file of the certificate and those that lead to its authority: the page is https then."
    )
    tls_key: Path | None = Field(
        None, description="PEM file of the certificate's key; by default it is in the file of the certificate."
    )
    redirect_from: ListenOrNot = Field(
        "", description="HOST:PORT of plain HTTP from which browsers are sent to https, such as :80."
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
    """Where viewers' media leaves: a UDP port of each egress process, and a TCP port beside it."""

    port: Whole = Field(
        8189, ge=0, le=65_535, description="First UDP port; each further egress of `serve` takes the next. 0: any."
    )
    tcp: SwitchOrPort = Field(
        "on",
        description="TCP for viewers that no UDP reaches: on (the UDP port's number), off, or the first port's number.",
    )
    listen: str = Field("", description="Address to bind; empty for every interface, IPv4 and IPv6.")
    advertise: Advertise = Field(
        (),
        description="Addresses or names at which viewers reach this machine, in place of its interfaces' addresses; "
        "`stun:HOST` adds the one that a STUN server sees.",
    )

    @property
    def tcp_port(self) -> int | None:
        """The number of the TCP port; 0: any, ``None``: there is to be none."""
        if self.tcp in ("on", "off"):
            return self.port if self.tcp == "on" else None
        return int(self.tcp)


class BrokerConfig(Section):
    """The address that every worker knows."""

    address: str = Field(
        default_factory=default_broker_address,
        description="ipc:///DIRECTORY on one machine, tcp://HOST:PORT (PORT and the next three) on several.",
    )
    relay: Literal["auto", "inside", "apart"] = Field(
        "auto",
        description=(
            "Media is relayed `inside` the broker's process, or `apart`, by `camshaft relay` on its machine; "
            "`auto`: apart under `serve`, else inside."
        ),
    )

    @property
    def relays(self) -> bool:
        """Whether ``camshaft broker`` relays media itself."""
        return self.relay != "apart"


class ClusterConfig(Section):
    """The secret or the token by which machines of a cluster know each other."""

    secret: Secret = Field(
        "",
        repr=False,
        description="Encrypts and authenticates the bus between machines; the same on each.",
    )
    token: WorkerTokenText = Field(
        "",
        repr=False,
        description="A worker's token, in place of the secret; made on the broker's machine: `camshaft token worker`.",
    )
    key_file: Path | None = Field(
        None,
        description="File for the key that a worker gets for its token; by default it gets a new one at each start.",
    )


class IngestConfig(Section):
    """Ingest processes of `serve`."""

    workers: Whole | None = Field(None, ge=0, le=256, description="Ingest processes to start; default one.")


class EgressConfig(Section):
    """Egress processes of `serve`, and how each sends."""

    workers: Whole | None = Field(None, ge=0, le=256, description="Egress processes to start; default one per core.")
    compiled: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Use the compiled send loop: auto (where it was built), always (or do not start), never.",
    )


class TranscodeConfig(Section):
    """Transcode processes: they turn what browsers do not take into H.264 and Opus, while somebody watches it."""

    workers: Whole | None = Field(None, ge=0, le=256, description="Transcode processes to start; default one.")
    max_height: Whole = Field(
        0, ge=0, le=8_192, description="Lines of a converted picture; a higher one is made smaller. 0: as it comes."
    )
    encoder: Literal["auto", "software"] = Field(
        "auto",
        description="What encodes pictures: hardware where a trial at the start shows that it serves, or software.",
    )
    share: float = Field(
        0.75, gt=0, le=1, description="Share of the cores beyond which a process begins no further conversion."
    )
    memory: Whole = Field(
        4_096, ge=0, le=1 << 20, description="MiB that a process may take before what asks for more fails. 0: no limit."
    )


class DrainConfig(Section):
    """How a process ends that is told to: what it has moves to others first."""

    timeout: float = Field(
        8.0,
        ge=0,
        le=86_400,
        description="Seconds that a process told to end (SIGTERM, `nodes drain`) goes on for what cannot move.",
    )


class LimitsConfig(Section):
    """Limits to what strangers, cameras and viewers take of this machine. 0, where it may be given, is no limit."""

    connections: Limit = Field(
        10_000, description="HTTP connections at once; fewer where the system allows fewer open files."
    )
    connections_per_address: Limit = Field(512, description="HTTP connections of one address at once.")
    sockets: Limit = Field(5_000, description="WebSockets at once.")
    sockets_per_address: Limit = Field(256, description="WebSockets of one address at once.")
    socket_queue: Limit = Field(
        4 << 20,
        description="Bytes that may wait for a page that does not read its WebSocket; beyond it the page is cut off.",
    )
    socket_queues: Limit = Field(
        64 << 20, description="Bytes that may wait for all WebSockets; beyond it the page with most is cut off."
    )
    offers: Limit = Field(1_000, description="Viewers' offers that are being answered at once.")
    offers_per_address: Limit = Field(256, description="Offers of one address that are being answered at once.")
    offer_rate: Rate = Field(200.0, description="Viewers' offers a second; ten seconds' worth may come at once.")
    offer_rate_per_address: Rate = Field(25.0, description="Offers a second of one address.")
    offer_rate_per_user: Rate = Field(25.0, description="Offers a second of one user or token.")
    offer_rate_per_camera: Rate = Field(100.0, description="Offers a second for one camera.")
    still_rate: Rate = Field(50.0, description="Stills a second that are asked for.")
    still_rate_per_address: Rate = Field(10.0, description="Stills a second that one address asks for.")
    sessions: Limit = Field(10_000, description="Viewers at once.")
    sessions_per_address: Limit = Field(1_000, description="Viewers of one address at once.")
    sessions_per_user: Limit = Field(1_000, description="Viewers of one user or token at once.")
    sessions_per_camera: Limit = Field(5_000, description="Viewers of one camera at once.")
    free_memory: Limit = Field(128, description="MiB of memory that must be free for a further viewer or WebSocket.")
    cameras: Limit = Field(
        10_000, description="Cameras in all, those of the configuration included; beyond it the API adds none."
    )
    egress_viewers: Whole = Field(
        3_000, ge=1, description="Sessions of an egress process; a further viewer is sent to another one, or refused."
    )
    unheard_viewers: Whole = Field(
        1_000,
        ge=1,
        description="Answered viewers of an egress process that have sent nothing yet; the oldest gives way.",
    )
    proxies: Addresses = Field(
        (), description="Reverse proxies, which speak for many people: limits per address do not hold for them."
    )
    camera_bitrate: Whole = Field(
        200,
        ge=1,
        description="Mbit/s that a camera may send for long; beyond it the camera is slowed, then left alone.",
    )
    cache_bytes: Whole = Field(
        512 << 20,
        ge=16 << 20,
        description="Bytes of pictures that a process keeps of all cameras; the largest history is cut first.",
    )


class SourcesConfig(Section):
    """Where cameras may be, of which kinds, and what a source beside RTSP may take."""

    allow: Schemes = Field(
        ("rtsp", "rtsps", "http", "https"),
        description="Schemes of cameras' URLs: rtsp, rtsps, http, https, rtmp, rtmps, srt, udp, file, device.",
    )
    memory: Whole = Field(
        512,
        ge=64,
        le=1 << 20,
        description="MiB that the process of a source beside RTSP may take before it is ended and started again.",
    )
    networks: Networks = Field(
        (),
        max_length=64,
        description="Networks that cameras may be in, such as 192.168.1.0/24, by name or address; empty for all.",
    )


class StoreConfig(Section):
    """Where cameras that were added at run time are kept."""

    path: Path = Field(Path("camshaft.db"), description="SQLite file for cameras added at run time.")
    key_file: Path | None = Field(
        None,
        description="File with the key that seals passwords there; by default one that is made beside it.",
    )


class LogConfig(Section):
    """Logs, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is written.")
    format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, else JSON lines.")


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


@dataclass(frozen=True, slots=True)
class Leaf:
    """One ``section.key`` that options and variables can set."""

    section: str
    key: str
    field: FieldInfo

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return variable_of(self.section, self.key)

    @property
    def file_variable(self) -> str:
        """The environment variable that names a file which holds it, if it is a secret."""
        return in_file(self.variable)

    @property
    def option(self) -> str:
        """Its command line option."""
        return option_of(self.section, self.key)

    @property
    def is_secret(self) -> bool:
        """Whether its value must not stand on a command line, where every user of the machine can read it."""
        return (self.section, self.key) in SECRETS

    @property
    def is_list(self) -> bool:
        """Whether it takes several values: an option given repeatedly, a variable split at commas."""
        return get_origin(self.field.annotation) is tuple


def leaves() -> Iterator[Leaf]:
    """Every leaf of the model; what is kept by name, as cameras and tokens are, has none."""
    for section, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            for key, leaf in model.model_fields.items():
                if get_origin(leaf.annotation) is not dict:
                    yield Leaf(section, key, leaf)
