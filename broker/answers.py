"""Answers of workers, by way of the director, to those who asked on behalf of viewers: offers, stills, ICE restarts."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.director.commands import (
    OfferAnswered,
    OfferRefused,
    RestartAnswered,
    RestartRefused,
    StillRefused,
    StillTaken,
)
from broker.waiting import Waiting
from common.sessions import SessionName


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a viewer's offer."""

    session: SessionName
    sdp: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Picture:
    """A still: a JPEG file, and the Unix time of its capture."""

    jpeg: bytes = field(repr=False)
    captured: float


@dataclass(frozen=True, slots=True)
class Restarted:
    """Our side of an ICE restart: a fragment of SDP, and the mark of the viewer's user fragment."""

    ice: str
    fragment: str = field(repr=False)


class Answers:
    """Requests that wait for an answer, by what they asked for."""

    def __init__(self) -> None:
        self.offers: Waiting[str] = Waiting()
        self.stills: Waiting[Picture] = Waiting()
        self.restarts: Waiting[Restarted] = Waiting()

    def take(
        self, told: OfferAnswered | OfferRefused | StillTaken | StillRefused | RestartAnswered | RestartRefused
    ) -> None:
        """Give an answer to the one that waits for it."""
        match told:
            case OfferAnswered(session, sdp):
                self.offers.answer(session, sdp)
            case OfferRefused(session, status, code, message):
                self.offers.refuse(session, status, code, message)
            case StillTaken(request, jpeg, captured):
                self.stills.answer(request, Picture(jpeg, captured))
            case StillRefused(request, status, code, message):
                self.stills.refuse(request, status, code, message)
            case RestartAnswered(request, ice, fragment):
                self.restarts.answer(request, Restarted(ice, fragment))
            case RestartRefused(request, status, code, message):
                self.restarts.refuse(request, status, code, message)

    def refuse_all(self, status: int, code: str, message: str) -> None:
        """Let nobody wait any longer. The fields are those of ``RequestError``."""
        for waiting in (self.offers, self.stills, self.restarts):
            waiting.refuse_all(status, code, message)
