"""The renditions that a viewer is promised by its answer: of the stream that it is to be shown, or of the other one."""

from __future__ import annotations

import contextlib

from common.cameras import CameraName
from common.control import Offer
from common.errors import RequestError
from common.media import Kind, Rendition, as_it_came, converted
from egress.negotiation import Negotiated, negotiate


def negotiated(offer: Offer) -> tuple[CameraName, Negotiated]:
    """The stream that the viewer begins with, and what is served of it. Raises ``RequestError``.

    It is the one that it is to be shown, unless nothing but the other one's picture can be.
    """
    others = offer.other_tracks if offer.other else None
    refused: RequestError | None = None
    first: Negotiated | None = None
    try:
        first = negotiate(offer.sdp, offer.tracks, offer.convertible, offer.unconverted, others)
    except RequestError as exc:
        refused = exc
    if first is not None and (offer.fixed or others is None or _has_picture(first)):
        return offer.camera, first
    if others is not None and not offer.fixed and (refused is None or refused.status != 400):
        with contextlib.suppress(RequestError):
            second = negotiate(offer.sdp, others, offer.convertible, offer.unconverted, offer.tracks)
            if _has_picture(second):
                return offer.other, second
    if first is None:
        assert refused is not None, "one of the two came of it"
        raise refused
    return offer.camera, first


def promised(negotiated: Negotiated, camera: CameraName, other: CameraName) -> dict[Kind, Rendition]:
    """The renditions that a viewer of a ``camera``'s stream begins with, some of them perhaps of the ``other``."""
    renditions = {}
    for section in negotiated.sections:
        stream = other if section.other else camera
        made = converted(stream, section.kind, section.made)
        renditions[section.kind] = made if section.converted else as_it_came(stream)
    return renditions


def _has_picture(negotiated: Negotiated) -> bool:
    """Whether a picture is served."""
    return any(section.kind is Kind.VIDEO for section in negotiated.sections)
