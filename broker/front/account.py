"""Signing in and out, one's own password, and the users that an admin sees to.

Users are written to a file by a thread, one write at a time: it waits for the disk.

A password is looked at in a thread, for the hashing takes 30 ms; a few at a time, for each takes 19 MiB. Who guesses
has to wait ever longer (``broker.access.passwords``), and is told so with 429 and Retry-After.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel

from broker.access.passwords import Guesses, check_length, hashed, is_right, keys_of, keys_of_address
from broker.access.people import People
from broker.access.principal import Kind
from broker.access.users import User, check_name, plain, wrong_password
from broker.front.context import CONTEXT
from broker.front.cookies import cookie_of, cookies_of, forget_cookie, set_cookie
from broker.front.forms import (
    FirstAdmin,
    MeView,
    NewPassword,
    NewUser,
    SignIn,
    UserChange,
    UserView,
    WaysView,
    read_form,
)
from broker.front.gate import COOKIE, check_still, principal_of
from broker.front.peer import address_of
from common.access import AccessRole
from common.errors import RequestError

T = TypeVar("T")

DEVICE = "camshaft_device"  # the cookie by which a browser is known in which a user has signed in before
DEVICE_DAYS = 180.0  # without a sign-in; after them its user waits as others do while somebody guesses
MAX_COOKIES = 8  # of one name in a request; a browser has one for each path, of which there are two or three
STALE_LINK = "This link is from an earlier start; the log has the link of the latest one."
NOT_FIRST = (
    "There is already an admin, or an admin's token: sign in, or run, on the server's machine, "
    "`camshaft user add NAME --role admin`."
)
NICENESS = 5  # of the threads that look at passwords, beyond the process's own
HASHING, WAITING = 2, 32  # passwords that are looked at at once, and that may wait for their turn …
WAITING_KNOWN = 8  # … and those of browsers that are known: strangers cannot take their room


class Account:
    """Everything that passwords need between requests."""

    def __init__(self) -> None:
        self.guesses = Guesses()
        self.code = secrets.token_urlsafe(24)  # makes the first admin
        self._hashing = ThreadPoolExecutor(HASHING, "password", _give_way)
        self._writing = ThreadPoolExecutor(1, "people")
        self._waiting = 0

    async def hashed(self, password: str) -> str:
        """The password as it is kept. Raises ``RequestError`` for one that may not be."""
        check_length(password)
        return await asyncio.get_running_loop().run_in_executor(self._hashing, hashed, password)

    def check_room(self, *, known: bool) -> None:
        """Raises ``RequestError`` if too many want to know whether a password is right."""
        if self._waiting >= WAITING + (WAITING_KNOWN if known else 0):
            raise RequestError(429, "busy", "Too many people are signing in; try again in a moment.")

    async def is_right(self, password: str, user: User | None) -> bool:
        """Whether this is the user's password."""
        self._waiting += 1
        try:
            hash = None if user is None else user.hash
            return await asyncio.get_running_loop().run_in_executor(self._hashing, is_right, password, hash)
        finally:
            self._waiting -= 1

    async def written(self, write: Callable[[], T]) -> T:
        """Have a thread write to the users' file, after all that were asked for before. Raises what ``write`` does."""
        return await asyncio.get_running_loop().run_in_executor(self._writing, write)

    def close(self) -> None:
        """Let go of the threads; nobody waits any more for what they do."""
        for threads in (self._hashing, self._writing):
            threads.shutdown(wait=False, cancel_futures=True)


def _give_way() -> None:
    """Have this thread work only while no picture waits for the core."""
    with contextlib.suppress(OSError, AttributeError):
        ours = os.getpriority(os.PRIO_PROCESS, os.getpid())  # which an operator may have made better than others'
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), ours + NICENESS)


ACCOUNT = web.AppKey("account", Account)


def prepare(app: web.Application) -> None:
    """Give the application what passwords need."""
    app[ACCOUNT] = Account()
    app.on_cleanup.append(_let_go)


async def _let_go(app: web.Application) -> None:
    app[ACCOUNT].close()


async def sign_in(request: web.Request) -> web.Response:
    """Sign in with name and password: sets the cookie. Raises ``RequestError``."""
    form = await read_form(request, SignIn)
    user = await _check_password(request, form.user, form.password)
    return await _signed_in(request, user)


async def ways(request: web.Request) -> web.Response:
    """The ways to sign in here, for the page that does it."""
    context = request.app[CONTEXT]
    label = "" if context.sign_on is None else context.sign_on_label
    first = first_admin_path(request.app) != ""
    return _answer(WaysView(password=context.desk.people is not None, sign_on=label, first=first))


async def sign_out(request: web.Request) -> web.Response:
    """Sign out in this browser."""
    people = request.app[CONTEXT].desk.people
    for cookie in cookies_of(request, COOKIE)[:MAX_COOKIES]:  # the next would count, once the first is gone
        if people is not None and people.is_signed_in(cookie):
            principal = people.find(cookie, now=request.app[CONTEXT].desk.now)
            await request.app[ACCOUNT].written(partial(people.sign_out, cookie))
            if principal is not None:
                told = {"user": principal.name, "address": address_of(request)}
                request.app[CONTEXT].audit.info("signed out", about=address_of(request) or "", **told)
    response = web.Response(status=204)
    forget_cookie(request, response, COOKIE)
    return response


async def me(request: web.Request) -> web.Response:
    """The person or program that asks, and its rights."""
    principal = principal_of(request)
    view = MeView(
        name=principal.name,
        kind=principal.kind,
        role=principal.role,
        cameras=principal.cameras,
        expires=principal.expires,
    )
    return _answer(view)


async def change_password(request: web.Request) -> web.Response:
    """Change the password of the user who is signed in, and sign out its other browsers. Raises ``RequestError``."""
    principal = principal_of(request)
    if principal.kind is not Kind.USER:
        raise RequestError(409, "no_password", "You did not sign in with a password, so there is none to change.")
    form = await read_form(request, NewPassword)
    try:
        user = await _check_password(request, principal.name, form.old)
    except RequestError as exc:
        sentence = "The old password is wrong." if exc.code == "wrong_password" else exc.message
        raise RequestError(exc.status, exc.code, sentence, exc.retry_after) from None
    hash = await request.app[ACCOUNT].hashed(form.new)
    check_still(request)
    change = partial(people_of(request).set_password, principal.name, hash, keep=principal.proof, was=user.hash)
    await request.app[ACCOUNT].written(change)
    return web.Response(status=204)


async def make_first_admin(request: web.Request) -> web.Response:
    """The first user, by the code of the first start: an admin, and signed in. Raises ``RequestError``."""
    context, account = request.app[CONTEXT], request.app[ACCOUNT]
    form = await read_form(request, FirstAdmin)
    keys = keys_of_address(context.quotas.address(address_of(request)))  # of all it would keep the owner out as well
    _check_wait(request, keys, form.user)
    if not hmac.compare_digest(form.code.encode(errors="replace"), account.code.encode()):
        account.guesses.wrong(keys, context.clock())
        sentence = STALE_LINK if context.desk.ownerless else NOT_FIRST
        raise refused_sign_in(request, RequestError(403, "wrong_code", sentence), form.user)
    check_name(form.user)
    hash = await account.hashed(form.password)
    if not context.desk.ownerless:  # asked last, as the hashing lets others in
        raise RequestError(409, "not_first", NOT_FIRST)
    add = partial(people_of(request).add, form.user, hash, AccessRole.ADMIN, (), now=context.desk.now, first=True)
    user = await account.written(add)
    context.audit.info("first admin made", about=address_of(request) or "", user=user.name, address=address_of(request))
    return await _signed_in(request, user)


async def list_users(request: web.Request) -> web.Response:
    """All users."""
    users = [_view(user).model_dump(mode="json") for user in people_of(request).users]
    return web.json_response(users, headers={hdrs.CACHE_CONTROL: "no-store"})


async def add_user(request: web.Request) -> web.Response:
    """A new user."""
    form = await read_form(request, NewUser)
    check_name(form.user)
    hash = await request.app[ACCOUNT].hashed(form.password)
    check_still(request)
    now = request.app[CONTEXT].desk.now
    add = partial(people_of(request).add, form.user, hash, form.role, form.cameras, now=now)
    user = await request.app[ACCOUNT].written(add)
    return _answer(_view(user), status=201)


async def change_user(request: web.Request) -> web.Response:
    """Other rights, or another password: then the user is signed out everywhere."""
    people = people_of(request)
    form = await read_form(request, UserChange)
    hash = None if form.password is None else await request.app[ACCOUNT].hashed(form.password)
    check_still(request)
    change = partial(people.change, request.match_info["user"], form.role, form.cameras, hash=hash)
    return _answer(_view(await request.app[ACCOUNT].written(change)))


async def remove_user(request: web.Request) -> web.Response:
    """A user is none any more; its sessions end."""
    await request.app[ACCOUNT].written(partial(people_of(request).remove, request.match_info["user"]))
    return web.Response(status=204)


def first_admin_path(app: web.Application) -> str:
    """The path of the page that makes the first admin; empty if there is one, or nobody has to sign in."""
    desk = app[CONTEXT].desk
    return f"sign-in#code={app[ACCOUNT].code}" if desk.people is not None and desk.ownerless else ""


async def _check_password(request: web.Request, name: str, password: str) -> User:
    """The user, whose password this is. Raises ``RequestError``."""
    context, account, people = request.app[CONTEXT], request.app[ACCOUNT], people_of(request)
    meant, mark = people.user(name, typed=True), cookie_of(request, DEVICE)
    called = plain(name) if meant is None else meant.name  # a guess counts for one user, however it writes the name
    device = mark if mark and people.knows_device(called, mark, now=context.desk.now) else ""
    keys = keys_of(context.quotas.address(address_of(request)), called, device)
    _check_wait(request, keys, name)
    try:
        account.check_room(known=bool(device))
    except RequestError as exc:
        raise refused_sign_in(request, exc, name) from None
    account.guesses.wrong(keys, context.clock())
    user = people.user(name, typed=True)
    if await account.is_right(password, user) and user is not None:
        account.guesses.right(keys)
        if _has_same_password(people, user):
            return user
    raise refused_sign_in(request, wrong_password(), name)


def refused_sign_in(request: web.Request, refusal: RequestError, name: str) -> RequestError:
    """The refusal, once it is counted and logged. ``name`` is the one that was given, if any.

    One that is nobody's stays out of the log: it may be a password, typed where the name should have been.
    """
    context, address = request.app[CONTEXT], address_of(request)
    people = context.desk.people
    user = people.user(name, typed=True) if people is not None else None
    context.counters[f"access_{refusal.code}"] += 1
    context.audit.warning(
        "sign-in refused",
        about=context.quotas.address(address) or "",
        reason=refusal.message,
        user="" if user is None else user.name,
        address=address,
    )
    return refusal


def _has_same_password(people: People, user: User) -> bool:
    """Whether it was not changed while it was looked at, and the user is there yet."""
    now = people.user(user.name)
    return now is not None and now.hash == user.hash


def _check_wait(request: web.Request, keys: tuple[tuple[str, str], ...], name: str) -> None:
    wait = request.app[ACCOUNT].guesses.wait(keys, request.app[CONTEXT].clock())
    if wait > 0:
        refusal = RequestError(429, "must_wait", f"Too many wrong passwords; try again in {wait:.0f} s.", wait)
        raise refused_sign_in(request, refusal, name)


async def _signed_in(request: web.Request, user: User) -> web.Response:
    context, people, name = request.app[CONTEXT], people_of(request), user.name
    lifetime = context.desk.login_seconds
    now = context.desk.now
    sign_in = partial(people.sign_in, name, now=now, expires=now + lifetime, hash=user.hash)
    cookie = await request.app[ACCOUNT].written(sign_in)
    context.audit.info("signed in", about=address_of(request) or "", user=name, address=address_of(request))
    response = web.Response(status=204)
    set_cookie(request, response, COOKIE, cookie, lifetime)
    known_for = DEVICE_DAYS * 86_400
    set_cookie(request, response, DEVICE, people.device(name, expires=now + known_for), known_for)
    return response


def people_of(request: web.Request) -> People:
    """The users. Raises ``RequestError`` where there are none."""
    people = request.app[CONTEXT].desk.people
    if people is None:
        raise RequestError(409, "no_people", "Users with passwords are disabled here (auth.people).")
    return people


def _view(user: User) -> UserView:
    return UserView(user=user.name, role=user.role, cameras=user.cameras)


def _answer(view: BaseModel, *, status: int = 200) -> web.Response:
    headers = {hdrs.CACHE_CONTROL: "no-store"}
    return web.json_response(text=view.model_dump_json(), status=status, headers=headers)
