from __future__ import annotations

from common.control import Offer
from egress.succession.held import MAX_CHARACTERS, MAX_OFFERS, PATIENCE, HeldOffers


def offer(session: str, sdp: str = "v=0") -> Offer:
    return Offer(session, "door", sdp)


def test_offers_are_kept_in_order_and_given_back_once() -> None:
    held = HeldOffers()
    offers = [offer("s1"), offer("s2")]
    assert all(held.add(each, 1.0) for each in offers)
    assert held.take(2.0) == offers
    assert held.take(2.0) == []


def test_what_strangers_send_meanwhile_has_a_bound_in_characters_and_in_number() -> None:
    held, large = HeldOffers(), "x" * 60_000
    took = sum(held.add(offer(f"s{number}", large), 1.0) for number in range(MAX_OFFERS))
    assert took == MAX_CHARACTERS // 60_000
    held = HeldOffers()
    assert sum(held.add(offer(f"s{number}"), 1.0) for number in range(2 * MAX_OFFERS)) == MAX_OFFERS


def test_room_is_made_by_those_that_nobody_waits_for_any_more() -> None:
    held = HeldOffers()
    assert held.add(offer("gone", "x" * MAX_CHARACTERS), 1.0)
    assert not held.add(offer("next"), 1.0)
    held.drop("gone")
    assert held.add(offer("late", "x" * MAX_CHARACTERS), 2.0)
    assert held.add(offer("next"), 2.0 + PATIENCE + 0.1)
    assert [each.session for each in held.take(2.0 + 2 * PATIENCE)] == ["next"]


def test_an_offer_that_comes_again_is_kept_once() -> None:
    held = HeldOffers()
    assert held.add(offer("s1"), 1.0)
    assert held.add(offer("s1", "v=1"), 2.0)
    assert [each.sdp for each in held.take(2.0)] == ["v=1"]
