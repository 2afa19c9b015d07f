"""Types of the configuration's values: what each may be, and the sentence for what it may not."""

import contextlib
import ipaddress
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from common.access import CAMERA_PATTERN
from common.address import base_path, split_ice_server, split_listen, split_stun_server
from common.camera_url import NO_NAME, read_pasted
from common.cameras import CAMERA_ID, CameraName
from common.errors import ProtocolError
from common.token import WorkerToken

OWN_PATHS = frozenset(
    {"account", "api", "healthz", "metrics", "mse", "readyz", "sign-in", "static", "watch", "whep", "ws"}
)  # that the front door's addresses begin with; a test holds that
MAX_LABEL = 100  # characters of a name that people see
_OCTET, _END_OF_HOST = "(?:[01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5])", r"(?:[:/?#\\]|$)"
# Of a host in numbers only an IPv4 address is one: common.camera_url says why.
_NO_NUMBER = rf"(?!(?:[^/\\]*@)?(?!{_OCTET}(?:\.{_OCTET}){{3}}{_END_OF_HOST})[0-9][0-9.]*{_END_OF_HOST})"
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")  # of a host


def _in_any_case(pattern: str) -> str:
    """The pattern for letters of either case: JSON's expressions know no other way."""
    return "".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in pattern)


# What everybody takes for an address. Of what is pasted more is read, and less said of it: common.camera_url.
_USERINFO = r"(?!\*[:@])(?:[A-Za-z0-9._~!&()*+,;=:-]|%[0-9A-Fa-f]{2})*@"
_HOST = rf"(?!{_in_any_case(NO_NAME)}{_END_OF_HOST})(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]{{2,45}}\])"
_PORT = ":(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3})"
_ELSEWHERE = f"(?![!-~]*(?:{_in_any_case('rtsp')}|{_in_any_case('/onvif/device')}))"  # of ONVIF, or two addresses
_PATH = rf"[/?#]{_ELSEWHERE}[!#-&(-;=?A-Z^_a-z|~]*"
_CAMERA_URL = rf"^{_in_any_case('rtsp')}[Ss]?://{_NO_NUMBER}(?:{_USERINFO})?{_HOST}(?:{_PORT})?(?:{_PATH})?$"
_NO_LINE = r"\x00-\x1f\x7f-\x9f\u2028\u2029"  # controls, and what ends a line
_ONE_LINE = (
    rf"[^{_NO_LINE}\ud800-\udfff]*"  # nor half of a character, which JSON can say, but no regular expression of JSON's
)
MAX_ORDER = 1_000_000
MIN_JWT_SECRET = 32  # characters
MIN_SECRET = 16  # characters: less is guessed
_FINGERPRINT = "([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}"
MAX_PORT = 65_535
MAX_URL = 2_048  # characters of a camera's address: it stands in logs, reports and requests


def _camera_url(url: str) -> str:
    if len(url) > MAX_URL:
        raise ValueError(f"has {len(url)} characters; no more than {MAX_URL} are allowed")
    return read_pasted(url).url


def _camera_id(name: str) -> CameraName:
    if not CAMERA_ID.fullmatch(name):
        raise ValueError(
            "a camera's name has 1 to 64 letters, digits, '.', '_' or '-', and starts with a letter or digit"
        )
    return CameraName(name)


def _label(value: str) -> str:
    if not re.fullmatch(_ONE_LINE, value):
        raise ValueError("must be text in one line")
    return value


def _token_name(name: str) -> str:
    if not CAMERA_ID.fullmatch(name):
        raise ValueError(
            "a token's name has 1 to 64 letters, digits, '.', '_' or '-', and starts with a letter or digit"
        )
    return name


def _listen(value: str) -> str:
    split_listen(value)
    return value


def _listen_or_not(value: str) -> str:
    return _listen(value) if value else value


def _fingerprint(value: str) -> str:
    if not re.fullmatch(_FINGERPRINT, value):
        raise ValueError("must be the 64 hexadecimal digits of a SHA-256 fingerprint, with or without colons")
    return value


def _no_flag(value: object) -> object:
    if isinstance(value, bool):  # YAML's yes and on, which would pass as 1
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _no_flag_but_number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - as above
    return value


def _in_lower_case(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _several(value: object) -> object:
    if isinstance(value, str):  # one, where a list may stand
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("must be text or a list of it, such as [192.0.2.7, cameras.example.org]")  # noqa: TRY004 - as above
    return value


def _host(value: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(value))
    with contextlib.suppress(UnicodeError):
        value = value if value.isascii() else value.encode("idna").decode()  # as browsers ask for it
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
        raise ValueError("must be only a name, such as cameras.example.org, without https:// and without a port")
    return value.rstrip(".")


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("must be an IP address, such as 192.0.2.7") from None


def _network(value: str) -> str:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be a network such as 192.168.1.0/24 or 2001:db8::/32, or an IP address") from None
    if network.network_address != ipaddress.ip_address(value.partition("/")[0]):
        raise ValueError(f"{value} is an address within a network; write {network} for the whole network")
    return str(network)


def _base_path(value: str) -> str:
    path = base_path(value)
    if path is None:
        raise ValueError("must be a path such as /cams, of letters, digits, '.', '_', '~' and '-' between slashes")
    if (first := path.split("/")[1] if path else "") in OWN_PATHS:
        raise ValueError(f"may not begin with /{first}, which is an address of this server's own; take another word")
    return path


def _ice_server(value: str) -> str:
    split_ice_server(value)
    return value


def _advertised(value: str) -> str:
    if stun := split_stun_server(value):
        if stun[0].isdigit():  # go2rtc's word for its own port
            raise ValueError("names no server: must be stun:HOST[:PORT], such as stun:stun.example.org")
        return value
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        if _NAME.fullmatch(value):
            return value
        what = "only an address or a name, without https:// and without a port, or stun:HOST[:PORT]"
        raise ValueError(f"must be {what}") from None
    if address.is_unspecified:
        raise ValueError(f"{value} is not an address of any machine; leave it out, or write one that viewers can reach")
    return value


def _path(value: Path) -> Path:
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError("names a home directory that is not known here; write the whole path") from None


def _switch_or_port(value: object) -> object:
    """``on``, ``off`` or a port's number as text. YAML has made truth values and numbers of them."""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = str(value).strip().lower()
    text = {"yes": "on", "true": "on", "no": "off", "false": "off"}.get(text, text)
    if text in ("on", "off") or (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        return text
    raise ValueError(f"must be on, off or the number of a port, up to {MAX_PORT}")


def _secret(value: str) -> str:
    if value and len(value.strip()) < MIN_SECRET:
        raise ValueError(f"must have {MIN_SECRET} characters or more; openssl rand -hex 16 makes some")
    return value


def _token(value: str) -> str:
    try:
        return str(WorkerToken.parse(value)) if value else value
    except ProtocolError as exc:
        raise ValueError(str(exc)) from None


def _digest(value: str) -> str:
    if not re.fullmatch("[0-9A-Fa-f]{64}", value):
        raise ValueError("must be the 64 hexadecimal digits that `camshaft token new` prints, not the token itself")
    return value.lower()


def _pattern(value: str) -> str:
    if not CAMERA_PATTERN.fullmatch(value):
        raise ValueError("must be a camera's name, or a pattern of names with * and ?, such as shop-*")
    return value


def _jwt_secret(value: str) -> str:
    if value and len(value) < MIN_JWT_SECRET:
        raise ValueError(
            f"must have {MIN_JWT_SECRET} characters or more (RFC 7518 3.2); openssl rand -hex 32 makes some"
        )
    return value


def _web_address(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s#]*)?", value):
        raise ValueError("must be an address such as https://login.example.org/keys, without user and password")
    return value


def _aware(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


IN_ANY_CASE = BeforeValidator(_in_lower_case)
"""Reads a word of which a few are allowed in any case: INFO, None."""

JwtAlgorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
SwitchOrPort = Annotated[
    str, BeforeValidator(_switch_or_port), WithJsonSchema({"type": "string", "pattern": "^(on|off|[0-9]{1,5})$"})
]
Whole = Annotated[int, BeforeValidator(_no_flag)]
CameraUrl = Annotated[
    str,
    AfterValidator(_camera_url),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _CAMERA_URL,
            "maxLength": MAX_URL,
        }
    ),
]
CameraId = Annotated[
    CameraName, AfterValidator(_camera_id), WithJsonSchema({"type": "string", "pattern": f"^{CAMERA_ID.pattern}$"})
]
Label = Annotated[
    str,
    AfterValidator(_label),
    Field(max_length=MAX_LABEL),
    WithJsonSchema({"type": "string", "pattern": f"^[^{_NO_LINE}]*$", "maxLength": MAX_LABEL}),
]
FilePath = Annotated[Path, AfterValidator(_path)]
BasePath = Annotated[str, AfterValidator(_base_path)]
Listen = Annotated[str, AfterValidator(_listen)]
ListenOrNot = Annotated[str, AfterValidator(_listen_or_not)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
Advertise = Annotated[tuple[Annotated[str, AfterValidator(_advertised)], ...], BeforeValidator(_several)]
IceServers = Annotated[tuple[Annotated[str, AfterValidator(_ice_server)], ...], BeforeValidator(_several)]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_several)]
Scheme = Literal["rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp", "file", "device"]
# As ``common.camera_url`` has them; a test holds that.
Schemes = Annotated[tuple[Scheme, ...], BeforeValidator(_several)]
Limit = Annotated[int, BeforeValidator(_no_flag), Field(ge=0)]
Rate = Annotated[float, BeforeValidator(_no_flag_but_number), Field(ge=0, allow_inf_nan=False)]
Addresses = Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], BeforeValidator(_several)]
Pattern = Annotated[
    str, AfterValidator(_pattern), WithJsonSchema({"type": "string", "pattern": f"^{CAMERA_PATTERN.pattern}$"})
]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(_several)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_several)]
Fingerprint = Annotated[
    str, AfterValidator(_fingerprint), WithJsonSchema({"type": "string", "pattern": f"^{_FINGERPRINT}$"})
]


JwtAlgorithms = Annotated[tuple[JwtAlgorithm, ...], BeforeValidator(_several)]
Secret = Annotated[str, AfterValidator(_secret)]
WorkerTokenText = Annotated[str, AfterValidator(_token)]
JwtSecret = Annotated[str, AfterValidator(_jwt_secret)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Digest = Annotated[str, AfterValidator(_digest)]
TokenName = Annotated[str, AfterValidator(_token_name)]
Expiry = Annotated[datetime, AfterValidator(_aware)]


class Section(BaseModel):
    """A part of the configuration: what it does not know is a mistake, and no value stands in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
