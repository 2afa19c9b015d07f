"""Whether a camera has let one session in, and what its refusals say of user name and password; no I/O.

401 is the plain word for it. Some cameras refuse a wrong password in other words, or hang up: ``SuspectedLoginError``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from common.cameras import CameraState
from common.errors import CameraError
from ingest.quoting import quoted
from ingest.rtsp.auth import MAX_CHALLENGE, Authenticator, Challenge, Pin
from ingest.rtsp.url import RtspUrl

_SUSPECTED = {400, 404, 454, 455}  # to the first request with a password: some cameras refuse it so


_IF_RIGHT = "if they are right, the account may be locked for a while after failed tries, or may not use RTSP"
_SET_DIGEST = "set the camera's RTSP authentication to Digest with MD5 or SHA-256"


def _words(challenge: str) -> str:
    """The scheme, and of Digest what may be the reason that nobody answers it."""
    scheme = challenge.partition(" ")[0]
    odd = [each.strip(" ,") for each in re.findall(r"(?i)(?:algorithm|qop)=[^ ,;]{1,40}", challenge[:MAX_CHALLENGE])]
    return " ".join([scheme, *odd]) if scheme.lower() == "digest" else scheme


class SuspectedLoginError(CameraError):
    """The camera failed right after it got a password that it had not accepted before, and does not say why.

    ``hung_up``: the camera did not even answer. The state is what would be shown if it were not for the password.
    """

    def __init__(self, state: CameraState, detail: str, *, hung_up: bool = False) -> None:
        super().__init__(state, detail)
        self.hung_up = hung_up


class Login:
    """The login of one session, with the credentials of ``url``."""

    def __init__(self, url: RtspUrl, pin: Pin) -> None:
        self.auth = Authenticator(url.username, url.password, url.scheme == "rtsps", pin)
        self._let_in = False  # a request with the password succeeded

    @property
    def doubtful(self) -> bool:
        """Whether the last request carried a password that the camera has not accepted yet."""
        return self.auth.sent and not self._let_in

    def answered(self, status: int, rejection: str, *, options: bool) -> None:
        """Take an answer other than 401, while nothing plays yet; ``options``: it was to OPTIONS.

        Raises ``CameraError`` for a password that is refused in other words.
        """
        if not self.doubtful:
            return
        if status < 400:
            self._let_in = True
        elif status == 403:  # Hikvision answers so to a wrong password, and while the account is locked
            raise CameraError(CameraState.UNAUTHORIZED, rejection)
        elif status in _SUSPECTED and not options:
            state = CameraState.NOT_FOUND if status == 404 else CameraState.REJECTED
            raise SuspectedLoginError(
                state, f"{rejection}; some cameras answer a wrong password this way too, so check it"
            )

    def refusal(self, challenges: Sequence[str]) -> CameraError:
        """The error for a 401 that is final, by its ``WWW-Authenticate`` values."""
        detail = ""
        if self.auth.username is None:
            detail = "the camera asks for a user name and password, but its URL has none; add them"
        elif self.auth.withheld and self.auth.pin.digest:
            detail = (
                "the camera now asks for the plain password (Basic), unlike before; save the camera again to allow it"
            )
        elif not self.auth.sent and not challenges:
            detail = "the camera asks for a password but does not say how (no WWW-Authenticate); restart it"
        elif not self.auth.sent:
            asked = quoted(", ".join(map(_words, challenges)))
            detail = f"the camera asks for a password in a way that is not supported ({asked}); {_SET_DIGEST}"
        elif {each.scheme for each in Challenge.parse_all(challenges)} == {"Basic", "Digest"}:
            detail = f"Digest was refused, and the camera offers Basic too; if the password is right, {_SET_DIGEST}"
        else:
            detail = _IF_RIGHT
        return CameraError(CameraState.UNAUTHORIZED, detail)

    def unanswered(self, state: CameraState, detail: str) -> CameraError:
        """The error for a request that got no answer: the password may be the reason."""
        if not self.doubtful:
            return CameraError(state, detail)
        self.auth.hung_up()
        return SuspectedLoginError(state, detail, hung_up=True)
