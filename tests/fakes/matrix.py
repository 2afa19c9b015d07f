"""Every route for everybody: who is let in and who is refused, by whatever way one shows who one is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from broker.front.gate import Right
from broker.front.routes import ROUTES
from tests.fakes.broker import RunningBroker

WHO = ("nobody", "stranger", "monitor", "other", "viewer", "admin")  # from the least to the mightiest
ALLOWED = {
    Right.ANYBODY: WHO,
    Right.SIGNED_IN: ("monitor", "other", "viewer", "admin"),
    Right.CAMERA: ("viewer", "admin"),
    Right.SESSION: ("viewer", "admin"),
    Right.OWNER: WHO,
    Right.MONITOR: ("monitor", "admin"),
    Right.ADMIN: ("admin",),
}
SIGN_OUT = "DELETE", "/api/login"

Shown = Callable[[str], Mapping[str, Any]]
"""For each of ``WHO`` the options of a request that show it: headers, query or cookies."""


async def check_matrix(
    broker: RunningBroker, session: str, shown: Shown, *, but: Collection[tuple[str, str]] = ()
) -> None:
    """Ask for every route as everybody. ``session`` is one of the viewer's, of the camera yard, at 10.0.0.1."""
    for route in ROUTES:
        if (route.method, route.path) in but:
            continue
        for who in WHO:  # what the mightiest does last may destroy what the route is about
            path = route.path.format(
                camera="yard", id="yard", session=session, name="style.css", user="none", node="none"
            )
            async with broker.http.request(route.method, path, allow_redirects=False, **shown(who)) as answer:
                to_form = answer.headers.get("Location", "").partition("?")[0].endswith("sign-in")  # of a browser
                let_in = answer.status not in (401, 403) and not to_form
                assert let_in == (who in ALLOWED[route.right]), (route.method, route.path, who, answer.status)
                if answer.status == 401:
                    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                if not let_in:
                    assert "10.0.0.1" not in await answer.text()
