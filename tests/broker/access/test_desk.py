from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.access.desk import Credentials, Desk
from broker.access.people import People, people_path
from broker.access.policy import check_door
from broker.access.principal import EVERYBODY, GRACE
from broker.access.tokens import digest_of
from common.access import AccessRole
from common.cameras import CameraName
from common.config import Config
from common.config_access import AuthConfig, JwtConfig, OidcConfig
from common.control import NodeName, Report, Role, ViewerReport, ViewerState, decode_for_broker, encode
from common.errors import ConfigError, RequestError

END = 1_000_000.0
YARD, HALL = CameraName("yard"), CameraName("hall")


class Now:
    time = END - 1_000.0

    def __call__(self) -> float:
        return self.time


def auth(**more: object) -> AuthConfig:
    expires = datetime.fromtimestamp(END, UTC)
    wall = {"sha256": digest_of("secret"), "cameras": ["yard"], "expires": expires}
    return AuthConfig.model_validate({"tokens": {"wall": wall}} | more)


def desk(now: Now, people: People | None = None, **more: object) -> Desk:
    return Desk(auth(**more), people, now, local=True)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with closing(People(people_path(tmp_path / "camshaft.db"))) as people:
        yield people


async def test_who_shows_a_token_is_known_by_its_name() -> None:
    principal = await desk(Now()).identify(Credentials(token="secret"))
    assert principal is not None
    assert (principal.label, principal.is_admin, principal.expires) == ("token:wall", False, END)


async def test_who_shows_nothing_is_nobody() -> None:
    assert await desk(Now()).identify(Credentials()) is None


async def test_where_nobody_has_to_sign_in_everybody_is_everything() -> None:
    open_to_all = desk(Now(), mode="none")
    assert await open_to_all.identify(Credentials(token="whatever")) is EVERYBODY
    assert open_to_all.still(EVERYBODY)
    assert open_to_all.hindrance("token:gone", 0.0, YARD) == ""


async def test_a_token_that_is_not_known_is_refused() -> None:
    with pytest.raises(RequestError) as refused:
        await desk(Now()).identify(Credentials(token="guess"))
    assert (refused.value.status, refused.value.code) == (401, "invalid_token")


async def test_a_token_that_has_run_out_is_refused() -> None:
    now = Now()
    now.time = END
    with pytest.raises(RequestError) as refused:
        await desk(now).identify(Credentials(token="secret"))
    assert (refused.value.status, refused.value.code) == (401, "expired_token")


async def test_a_session_goes_on_for_a_minute_after_its_token() -> None:
    now = Now()
    asked = desk(now)
    principal = await asked.identify(Credentials(token="secret"))
    assert principal is not None
    now.time = END + GRACE - 1
    assert asked.hindrance("token:wall", END, YARD) == ""
    assert asked.still(principal)
    now.time = END + GRACE
    assert "expired" in asked.hindrance("token:wall", END, YARD)
    assert not asked.still(principal)


@pytest.mark.parametrize(
    ("holder", "camera"), [("token:wall", HALL), ("token:gone", YARD), ("open", YARD), ("", YARD), ("user:a#b", YARD)]
)
def test_a_session_ends_when_its_right_is_taken(holder: str, camera: CameraName) -> None:
    assert desk(Now()).hindrance(holder, None, camera)


async def test_a_socket_of_somebody_whose_rights_changed_is_not_its_any_more() -> None:
    principal = await desk(Now()).identify(Credentials(token="secret"))
    assert principal is not None
    assert desk(Now()).still(principal)
    taken = desk(Now(), tokens={}, mode="required")
    assert not taken.still(principal)
    assert not taken.still(EVERYBODY)


async def test_a_token_that_takes_anothers_name_takes_none_of_its_sessions() -> None:
    """A token that others have got hold of is replaced by one that has its name and its rights."""
    principal = await desk(Now()).identify(Credentials(token="secret"))
    assert principal is not None
    assert principal.label == "token:wall"
    wall = {"sha256": digest_of("another secret"), "cameras": ["yard"]}
    replaced = desk(Now(), tokens={"wall": wall})
    assert "revoked" in replaced.hindrance(principal.holder, principal.expires, YARD)
    assert not replaced.still(principal)
    assert desk(Now()).hindrance("token:wall", END, YARD) == "", "as the release before said it, which had no proof"


async def test_a_token_that_is_given_less_time_ends_what_it_has_begun() -> None:
    principal = await desk(Now()).identify(Credentials(token="secret"))
    assert principal is not None
    now = Now()
    shorter = {"sha256": digest_of("secret"), "cameras": ["yard"], "expires": now.time - GRACE}
    assert "expired" in desk(now, tokens={"wall": shorter}).hindrance(principal.holder, principal.expires, YARD)


async def test_a_user_is_known_by_its_cookie_as_long_as_it_is_signed_in(people: People) -> None:
    now = Now()
    asked = desk(now, people)
    people.add("anna", "h", AccessRole.ADMIN, (), now=now.time)
    people.add("ben", "h", AccessRole.VIEWER, ("yard",), now=now.time)
    cookie = people.sign_in("ben", now=now.time, expires=END)
    ben = await asked.identify(Credentials(cookie=cookie))
    assert ben is not None
    assert (ben.label, ben.may_watch(YARD), ben.may_watch(HALL)) == ("user:ben", True, False)
    assert asked.still(ben)
    assert asked.hindrance(ben.holder, END, YARD) == ""
    assert asked.hindrance(ben.holder, END, HALL)

    people.change("ben", AccessRole.VIEWER, ("hall",))
    assert not asked.still(ben)
    assert asked.hindrance(ben.holder, END, YARD)
    assert asked.hindrance(ben.holder, END, HALL) == ""

    people.sign_out(cookie)
    assert asked.hindrance(ben.holder, END, HALL)
    assert await asked.identify(Credentials(cookie=cookie)) is None
    assert await asked.identify(Credentials(cookie="guess")) is None


async def test_the_first_user_closes_a_door_on_the_loopback(people: People) -> None:
    asked = desk(Now(), people, tokens={})
    assert not asked.required
    people.add("anna", "h", AccessRole.ADMIN, (), now=0.0)
    assert asked.required
    assert not asked.ownerless


@pytest.mark.parametrize(
    ("more", "local", "required", "ownerless"),
    [
        ({"tokens": {}}, True, False, False),
        ({"tokens": {}}, False, True, True),
        ({"tokens": {}, "mode": "required"}, True, True, True),
        ({}, True, True, True),
        ({"mode": "none"}, False, False, False),
        ({"tokens": {"boss": {"sha256": "0" * 64, "role": "admin"}}}, False, True, False),
    ],
)
def test_who_has_to_sign_in(
    more: dict[str, object], people: People, *, local: bool, required: bool, ownerless: bool
) -> None:
    asked = Desk(auth(**more), people, Now(), local=local)
    assert (asked.required, asked.ownerless) == (required, ownerless)


async def test_a_token_that_is_taken_back_opens_no_door() -> None:
    asked = desk(Now())
    asked.take(auth(tokens={}))
    assert asked.required
    assert await asked.identify(Credentials()) is None
    asked.take(auth(tokens={}, mode="none"))
    assert await asked.identify(Credentials()) is EVERYBODY
    assert not desk(Now(), tokens={}).required, "from its start on"


async def test_what_groups_give_to_whom_a_proxy_signs_in_is_as_the_file_has_it_now() -> None:
    def with_groups(**groups: object) -> Desk:
        return desk(Now(), user_header="Remote-User", groups=groups)

    family, guests = {"cameras": ["yard", "hall"]}, {"cameras": ["yard"]}
    asked = with_groups(family=family, ops={"role": "admin"})
    ben = await asked.identify(Credentials(user="ben", groups=("family", "unknown#,here")))
    assert ben is not None
    assert ben.label == "proxy:ben"
    assert asked.still(ben)
    assert asked.hindrance(ben.holder, ben.expires, HALL) == ""
    smaller = with_groups(family=guests, ops={"role": "admin"})
    assert not smaller.still(ben)
    assert "this camera" in smaller.hindrance(ben.holder, ben.expires, HALL)
    assert smaller.hindrance(ben.holder, ben.expires, YARD) == ""
    assert "this camera" in with_groups().hindrance(ben.holder, ben.expires, YARD)
    assert asked.hindrance("proxy:ben", ben.expires, HALL) == "", "as the release before said it, without the groups"
    late = Now()
    late.time += 40 * 86_400
    assert "expired" in desk(late, user_header="Remote-User").hindrance(ben.holder, ben.expires, YARD)


async def test_who_is_in_very_many_groups_keeps_all_of_them_when_another_broker_reads_of_the_session() -> None:
    groups = {f"video-surveillance-{number:03}": {"cameras": [f"yard-{number:03}"]} for number in range(100)}
    asked = desk(Now(), user_header="Remote-User", groups=groups)
    ben = await asked.identify(Credentials(user="ben", groups=tuple(groups)))
    assert ben is not None
    assert asked.still(ben)
    last = CameraName("yard-099")
    assert ben.may_watch(last)
    viewer = ViewerReport("s1", last, ViewerState.CONNECTED, principal=ben.holder)
    report = decode_for_broker(encode(Report(NodeName("out-1"), Role.EGRESS, incarnation="1", viewers=(viewer,))))
    assert isinstance(report, Report)
    assert asked.hindrance(report.viewers[0].principal, ben.expires, last) == ""


@pytest.mark.parametrize(("sign_on", "more"), [(True, {}), (False, {"user_header": "Remote-User"})])
def test_groups_make_an_admin_of_nobody_whom_nobody_puts_into_them(*, sign_on: bool, more: dict[str, object]) -> None:
    groups: dict[str, object] = {"tokens": {}, "groups": {"ops": {"role": "admin"}}}
    assert Desk(auth(**groups), None, Now(), local=False).ownerless
    assert not Desk(auth(**groups | more), None, Now(), local=False, sign_on=sign_on).ownerless


def test_a_provider_needs_the_file_that_keeps_who_is_signed_in() -> None:
    oidc = OidcConfig(issuer="https://login.example.org", client_id="camshaft")
    with pytest.raises(ConfigError, match=r"auth\.people") as refused:
        check_door(Config(auth=auth(people=False), oidc=oidc), local=False)
    assert refused.value.key == "oidc.issuer"
    check_door(Config(auth=auth(tokens={}), oidc=oidc), local=False)


@pytest.mark.parametrize(
    ("more", "local", "key"),
    [
        ({"tokens": {}, "people": False}, False, "http.listen"),
        ({"tokens": {}, "people": False, "mode": "required"}, True, "auth.mode"),
    ],
)
def test_a_door_is_not_opened_that_nobody_could_pass(more: dict[str, object], *, local: bool, key: str) -> None:
    with pytest.raises(ConfigError, match="camshaft token new") as refused:
        check_door(Config(auth=auth(**more)), local=local)
    assert refused.value.key == key


@pytest.mark.parametrize("more", [{}, {"people": False}, {"mode": "none", "people": False, "tokens": {}}])
def test_any_other_is(more: dict[str, object]) -> None:
    check_door(Config(auth=auth(**more)), local=False)


def test_a_door_with_signed_tokens_is() -> None:
    check_door(Config(auth=auth(tokens={}, people=False), jwt=JwtConfig(secret="s" * 32)), local=False)


def test_a_header_that_everybody_could_send_names_nobody() -> None:
    with pytest.raises(ConfigError, match="trusted_proxies") as refused:
        check_door(Config(auth=auth(user_header="Remote-User")), local=False)
    assert refused.value.key == "auth.user_header"
    check_door(Config(auth=auth(user_header="Remote-User"), http={"trusted_proxies": ["10.0.0.2"]}), local=False)
