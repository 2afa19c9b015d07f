"""The operator's configuration: one model that the YAML file, ``CAMSHAFT_…`` variables and options all fill.

Precedence: option, variable, file, default. Every leaf ``section.key`` of the model is also the variable
``CAMSHAFT_SECTION_KEY`` and the option ``--section-key``; its help text is the field's description.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin
from urllib.parse import unquote

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from common.cameras import CAMERA_ID, CameraSpec, TlsSpec, Transport, redact
from common.errors import ConfigError

ENV_PREFIX = "CAMSHAFT_"
CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"  # names the file
CAMERA_VARIABLE = f"{ENV_PREFIX}CAMERA"
DEMO_VARIABLE = f"{ENV_PREFIX}DEMO"  # the simulated camera, from serve to its broker
SIMULATED = "camshaft serve, which simulates it"  # the place of such a camera
_ICE_SERVER = re.compile(
    r"(?P<scheme>stuns?|turns?):(?:(?P<user>[^\s:@]+):(?P<password>[^\s@]+)@)?"
    r"(?P<server>(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?(?:\?transport=(?:udp|tcp))?)"
)
MIN_SECRET = 16  # characters: less is guessed
CAMERA_SCHEMES = ("rtsp://", "rtsps://")


def default_broker_address() -> str:
    """``ipc`` in a directory that only this user can enter, the same for every process of the user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    directory = Path(runtime) / "camshaft" if runtime else Path(tempfile.gettempdir()) / f"camshaft-{os.getuid()}"
    return f"ipc://{directory}"


def _camera_url(url: str) -> str:
    if not url.lower().startswith(CAMERA_SCHEMES):
        raise ValueError(f"must start with {' or '.join(CAMERA_SCHEMES)}")
    if not re.match(r"[a-z]+://[^/?#\s]", url, re.IGNORECASE) or any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError("must be rtsp://host[:port][/path] without spaces; user:password@ may stand before the host")
    return url


def _camera_id(name: str) -> str:
    if not CAMERA_ID.fullmatch(name):
        raise ValueError("a camera's name has 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit")
    return name


def _listen(value: str) -> str:
    split_listen(value)
    return value


def _fingerprint(value: str) -> str:
    if not re.fullmatch(r"([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", value):
        raise ValueError("must be the 64 hexadecimal digits of a SHA-256 fingerprint; colons may stand between them")
    return value


def _no_flag(value: object) -> object:
    if isinstance(value, bool):  # YAML's yes and on, which would pass as 1
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _several(value: object) -> object:
    if isinstance(value, str):  # one, where a list may stand
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("must be text or a list of it, such as [192.0.2.7, cameras.example.org]")  # noqa: TRY004 - as above
    return value


def _host(value: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(value))
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
        raise ValueError("must be a name alone, such as cameras.example.org, without https:// and without a port")
    return value


def _ice_server(value: str) -> str:
    split_ice_server(value)
    return value


Whole = Annotated[int, BeforeValidator(_no_flag)]


def _secret(value: str) -> str:
    if value and len(value.strip()) < MIN_SECRET:
        raise ValueError(f"must have {MIN_SECRET} characters or more; openssl rand -hex 16 makes some")
    return value


CameraUrl = Annotated[str, AfterValidator(_camera_url)]
CameraId = Annotated[str, AfterValidator(_camera_id)]
Listen = Annotated[str, AfterValidator(_listen)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
IceServers = Annotated[tuple[Annotated[str, AfterValidator(_ice_server)], ...], BeforeValidator(_several)]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_several)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]


def split_listen(value: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[v6]:PORT`` or ``:PORT`` (all interfaces) as host and port. Raises ``ValueError``."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^:\[\]]*)):(\d{1,5})", value)
    if not match or int(match[3]) > 65_535:
        raise ValueError("must be HOST:PORT, [IPV6]:PORT, or :PORT for all interfaces")
    return match[1] or match[2], int(match[3])


def split_ice_server(value: str) -> tuple[str, str, str]:
    """``turn:USER:PASSWORD@HOST:PORT`` as the URI without them (RFC 7064, 7065), user and password.

    Raises ``ValueError``. Characters with a meaning are written as %XX in user and password.
    """
    match = _ICE_SERVER.fullmatch(value)
    user, password = (unquote(part or "") for part in match.group("user", "password")) if match else ("", "")
    if not match or bool(user) != value.startswith("turn") or not (user + password).isascii():
        raise ValueError("must be stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT, which ?transport=tcp may follow")
    return f"{match['scheme']}:{match['server']}", user, password


def reachable_host(host: str) -> str:
    """Where this machine itself reaches what listens on ``host``."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - replaced, not bound


def page_address(host: str, port: int) -> str:
    """What a person on this machine types into a browser."""
    host = reachable_host(host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TlsConfig(_Section):
    """How the certificate of an rtsps camera is judged."""

    verify: bool = Field(True, description="Verify the certificate against the system's authorities.")
    fingerprint: Fingerprint | None = Field(None, description="SHA-256 of the only certificate accepted.")
    legacy: bool = Field(False, description="Allow the old ciphers and TLS versions of old cameras.")


class CameraConfig(_Section):
    """One camera. Also the body of the REST API."""

    url: CameraUrl = Field(
        repr=False, description="rtsp:// or rtsps:// address, with user and password if it needs them."
    )
    transport: Transport = Field(Transport.AUTO, description="How RTP comes: auto (TCP, then UDP), tcp, udp.")
    on_demand: bool = Field(False, description="Pull the camera only while somebody watches.")
    keep_after: float = Field(10.0, ge=0, le=86_400, description="Seconds to keep an on-demand camera without viewers.")
    tls: TlsConfig = Field(TlsConfig(), description="Certificate checks for rtsps.")

    def spec(self, name: str, revision: int = 0) -> CameraSpec:
        """What an ingest worker is told."""
        tls = TlsSpec(self.tls.verify, self.tls.fingerprint, self.tls.legacy)
        return CameraSpec(name, self.url, self.transport, self.on_demand, self.keep_after, tls, revision)


class HttpConfig(_Section):
    """The front door: page, WHEP, WebSocket and REST."""

    listen: Listen = Field("127.0.0.1:8080", description="HOST:PORT to listen on; :PORT for all interfaces.")
    hosts: Hosts = Field(
        (),
        description="Names that people reach us by; any other is refused then, and on the loopback always.",
    )
    ice_servers: IceServers = Field(
        (),
        repr=False,
        description="STUN and TURN servers for viewers: stun:HOST:PORT, turn:USER:PASSWORD@HOST:PORT.",
        json_schema_extra={"secret": True},
    )


class MediaConfig(_Section):
    """Where viewers' media leaves: one UDP port an egress process."""

    port: Whole = Field(
        8189, ge=0, le=65_535, description="First UDP port; each further egress of `serve` takes the next. 0: any."
    )
    listen: str = Field("", description="Address to bind; empty for every interface, IPv4 and IPv6.")
    advertise: Texts = Field(
        (), description="Addresses or names that viewers reach us by; empty for those of this machine's interfaces."
    )


class BrokerConfig(_Section):
    """The address that every worker knows."""

    address: str = Field(
        default_factory=default_broker_address,
        description="ipc:///DIRECTORY on one machine, tcp://HOST:PORT (three ports from PORT on) on several.",
    )


class ClusterConfig(_Section):
    """What the machines of a cluster share."""

    secret: Annotated[str, AfterValidator(_secret)] = Field(
        "",
        repr=False,
        description="Encrypts and authenticates the bus between machines; the same on each.",
        json_schema_extra={"secret": True},
    )


class IngestConfig(_Section):
    """Ingest processes of `serve`."""

    workers: Whole = Field(1, ge=0, le=256, description="Ingest processes to start.")


class EgressConfig(_Section):
    """Egress processes of `serve`."""

    workers: Whole | None = Field(None, ge=0, le=256, description="Egress processes to start; default one per core.")


class StoreConfig(_Section):
    """Where cameras that were added at run time are kept."""

    path: Path = Field(Path("camshaft.db"), description="SQLite file for cameras added at run time.")


class LogConfig(_Section):
    """Logs, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is shown.")
    format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, else JSON lines.")


class Config(_Section):
    """Everything that can be configured."""

    cameras: dict[CameraId, CameraConfig] = Field({}, description="Cameras by name.")
    http: HttpConfig = HttpConfig()
    media: MediaConfig = MediaConfig()
    broker: BrokerConfig = Field(default_factory=BrokerConfig)
    cluster: ClusterConfig = ClusterConfig()
    ingest: IngestConfig = IngestConfig()
    egress: EgressConfig = EgressConfig()
    store: StoreConfig = StoreConfig()
    log: LogConfig = LogConfig()
    _places: dict[str, str] = PrivateAttr(default_factory=dict)

    def place_of(self, camera: str) -> str:
        """Where a person changes one of ``cameras``: ``camshaft.yaml, line 3``, or a variable's name."""
        return self._places.get(camera, "the configuration")


def parse_camera(document: Mapping[str, Any]) -> CameraConfig:
    """One camera as the REST API is given it. Raises ``ConfigError`` with the key and what is allowed there."""
    try:
        return CameraConfig.model_validate(document)
    except ValidationError as exc:
        error = _telling(exc)
        raise ConfigError("", _dotted(error["loc"]), _problem(error, ("cameras", "", *error["loc"]))) from None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One ``section.key`` that options and variables can set."""

    section: str
    key: str
    field: FieldInfo

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"{ENV_PREFIX}{self.section}_{self.key}".upper()

    @property
    def option(self) -> str:
        """Its command line option."""
        return f"--{self.section}-{self.key}".replace("_", "-")

    @property
    def is_secret(self) -> bool:
        """Whether its value must not stand on a command line, where every user of the machine can read it."""
        extra = self.field.json_schema_extra
        return isinstance(extra, dict) and extra.get("secret") is True

    @property
    def is_list(self) -> bool:
        """Whether it takes several values: an option given repeatedly, a variable split at commas."""
        return get_origin(self.field.annotation) is tuple


def leaves() -> Iterator[Leaf]:
    """Every leaf of the model but the cameras'."""
    for section, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            for key, leaf in model.model_fields.items():
                yield Leaf(section, key, leaf)


def load(
    path: Path | None, overrides: Mapping[Leaf, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> Config:
    """Read the file (if any), lay variables and then ``overrides`` (the options) over it, and validate.

    An empty variable counts as one that is not set. ``CAMSHAFT_CAMERA`` adds cameras, see ``cameras_of``. Raises
    ``ConfigError`` with the line, variable or option to mend, the key, and what is allowed there.
    """
    document = _Document()
    if path is not None:
        document.read(path)
    for leaf in leaves():
        if text := environ.get(leaf.variable):
            document.put((leaf.section, leaf.key), text, leaf.variable)
    for variable, place in ((CAMERA_VARIABLE, CAMERA_VARIABLE), (DEMO_VARIABLE, SIMULATED)):
        for name, url in cameras_of(environ.get(variable, "")):
            document.put(("cameras", name, "url"), url, place)
    for leaf, value in (overrides or {}).items():
        document.put((leaf.section, leaf.key), value, leaf.option)
    return document.validate()


def cameras_of(value: str) -> Iterator[tuple[str, str]]:
    """Name and URL of each ``[NAME=]URL`` in ``CAMSHAFT_CAMERA``; several are separated by spaces.

    Cameras without a name are called ``camera``, ``camera-2``, ``camera-3``.
    """
    unnamed = 0
    for word in value.split():
        if match := _NAMED_URL.fullmatch(word):
            yield match[1], match[2]
        else:
            unnamed += 1
            yield "camera" if unnamed == 1 else f"camera-{unnamed}", word


_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
_NAMED_URL = re.compile(r"([^=:/@]*)=(\w+://.*)")
_MAX_DEPTH = 4  # cameras.NAME.tls.verify: below that a file can only be wrong, and an alias may recurse
_Path = tuple[str | int, ...]


class _Document:
    """A configuration being put together, and for each of its keys the place it came from."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._sources: dict[_Path, str] = {}
        self._file = ""

    def read(self, path: Path) -> None:
        """Take over a YAML file."""
        self._file = str(path)
        try:
            text = path.read_text("utf-8")
        except OSError as exc:
            raise ConfigError(self._file, "", f"cannot be read: {exc.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(self._file, "", "is not UTF-8 text") from None
        try:
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
            self._map(node, ())
            loaded = loader.construct_document(node) if node is not None else None
        except RecursionError:
            raise ConfigError(self._file, "", "not valid YAML: nested too deeply") from None
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            where = f"{self._file}, line {mark.line + 1}" if mark else self._file
            raise ConfigError(where, "", f"not valid YAML: {exc.problem}") from None
        except yaml.YAMLError:
            raise ConfigError(self._file, "", "not valid YAML") from None
        if loaded is not None and not isinstance(loaded, dict):
            raise ConfigError(self._file, "", f"must hold keys and values; allowed: {_names(Config)}")
        self._root = loaded or {}

    def _map(self, node: yaml.Node | None, at: _Path) -> None:
        if node is None or len(at) > _MAX_DEPTH:
            return
        self._sources.setdefault(at, f"{self._file}, line {node.start_mark.line + 1}")
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._map(item, (*at, index))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                where = f"{self._file}, line {key.start_mark.line + 1}"
                if not isinstance(key, yaml.ScalarNode):
                    raise ConfigError(where, _dotted(at), "a key must be plain text")
                below = (*at, key.value)
                if key.tag != _MERGE:
                    key.tag = _TEXT  # a camera may be called 1, no or on, which YAML takes for other things
                if below in self._sources:
                    raise ConfigError(where, _dotted(below), "is given twice")
                self._sources[below] = where
                self._map(value, below)

    def put(self, at: tuple[str, ...], value: object, source: str) -> None:
        """Set one value over whatever the file says."""
        section = self._root
        for depth, key in enumerate(at[:-1], 1):
            below = section.setdefault(key, {})
            if below is None:
                below = section[key] = {}
            if not isinstance(below, dict):
                raise ConfigError(self._where(at[:depth]), _dotted(at[:depth]), "must hold keys and values")
            section = below
        section[at[-1]] = value
        self._sources = {path: place for path, place in self._sources.items() if path[: len(at)] != at}
        self._sources[at] = source

    def validate(self) -> Config:
        """The model, or ``ConfigError`` for the first mistake."""
        # An empty section ("http:" alone) is the section's defaults, as a person reads it.
        document = {key: value for key, value in self._root.items() if value is not None}
        try:
            config = Config.model_validate(document)
        except ValidationError as exc:
            error = _telling(exc)
            at = tuple(part for part in error["loc"] if part != "[key]")
            raise ConfigError(self._where(at), _dotted(at), _problem(error, at)) from None
        config._places.update((camera, self._where(("cameras", camera, "url"))) for camera in config.cameras)
        return config

    def _where(self, at: _Path) -> str:
        while at and at not in self._sources:
            at = at[:-1]
        return self._sources.get(at, self._file)


def _telling(exc: ValidationError) -> ErrorDetails:
    """The mistake to show: where a key is misspelt, that also says why another one is missing."""
    errors = exc.errors(include_url=False, include_input=False)
    return next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])


def _dotted(at: _Path) -> str:
    return redact(".".join(map(str, at)))  # somebody may have put a URL where the name belongs


def _names(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)


def _model_at(at: _Path) -> type[BaseModel] | None:
    """The section that the keys of ``at`` lead to."""
    model: type[BaseModel] = Config
    for depth, key in enumerate(at):
        if model is Config and key == "cameras":
            return _model_at_camera(at[depth + 2 :]) if len(at) > depth + 1 else None
        field = model.model_fields.get(str(key))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return None
        model = field.annotation
    return model


def _model_at_camera(at: _Path) -> type[BaseModel] | None:
    return TlsConfig if at[:1] == ("tls",) else CameraConfig


def _problem(error: ErrorDetails, at: _Path) -> str:
    """What is wrong, and what is allowed."""
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        model = _model_at(at[:-1])
        return f"unknown key; allowed here: {_names(model)}" if model else "unknown key"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        model = _model_at(at)
        return f"must hold keys and values{f'; allowed: {_names(model)}' if model else ''}"
    model = _model_at(at[:-1])
    field = model.model_fields.get(str(at[-1])) if model else None
    hint = f" ({field.description})" if field and kind != "value_error" else ""
    return ("is missing" if kind == "missing" else message[:1].lower() + message[1:]) + hint
