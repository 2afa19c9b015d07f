"""Tokens that somebody else has signed: keys of each kind, and a desk that judges what is signed with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.access.desk import Credentials, Desk, SignedTokens
from broker.access.keys import key_of
from broker.access.principal import Principal
from common.cameras import CameraName
from common.config_access import AuthConfig, JwtConfig
from common.errors import RequestError

SECRET = "a secret of more than sixty-four characters, as the longest of these signatures wants"
NOW = 4_000_000_000  # Unix time at which no test runs
YARD, HALL = CameraName("yard"), CameraName("hall")
CLAIMS: dict[str, Any] = {"sub": "anna", "exp": NOW, "cameras": ["yard"]}
PEM = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
WEAK = rsa.generate_private_key(65_537, 1_024).public_key()


class Time:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def desk(clock: Callable[[], float] | None = None, **config: Any) -> Desk:
    jwt_config = JwtConfig.model_validate(config)
    found = key_of(jwt_config, clock or Time())
    assert found is not None
    return Desk(AuthConfig(), None, lambda: NOW - 100.0, local=True, signed=SignedTokens(jwt_config, found))


async def who(asked: Desk, token: str) -> Principal:
    principal = await asked.identify(Credentials(token=token))
    assert principal is not None
    return principal


async def refused(asked: Desk, token: str) -> RequestError:
    with pytest.raises(RequestError) as error:
        await who(asked, token)
    assert SECRET not in str(error.value)
    return error.value


def pair(kind: str) -> tuple[Any, Any]:
    private: Any = {
        "RS256": lambda: rsa.generate_private_key(65_537, 2_048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }[kind]()
    return private, private.public_key()
