"""Signed tokens (JWT, RFC 7519): whether one is good, and the rights that its claims give. No I/O.

Which signatures are accepted is the configuration's word and never the token's (RFC 8725 3.1), and a key serves for
signatures of its own kind alone. The key's name (``kid``) is looked up in a table, and nothing else is done with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jwt
from jwt.types import Options

from broker.access.principal import MAX_NAME, Kind, Principal
from common.access import CAMERA_PATTERN, AccessRole
from common.config_access import JwtConfig
from common.errors import RequestError

LEEWAY = 5.0  # seconds by which the clocks of who signs and of us may differ
MAX_TOKEN = 8 << 10  # characters: more fits in no header
MAX_CAMERAS = 1_000  # of one token
MAX_TIME = 253_402_300_799.0  # the end of the year 9999, beyond which nobody writes a time
MIN_RSA_BITS = 2_048  # RFC 7518 3.3

_OPTIONS: Options = {"require": ["exp"]}


def looks_signed(token: str) -> bool:
    """Whether the text has the form of a signed token (RFC 7515 7.1)."""
    return token.count(".") == 2 and len(token) <= MAX_TOKEN


class KeyName(NamedTuple):
    """The key that a token says it is signed with: by the name, empty if it has none, and the algorithm."""

    name: str
    algorithm: str


def key_name(token: str) -> KeyName:
    """The name of a token's key, which nobody has verified. Raises ``RequestError``."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError):  # the latter of what is no text
        raise _refusal("This is not a signed token.") from None
    name, algorithm = (each if isinstance(each, str) else "" for each in (header.get("kid"), header.get("alg")))
    return KeyName(name, algorithm)


def usable_key(jwk: jwt.PyJWK, algorithms: Collection[str]) -> Any:
    """The key of a JWK Set, if it is one for a signature that is accepted; else ``None``."""
    key = jwk.key
    if jwk.key_type == "oct" or jwk.algorithm_name not in algorithms or jwk.public_key_use not in (None, "sig"):
        return None
    return None if getattr(key, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and jwk.key_type == "RSA" else key


def verified(token: str, key: Any, config: JwtConfig) -> Mapping[str, Any]:
    """The claims of a token that was signed with this key. Raises ``RequestError``."""
    try:
        return jwt.decode(
            token,
            key,
            algorithms=list(config.accepted),
            options=_OPTIONS,
            audience=config.audience or None,
            issuer=config.issuer or None,
            leeway=LEEWAY,
        )
    except jwt.ExpiredSignatureError:
        raise RequestError(401, "expired_token", "This token has expired; ask for a new one.") from None
    except jwt.ImmatureSignatureError:
        raise _refusal("This token is not valid yet; are the clocks right?") from None
    except jwt.MissingRequiredClaimError as exc:
        raise _refusal(f"This token has no {exc.claim}.") from None
    except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
        raise _refusal("This token is for another service, or comes from another one.") from None
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.InvalidKeyError):
        raise _refusal("This token's signature is not accepted here.") from None
    except (jwt.PyJWTError, ValueError, TypeError):  # also of keys that do not go with the signature
        raise _refusal("This token has the wrong kind of key, or an invalid claim.") from None


def principal_of(claims: Mapping[str, Any], config: JwtConfig) -> Principal:
    """The rights that verified claims give. A token without a role is a viewer's; of several the mightiest counts."""
    said = claims.get(config.role_claim)  # a text as a whole: "no admin" is none
    roles = said if isinstance(said, list) else [said]
    cameras = tuple(
        each for each in texts(claims.get(config.cameras_claim), MAX_CAMERAS) if CAMERA_PATTERN.fullmatch(each)
    )
    role = next((role for role in _MIGHTIEST_FIRST if role.value in roles), AccessRole.VIEWER)
    expires = float(min(int(claims["exp"]), MAX_TIME))
    return Principal(Kind.JWT, plain_name(claims.get(config.name_claim)), role, cameras, expires)


_MIGHTIEST_FIRST = AccessRole.ADMIN, AccessRole.VIEWER, AccessRole.MONITOR


def plain_name(value: object) -> str:
    """The name as logs and lists may have it: short, and without the characters that mean something in a label."""
    text = value if isinstance(value, str) else ""
    return "".join(each if each.isprintable() and each not in "#:" else "_" for each in text[:MAX_NAME])


def texts(value: object, most: int) -> list[str]:
    """The words of a claim that is a list, or a text with blanks or commas between them; ``most`` of them."""
    if isinstance(value, str):
        return value[:MAX_TOKEN].replace(",", " ").split()[:most]
    return [each for each in value[:most] if isinstance(each, str)] if isinstance(value, list) else []


def _refusal(sentence: str) -> RequestError:
    return RequestError(401, "invalid_token", sentence)
