"""The bodies and the answers of the account pages: signing in, passwords, users."""

from __future__ import annotations

from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from broker.access.passwords import MAX_LENGTH, MIN_LENGTH
from broker.access.principal import Kind
from broker.access.users import USER_NAME
from broker.front.bodies import read_json
from common.access import AccessRole
from common.config_problem import sentence
from common.config_types import Patterns
from common.errors import RequestError

MAX_BODY = 8 << 10  # bytes
MAX_NAME = 64  # characters of a user's

Form = TypeVar("Form", bound=BaseModel)


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


_Password = Annotated[str, Field(max_length=MAX_LENGTH)]
_Name = Annotated[str, Field(max_length=MAX_NAME)]
# What is new is looked at by whom it is for, which has a sentence for it; the document has what that will say.
_NewName = Annotated[_Name, WithJsonSchema({"type": "string", "pattern": f"^{USER_NAME.pattern}$"})]
_NewPassword = Annotated[
    _Password, WithJsonSchema({"type": "string", "minLength": MIN_LENGTH, "maxLength": MAX_LENGTH})
]


class SignIn(_Form):
    """Name and password of a user."""

    user: _Name
    password: _Password = Field(repr=False)


class FirstAdmin(SignIn):
    """The first user, by the code that the log of the first start shows."""

    user: _NewName
    password: _NewPassword = Field(repr=False)
    code: str = Field(max_length=100, repr=False)


class NewPassword(_Form):
    """Another password in place of one's own."""

    old: _Password = Field(repr=False)
    new: _NewPassword = Field(repr=False)


class Rights(_Form):
    """The rights of a user."""

    role: AccessRole = Field(AccessRole.VIEWER, description="viewer, admin, or monitor, which may only read /metrics.")
    cameras: Patterns = Field((), description="Cameras that a viewer may watch: names, or patterns.")


class NewUser(Rights):
    """A user to add."""

    user: _NewName
    password: _NewPassword = Field(repr=False)


class UserChange(_Form):
    """Rights, a password, or both, in place of those that a user has."""

    role: AccessRole | None = None
    cameras: Patterns | None = None
    password: _NewPassword | None = Field(None, repr=False)


class UserView(BaseModel):
    """A user."""

    user: str
    role: AccessRole
    cameras: tuple[str, ...] = Field(description="Those that a viewer may watch; ignored for an admin.")


class WaysView(BaseModel):
    """The ways to sign in."""

    password: bool
    sign_on: str = Field(description="Text of the single sign-on button; empty without single sign-on.")
    first: bool = Field(description="Nobody can sign in yet: the server's log has a link that makes the first admin.")


class MeView(BaseModel):
    """The person or program that asks."""

    name: str = Field(description="Empty if nobody has to sign in.")
    kind: Kind
    role: AccessRole
    cameras: tuple[str, ...]
    expires: float | None = Field(description="Unix time at which the right expires.")


async def read_form(request: web.Request, form: type[Form]) -> Form:
    """The body as a form. Raises ``RequestError`` that names the field and what is wrong with it."""
    document = await read_json(request, MAX_BODY)
    try:
        return form.model_validate(document)
    except ValidationError as exc:
        error = exc.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, error["loc"]))
        raise RequestError(422, "invalid_form", f"{key}: {sentence(error)}.") from None
