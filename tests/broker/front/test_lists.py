"""Lists that take long to make are made seldom, and others whenever they are asked for."""

from collections.abc import Sequence

from pydantic import BaseModel

from broker.front.lists import LONG, SHARE, KeptList


class View(BaseModel):
    number: int


class Maker:
    """Makes a list with so many seconds of work, by clocks of its own; others may hold it up ``waits`` seconds."""

    def __init__(self, seconds: float, waits: float = 0.0) -> None:
        self.now = self.worked = 0.0
        self.made = 0
        self._seconds = seconds
        self._waits = waits
        self.list = KeptList(lambda: self.now, lambda: self.worked)

    def __call__(self) -> Sequence[BaseModel]:
        self.worked += self._seconds
        self.now += self._seconds + self._waits
        self.made += 1
        return [View(number=self.made)]

    def read(self) -> bytes:
        return self.list.read(self)


def test_a_list_that_is_quickly_made_is_as_of_now() -> None:
    maker = Maker(LONG / 2, waits=1.0)  # on a busy machine
    assert [maker.read() for _ in range(3)] == [b'[{"number":1}]', b'[{"number":2}]', b'[{"number":3}]']


def test_however_many_ask_a_long_list_takes_its_share_of_the_time() -> None:
    maker = Maker(0.08)
    while maker.now < 100.0:
        maker.read()
        maker.now += 0.001
    assert maker.made * 0.08 <= 100.0 * SHARE


def test_a_long_list_that_was_changed_is_made_anew() -> None:
    maker = Maker(1.0)
    assert maker.read() == maker.read() == b'[{"number":1}]'
    maker.list.forget()
    assert maker.read() == b'[{"number":2}]'
