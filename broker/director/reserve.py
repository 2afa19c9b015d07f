"""Whether a transcode worker that begins only when it is needed is needed: by conversions, stills and cameras.

A camera whose tracks may have to be converted needs one before anybody watches, who would have to wait for it.
"""

from __future__ import annotations

from broker.director.conversions import Conversions
from broker.director.state import State
from broker.director.stills import Stills
from common.demand import Demand


class Reserve:
    """The director's part for transcode workers that somebody starts by the demand that it is told."""

    def __init__(self, state: State, conversions: Conversions, stills: Stills) -> None:
        self._state = state
        self._conversions = conversions
        self._stills = stills
        self._told: Demand | None = None

    def open(self) -> None:
        """Keep such a reserve from now on."""
        self._state.converter_in_reserve = True

    def settle(self) -> None:
        """Tell the demand if it is another one now."""
        if self._state.converter_in_reserve and (demand := self._demand()) is not self._told:
            self._told = demand
            self._state.command(demand)

    def _demand(self) -> Demand:
        may_be = (track.convert for camera in self._state.cameras.values() for track in camera.tracks)
        if not (any(may_be) or self._stills.wanted or self._conversions.wanted()):
            return Demand.NONE
        return Demand.SOME if self._state.has_converter else Demand.MUCH
