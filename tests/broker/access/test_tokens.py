from __future__ import annotations

import hashlib

import pytest

from broker.access.principal import EVERYBODY, Kind, Principal
from broker.access.tokens import MAX_TOKEN, StaticTokens, digest_of, new_token
from common.access import AccessRole
from common.cameras import CameraName
from common.config_access import TokenConfig


def test_each_token_is_another_and_has_256_random_bits() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token.removeprefix("camshaft_")) == 43 for token in tokens)
    assert digest_of("camshaft_x") == hashlib.sha256(b"camshaft_x").hexdigest()


def test_a_token_is_found_by_its_digest() -> None:
    token = new_token()
    known = StaticTokens({"wall": TokenConfig(sha256=digest_of(token).upper(), cameras=("shop-*",))})
    assert len(known) == 1
    proof = digest_of(token)[:12]
    wall = Principal(Kind.TOKEN, "wall", AccessRole.VIEWER, ("shop-*",), proof=proof)
    assert known.find(token) == known.named("wall", proof) == known.named("wall", "") == wall
    assert known.named("wall", digest_of(new_token())[:12]) is None


@pytest.mark.parametrize("wrong", ["", "wall", "x" * MAX_TOKEN, "\udcff", "camshaft_" + "A" * 43, "x" * 1_000_000])
def test_nothing_else_is(wrong: str) -> None:
    known = StaticTokens({"wall": TokenConfig(sha256=digest_of(new_token()), cameras=("*",))})
    assert known.find(wrong) is None
    assert known.named("hall", "") is None


@pytest.mark.parametrize(
    ("patterns", "camera", "may"),
    [
        (("yard",), "yard", True),
        (("yard",), "yard/sub", True),  # the camera's other stream
        (("yard",), "yard2", False),
        (("yard",), "Yard", False),
        (("shop-*", "yard"), "shop-3", True),
        (("shop-?",), "shop-33", False),
        (("*",), "anything", True),
        ((), "yard", False),
    ],
)
def test_a_viewer_sees_its_cameras(patterns: tuple[str, ...], camera: str, *, may: bool) -> None:
    viewer = Principal(Kind.TOKEN, "wall", AccessRole.VIEWER, patterns)
    assert viewer.may_watch(CameraName(camera)) is may
    assert Principal(Kind.TOKEN, "boss", AccessRole.ADMIN).may_watch(CameraName(camera))


def test_the_label_tells_who_it_is() -> None:
    assert Principal(Kind.TOKEN, "wall", AccessRole.VIEWER).label == "token:wall"
    assert EVERYBODY.label == "open"
    assert EVERYBODY.is_admin
