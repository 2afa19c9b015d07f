from egress.path.playout import RETRACTION, Playout, element


def test_the_element_is_the_least_and_the_most_in_units_of_10_ms() -> None:
    assert element(6, 0.25) == bytes([6 << 4 | 2, 25 >> 4, (25 & 0xF) << 4 | 1_000 >> 8, 1_000 & 0xFF])


def test_a_receiver_that_needs_nothing_is_told_nothing() -> None:
    for playout, needed in ((Playout(6), 0.0), (Playout(0), 0.3)):  # the latter does not know the extension
        assert not playout.update(needed, sent=0)
        assert playout.element == b""


def test_it_grows_while_it_is_needed_and_is_taken_back_after_that() -> None:
    playout, told = Playout(6), []
    for needed, sent in ((0.2, 10), (0.3, 20), (0.15, 30), (0.0, 31), (0.0, 29 + RETRACTION), (0.0, 30 + RETRACTION)):
        before = playout.element
        assert playout.update(needed, sent) is (playout.element != before)
        told.append(playout.element)
    assert told == [element(6, 0.2), element(6, 0.3), element(6, 0.3), element(6, 0.0), element(6, 0.0), b""]
    for forgets in (False, True):
        assert playout.update(0.15, 1_000)
        assert playout.element == element(6, 0.15), "another time begins anew"
        if not forgets:
            assert playout.update(0.3, 1_000)
            playout.forget()
            assert playout.element == b""
