"""The cameras and settings that were found in another program's file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from camshaft.importing.address import Address
from common.camera_url import ALLOWED, SCHEMES
from common.cameras import CAMERA_ID, redact
from common.config_file import parse_camera
from common.config_types import Advertise
from common.errors import ConfigError

MAX_SHOWN = 200  # characters of a foreign text in a line
MAX_NAMED = 12  # keys in one
_NO_ID = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True)
class Camera:
    """One camera as it is to be written."""

    name: str
    url: Address
    sub: Address | None = None
    called: str = ""  # by people; else it is called as it is there
    settings: dict[str, Any] = field(default_factory=dict)  # of CameraConfig, beside its addresses
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Found:
    """All that is taken of a file, and sentences on what is not."""

    program: str
    cameras: list[Camera] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # by section
    left_out: list[str] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)  # that cameras have, and how often each was wanted

    @property
    def variables(self) -> list[str]:
        """Variables that have to be set for what was taken."""
        addresses = (address for camera in self.cameras for address in (camera.url, camera.sub) if address is not None)
        return list(dict.fromkeys(name for address in addresses for name in address.wants))

    def leave(self, what: str, why: str) -> None:
        """``what`` is not taken."""
        self.left_out.append(f"{shown(what)}: {why}")

    def leave_keys(self, document: Mapping[Any, Any], taken: Iterable[str]) -> None:
        """Name all keys of a file, or a section, that nobody has looked at."""
        others = [shown(key) for key in document if isinstance(key, str) and key not in set(taken)]
        if others:
            more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
            self.left_out.append(f"{', '.join(others[:MAX_NAMED])}{more}: not looked at")

    def set(self, section: str, key: str, value: object) -> None:
        """Take a setting over."""
        self.settings.setdefault(section, {})[key] = value

    def add(self, camera: Camera) -> None:
        """Take a camera over, under a name that it may have and no other one has; or leave it out, if it cannot be."""
        if problem := camera.url.problem:
            self.leave(camera.name, problem)
            return
        if camera.sub is not None and (problem := camera.sub.problem):
            self.leave(f"{camera.name}, sub-stream", problem)
            camera.sub = None
        name = self._free(_id(camera.name))
        called = camera.called or camera.name
        if called != name and not _unfit(camera, called):
            camera.settings["name"] = called.replace("$", "$$")
        if name != camera.name:
            camera.comments.append(f"called {shown(camera.name)} in {self.program}")
        camera.name = name
        self.cameras.append(camera)
        for address in filter(None, (camera.url, camera.sub)):
            self._allow(address.scheme)

    def _allow(self, scheme: str) -> None:
        """Have ``sources.allow`` name a scheme that it has not by default."""
        allowed = self.settings.get("sources", {}).get("allow", ALLOWED)
        if scheme in SCHEMES and scheme not in allowed:
            self.set("sources", "allow", [*allowed, scheme])

    def _free(self, name: str) -> str:
        """A name like this one that no camera has."""
        free = name
        while free in self._names:
            self._names[name] += 1
            free = f"{name[:57]}-{self._names[name]}"
        self._names[free] = 1
        return free


def shown(text: str) -> str:
    """A foreign text in a line of ours."""
    plain = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_SHOWN])
    return redact(plain)[:MAX_SHOWN]


def texts(value: object) -> Iterator[str]:
    """All text in a value that should be one, or a list of it."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and each.strip():
            yield each.strip()


def is_host(text: str) -> bool:
    """Whether it may stand in ``media.advertise``."""
    try:
        TypeAdapter(Advertise).validate_python([text])
    except ValidationError:
        return False
    return True


def mapping(value: object) -> Mapping[Any, Any]:
    """The value if it holds keys and values, else nothing."""
    return value if isinstance(value, Mapping) else {}


def switched(value: object) -> bool | None:
    """A switch as YAML has it, or as text; ``None`` for what is none."""
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    return words.get(value.strip().lower()) if isinstance(value, str) else value if isinstance(value, bool) else None


def _unfit(camera: Camera, name: str) -> bool:
    """Whether people cannot be shown a camera by that name."""
    try:
        parse_camera({"url": camera.url.example, "name": name})
    except ConfigError:
        return True
    return False


def _id(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name[:MAX_SHOWN]).encode("ascii", "ignore").decode()
    id = _NO_ID.sub("-", plain).strip("-._")[:64]
    return id if CAMERA_ID.fullmatch(id) else "camera"
