"""``camshaft user``: people who sign in with a password, in the file beside the broker's store.

For the broker's machine. A broker that runs sees each change within a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from camshaft.options import Given, access_role, configured
from camshaft.table import table, tell
from common.access import CAMERA_PATTERN, AccessRole
from common.errors import CamshaftError, ConfigError, RequestError

if TYPE_CHECKING:
    from broker.access.people import People


@click.group()
def user() -> None:
    """Add, list, change and remove the people who sign in with a password. Runs on the broker's machine."""


@user.command()
@click.argument("name")
@access_role
@click.option(
    "--camera",
    "cameras",
    metavar="NAME",
    multiple=True,
    help="A camera that a viewer may watch, or a pattern such as shop-*.",
)
@configured("store")
def add(given: Given, name: str, role: str, cameras: tuple[str, ...]) -> None:
    """Add the user NAME. The password is asked for, or read from standard input."""
    _check_cameras(cameras)
    with _people(given, new=True) as people:
        people.check(name, AccessRole(role), cameras)  # before somebody types a password
        people.add(name, _hashed_password(), AccessRole(role), cameras, now=time.time())
    click.echo(f"User {name} is added, for the broker whose store is {given.config().store.path.absolute()}.")


@user.command("list")
@configured("store")
def list_(given: Given) -> None:
    """List the users and their rights."""
    with _people(given) as people:
        users = people.users
    if not users:
        click.echo("There are no users; add one: camshaft user add NAME --role admin")
        return
    rows = [
        (each.name, each.role.value, ", ".join(each.cameras) or ("all" if each.role is AccessRole.ADMIN else "none"))
        for each in users
    ]
    tell(table([("NAME", "ROLE", "CAMERAS"), *rows]))


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in AccessRole]), help="Another role.")
@click.option(
    "--camera",
    "cameras",
    metavar="NAME",
    multiple=True,
    help="A camera to watch, or a pattern such as shop-*; replaces all previous ones.",
)
@configured("store")
def edit(given: Given, name: str, role: str | None, cameras: tuple[str, ...]) -> None:
    """Give the user NAME another role, or other cameras. What they may no longer watch stops within seconds."""
    if role is None and not cameras:
        raise ConfigError("say what to change: --role, --camera or both", where="user edit")
    _check_cameras(cameras)
    wanted = None if role is None else AccessRole(role)
    with _people(given) as people:
        people.change(name, wanted, () if wanted is AccessRole.MONITOR and not cameras else cameras or None)
    click.echo(f"User {name} is changed.")


@user.command()
@click.argument("name")
@configured("store")
def password(given: Given, name: str) -> None:
    """Give the user NAME a new password; they are signed out everywhere."""
    with _people(given) as people:
        if people.user(name) is None:
            raise ConfigError(f"there is no user {name!r}; see `camshaft user list`")
        people.set_password(name, _hashed_password())
    click.echo(f"User {name} has a new password.")


@user.command()
@click.argument("name")
@configured("store")
def remove(given: Given, name: str) -> None:
    """Remove the user NAME; they are signed out everywhere, and what they watch stops."""
    with _people(given) as people:
        people.remove(name)
    click.echo(f"User {name} is removed.")


def _check_cameras(cameras: tuple[str, ...]) -> None:
    for camera in cameras:
        if not CAMERA_PATTERN.fullmatch(camera):
            raise ConfigError(f"{camera!r} is not a camera's name or a pattern such as shop-*", where="--camera")


@contextmanager
def _people(given: Given, *, new: bool = False) -> Iterator[People]:
    """The people of the broker that is configured; ``new``: they may be the first. Raises ``CamshaftError``."""
    from broker.access.people import open_people, people_path

    path = people_path(given.config().store.path).absolute()
    if not new and not path.exists():
        raise ConfigError(
            f"{path} does not exist: no broker has its store there, and no user was added; name its store, or add one: "
            "camshaft user add NAME --role admin",
            key="store.path",
        )
    try:
        with closing(open_people(given.config())) as people:
            yield people
    except RequestError as exc:
        raise CamshaftError(exc.message) from None


def _hashed_password() -> str:
    from broker.access.passwords import check_length, hashed

    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        typed = sys.stdin.readline().rstrip("\n")
    check_length(typed)
    return hashed(typed)
