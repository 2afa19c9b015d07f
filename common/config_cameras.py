"""The operator's cameras: one of them as the configuration, the REST API and imported files have it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from pydantic import Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from common.camera_url import read_pasted, refusal
from common.cameras import SUB, CameraName, CameraSpec, TlsSpec, Transport, stream_of
from common.config_types import MAX_ORDER, CameraUrl, Fingerprint, Label, Section, Whole


class TlsConfig(Section):
    """How the certificate of an rtsps or https camera is judged."""

    verify: bool = Field(True, description="Verify the certificate against the system's authorities.")
    fingerprint: Fingerprint | None = Field(None, description="SHA-256 of the only certificate accepted.")
    legacy: bool = Field(False, description="Allow the old ciphers and TLS versions of old cameras.")

    def spec(self) -> TlsSpec:
        """The settings as an ingest worker is told of them."""
        return TlsSpec(self.verify, self.fingerprint, self.legacy)


class StreamConfig(Section):
    """One of a camera's streams."""

    url: CameraUrl = Field(repr=False, description="Like the camera's url.")
    tls: TlsConfig | None = Field(None, description="Certificate checks for rtsps and https; by default the camera's.")

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

    main: SkipJsonSchema[StreamConfig | None] = Field(None, description="The camera's url, if not given there.")
    sub: StreamConfig | None = Field(
        None, description="A stream with a smaller picture; pulled while somebody watches it."
    )


class Refused(NamedTuple):
    """A URL that a camera may not have: its key, and why not."""

    key: tuple[str, ...]
    problem: str


class CameraConfig(Section):
    """One camera. Also the body of the REST API."""

    url: CameraUrl = Field(
        repr=False,
        description="Address, with user and password if needed; its scheme has to be in sources.allow.",
    )
    transport: Transport = Field(
        Transport.AUTO, description="Transport of RTP: auto (TCP, then UDP, then multicast), tcp, udp or multicast."
    )
    on_demand: bool = Field(False, description="Pull the camera only while somebody watches.")
    keep_after: float = Field(10.0, ge=0, le=86_400, description="Seconds to keep an on-demand camera without viewers.")
    one_session: bool = Field(
        False,
        description="The camera serves one client at a time. If not set, this is learnt from its refusals (453, 503).",
    )
    tls: TlsConfig = Field(TlsConfig(), description="Certificate checks for rtsps and https.")
    streams: StreamsConfig = Field(StreamsConfig(), repr=False, description="Its other streams: sub.")
    name: Label = Field("", description="The name that people see, such as Kitchen, back door; by default its id.")
    group: Label = Field("", description="The heading under which lists show it.")
    order: Whole = Field(0, ge=-MAX_ORDER, le=MAX_ORDER, description="Its place in lists: lower numbers come first.")

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
                            f"the main stream's {key} is given twice, here and in streams.main; remove one"
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
