"""A new configuration is taken by those that can; the rest waits for a restart."""

from __future__ import annotations

from typing import Any

import pytest

from common.config import Config
from common.errors import ConfigError
from common.live import Live, changes, within
from common.settings import LIVE


def config(**sections: Any) -> Config:
    return Config.model_validate(sections)


def cameras(**urls: str) -> dict[str, dict[str, str]]:
    return {name: {"url": url} for name, url in urls.items()}


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ({}, {}, ()),
        ({"http": {"listen": ":1"}}, {"http": {"listen": ":1"}, "log": {}}, ()),
        ({}, {"http": {"listen": ":1", "hosts": ["a"]}}, ("http.listen", "http.hosts")),
        ({"limits": {"offers": 1}}, {}, ("limits.offers",)),
        (
            {"cameras": cameras(a="rtsp://a/", b="rtsp://b/", c="rtsp://c/")},
            {"cameras": cameras(c="rtsp://c/", b="rtsp://other/", d="rtsp://d/")},
            ("cameras.a", "cameras.b", "cameras.d"),
        ),
    ],
)
def test_changes_are_told_by_key(old: dict[str, Any], new: dict[str, Any], keys: tuple[str, ...]) -> None:
    assert changes(config(**old), config(**new)) == keys


def test_a_section_stands_for_its_keys_and_no_others() -> None:
    assert within("limits.offers", ("limits",))
    assert within("log.level", ("log.level",))
    assert not within("log.format", ("log.level",))
    assert not within("limitsx.offers", ("limits",))


def test_owners_get_what_concerns_them_and_the_rest_waits() -> None:
    live, got = Live(config()), []
    live.on("limits", take=lambda new: got.append(("limits", new.limits.offers)))
    live.on("http.hosts", "http.ice_servers", take=lambda new: got.append(("http", new.http.hosts, new.http.listen)))
    live.on("log.level", take=lambda new: got.append(("log", new.log.level)))
    live.on("cameras", take=lambda new: got.append(("cameras", *new.cameras)), always=True)
    taken = live.take(config(limits={"offers": 5}, http={"hosts": ["a"], "listen": ":1"}, media={"port": 1}))
    assert got == [("limits", 5), ("http", ("a",), "127.0.0.1:8080"), ("cameras",)]
    assert taken.changed == ("http.hosts", "limits.offers")
    assert taken.at_restart == ("http.listen", "media.port")


def test_what_waits_is_named_until_it_is_as_it_was() -> None:
    live = Live(config(media={"port": 1}))
    assert live.take(config(media={"port": 2})).at_restart == ("media.port",)
    assert live.take(config(media={"port": 2}, limits={"offers": 1})).at_restart == ("media.port",)
    assert live.running == config(media={"port": 1}, limits={"offers": 1})
    taken = live.take(config(media={"port": 1}, limits={"offers": 1}))
    assert (taken.changed, taken.at_restart) == ((), ())


def test_a_mistake_that_one_owner_finds_keeps_all_others_from_taking() -> None:
    live, got = Live(config()), []

    def check(new: Config) -> None:
        if new.http.hosts:
            raise ConfigError("is not ours", key="http.hosts")

    live.on("limits", take=lambda new: got.append(new.limits.offers))
    live.on("http.hosts", take=lambda new: got.append(new.http.hosts), check=check)
    with pytest.raises(ConfigError, match="is not ours"):
        live.take(config(limits={"offers": 5}, http={"hosts": ["a"]}))
    assert got == []
    assert live.running == config()
    live.take(config(limits={"offers": 5}))
    assert got == [5]


def test_the_places_of_the_new_configuration_are_taken_with_it() -> None:
    old = Config.model_validate({"cameras": cameras(a="rtsp://a/")}, context={"origin_of": lambda _: "line 1"})
    new = Config.model_validate({"cameras": cameras(a="rtsp://a/")}, context={"origin_of": lambda _: "line 2"})
    live = Live(old)
    assert live.take(new).changed == ()
    assert live.running.origin_of("a") == "line 2"


def test_only_what_is_said_to_be_live_has_owners() -> None:
    with pytest.raises(ValueError, match=r"not in LIVE.*media\.port"):
        Live(config()).on("limits.offers", "media.port", take=lambda _: None)


def test_everything_that_is_said_to_be_live_is_a_setting() -> None:
    for key in LIVE:
        section, _, leaf = key.partition(".")
        assert section in Config.model_fields
        assert not leaf or leaf in type(getattr(Config(), section)).model_fields
