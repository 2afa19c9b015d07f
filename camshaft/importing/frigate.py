"""Frigate's ``config.yml``: cameras with inputs, each with roles, which often lead through the go2rtc inside it.

The input that records is the camera's main stream, the one that detects its sub-stream. One that leads to Frigate's own
go2rtc stands for the source there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from camshaft.importing import go2rtc
from camshaft.importing.address import Address
from camshaft.importing.found import Camera, Found, mapping, shown, switched, texts

PROGRAM = "Frigate"


def read(document: Mapping[Any, Any]) -> Found:
    """The cameras of a Frigate's ``config.yml``."""
    found = Found(PROGRAM)
    inside = mapping(document.get("go2rtc"))
    set_here = mapping(document.get("environment_vars")).items()
    known = {str(name): str(value) for name, value in set_here if isinstance(value, str | int)}
    streams = go2rtc.Streams(inside.get("streams"), found, known)
    for name, camera in mapping(document.get("cameras")).items():
        if isinstance(name, str | int):
            _take(str(name), mapping(camera), streams, found)
    streams.take_rest()
    go2rtc.settings(inside, found)
    found.leave_keys(document, ("cameras", "go2rtc", "environment_vars"))
    return found


def _take(name: str, section: Mapping[Any, Any], streams: go2rtc.Streams, found: Found) -> None:
    inputs = list(_inputs(section, streams, found, name))
    live = list(_live(name, section, streams))
    main = next((address for address, roles in inputs if "record" in roles), None)
    detecting = next((address for address, roles in inputs if "detect" in roles), None)
    main = main or next(iter(live), None) or next((address for address, _ in inputs), None)
    if switched(section.get("enabled")) is False:
        found.leave(name, "is disabled there (enabled: false)")
    elif main is None:
        found.leave(name, "has no input that can be used")
    else:
        camera = Camera(name, main)
        if detecting is not None and detecting != main:
            camera.sub = detecting
        else:
            camera.sub = next((address for address in live if address != main and address.is_sub), None)
        called = section.get("friendly_name")
        camera.called = called.strip() if isinstance(called, str) else ""
        found.add(camera)


def _inputs(
    section: Mapping[Any, Any], streams: go2rtc.Streams, found: Found, name: str
) -> Iterator[tuple[Address, list[str]]]:
    """Addresses of the camera's inputs, and the roles of each."""
    inputs = mapping(section.get("ffmpeg")).get("inputs")
    for each in inputs if isinstance(inputs, list) else []:
        path, roles = mapping(each).get("path"), list(texts(mapping(each).get("roles")))
        if not isinstance(path, str):
            continue
        if (inside := go2rtc.stream_of(path.strip(), streams.sources)) in streams.sources:
            streams.used.add(inside)
            for source in streams.sources[inside][:1]:
                yield source.address, roles
        elif inside:
            found.leave(
                name,
                f"{shown(inside)} is a stream from Frigate itself, and the file does not say where that comes from",
            )
        elif why := go2rtc.refusal(path.strip()):
            found.leave(name, why)
        else:
            yield Address.of(path.strip(), streams.known), roles


def _live(name: str, section: Mapping[Any, Any], streams: go2rtc.Streams) -> Iterator[Address]:
    """Addresses of the streams that are shown of a camera: those it names, or the one that is called as it is."""
    live = mapping(section.get("live"))
    named = [*texts(live.get("stream_name")), *texts(list(mapping(live.get("streams")).values())), name]
    for stream in dict.fromkeys(named):
        if stream in streams.sources:
            streams.used.add(stream)
            for source in streams.sources[stream][:1]:
                yield source.address
