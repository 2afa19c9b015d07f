from egress.playout import RETRACTION, Playout, element


def test_the_element_is_the_least_and_the_most_in_units_of_10_ms() -> None:
    assert element(6, 0.25) == bytes([6 << 4 | 2, 25 >> 4, (25 & 0xF) << 4 | 1_000 >> 8, 1_000 & 0xFF])


def test_a_receiver_that_needs_nothing_is_told_nothing() -> None:
    assert Playout(6).choose(0.0, sent=0) == b""
    assert Playout(0).choose(0.3, sent=0) == b"", "it does not know the extension"


def test_it_grows_while_it_is_needed_and_is_taken_back_after_that() -> None:
    playout, told = Playout(6), []
    for needed, sent in ((0.2, 10), (0.3, 20), (0.15, 30), (0.0, 31), (0.0, 29 + RETRACTION), (0.0, 30 + RETRACTION)):
        playout.element = playout.choose(needed, sent)
        told.append(playout.element)
    assert told == [element(6, 0.2), element(6, 0.3), element(6, 0.3), element(6, 0.0), element(6, 0.0), b""]
    assert playout.choose(0.15, 1_000) == element(6, 0.15), "another time begins anew"
