"""The part of the configuration that says who may do what: tokens, groups, signed tokens, a provider of sign-in."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from common.access import AccessRole
from common.config_types import (
    IN_ANY_CASE,
    Digest,
    Expiry,
    FilePath,
    JwtAlgorithm,
    JwtAlgorithms,
    JwtSecret,
    Patterns,
    Section,
    Texts,
    TokenName,
    WebAddress,
)


class GroupConfig(Section):
    """The rights of a group of people."""

    role: AccessRole = Field(AccessRole.VIEWER, description="viewer, admin, or monitor, which may only read /metrics.")
    cameras: Patterns = Field((), description="Cameras that a viewer may watch: names, or patterns such as shop-*.")

    @model_validator(mode="after")
    def _cameras(self) -> Self:
        if self.role is AccessRole.VIEWER and not self.cameras:
            raise ValueError("names no cameras, so it gives no rights; write cameras: ['*'] if it is for all of them")
        if self.role is AccessRole.MONITOR and self.cameras:
            raise ValueError("names cameras, but a monitor reads /metrics and watches none; write role: viewer")
        return self


class TokenConfig(GroupConfig):
    """A static token: what it is known by, and what it gives a right to."""

    sha256: Digest = Field(repr=False, description="SHA-256 of the token, as `camshaft token new` prints it.")
    expires: Expiry | None = Field(
        None, description="When it expires: 2027-01-31, or 2027-01-31T12:00:00Z; default: never."
    )


class AuthConfig(Section):
    """Access to the front door. ``auth: none``, ``CAMSHAFT_AUTH=none`` and ``--auth none`` set its mode."""

    mode: Annotated[Literal["auto", "required", "none"], IN_ANY_CASE] = Field(
        "auto",
        description="Who must show who they are: auto (everybody, unless we listen on the loopback alone, know "
        "of no proxy in front, and there is no token, user, key, proxy or provider to know them by), "
        "required (everybody), none (nobody: who reaches the port may do everything).",
    )
    people: bool = Field(
        True, description="Let users sign in with a password; they are kept in a file next to the store."
    )
    session_hours: float = Field(720.0, gt=0, le=87_600, description="Hours for which a browser stays signed in.")
    user_header: str = Field(
        "", description="Header in which a trusted proxy names the user it has signed in, such as Remote-User."
    )
    groups_header: str = Field(
        "Remote-Groups", description="Header with that user's groups; auth.groups says which rights they give."
    )
    groups: dict[str, GroupConfig] = Field(
        {}, repr=False, description="Rights of groups that a proxy or a sign-in provider names: role and cameras."
    )
    tokens: dict[TokenName, TokenConfig] = Field(
        {}, repr=False, description="Static tokens by name, for programs; `camshaft token new` makes them."
    )

    @model_validator(mode="before")
    @classmethod
    def _word(cls, values: Any) -> Any:
        return {"mode": values} if isinstance(values, str) else values

    @model_validator(mode="after")
    def _no_token_twice(self) -> Self:
        names: dict[str, str] = {}
        for name, token in self.tokens.items():
            if (other := names.setdefault(token.sha256.lower(), name)) != name:
                raise ValueError(f"tokens {other} and {name} are the same token (sha256); whose rights should it have?")
        return self


class JwtConfig(Section):
    """Signed tokens made by another program (JWT, RFC 7519): its keys, and the meaning of its claims."""

    secret: JwtSecret = Field(
        "", repr=False, description="Secret that tokens are signed with (HS256), 32 characters or more."
    )
    key_file: FilePath | None = Field(None, description="PEM file with the public key that tokens are signed with.")
    jwks: WebAddress = Field(
        "", description="https:// address of the keys (JWK Set, RFC 7517); asked again when a token names a new one."
    )
    algorithms: JwtAlgorithms = Field(
        (), description="Accepted signatures: HS256, RS256, ES256, EdDSA; default: those of the kind of key."
    )
    issuer: str = Field("", description="The only accepted `iss` of tokens; empty: any.")
    audience: str = Field("", description="The `aud` that tokens must have; empty: they must have none.")
    name_claim: str = Field("sub", min_length=1, description="Claim with the name for logs and lists.")
    role_claim: str = Field("role", min_length=1, description="Claim that is, or holds, viewer, monitor or admin.")
    cameras_claim: str = Field("cameras", min_length=1, description="Claim with the cameras that a viewer may watch.")

    @property
    def used(self) -> bool:
        """Whether there is a key."""
        return bool(self.secret or self.key_file or self.jwks)

    @property
    def accepted(self) -> tuple[JwtAlgorithm, ...]:
        """The signatures that are accepted."""
        return self.algorithms or (("HS256",) if self.secret else ("RS256", "ES256", "EdDSA"))

    @model_validator(mode="after")
    def _one_kind_of_key(self) -> Self:
        keys = [name for name in ("secret", "key_file", "jwks") if getattr(self, name)]
        if len(keys) > 1:
            raise ValueError(f"has {' and '.join(keys)}, but only one may be given")
        if not keys and self.model_fields_set - {"secret", "key_file", "jwks"}:
            raise ValueError("has no key: give secret, key_file or jwks")
        symmetric = {"HS256"} & set(self.algorithms)
        if keys and self.algorithms and (symmetric != set(self.algorithms) if self.secret else symmetric):
            # Who has the public key could else sign with it as if it were a secret.
            raise ValueError("HS256 goes with a secret, and only with one")
        return self


class OidcConfig(Section):
    """Single sign-on: a provider that signs people in (OpenID Connect, authorisation code with PKCE)."""

    issuer: WebAddress = Field(
        "", description="Address of the provider, as its tokens name it: https://login.example.org."
    )
    client_id: str = Field("", description="The name by which the provider knows this server.")
    client_secret: str = Field("", repr=False, description="The client's secret; empty for a public client.")
    scopes: Texts = Field((), description="Scopes to ask for; default: openid, profile and email.")
    name_claim: str = Field(
        "preferred_username", min_length=1, description="Claim with the user's name; without it, sub."
    )
    groups_claim: str = Field(
        "groups", min_length=1, description="Claim with the user's groups; auth.groups says which rights they give."
    )
    label: str = Field("Single sign-on", min_length=1, max_length=60, description="Text of the sign-in button.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.issuer) != bool(self.client_id):
            raise ValueError("needs issuer and client_id")
        return self
