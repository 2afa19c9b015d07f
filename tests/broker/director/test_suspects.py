"""A camera that ends its workers: it soon waits longer and longer, and others are hardly kept from their pictures."""

from __future__ import annotations

import pytest

from broker.director.commands import OfferRefused
from broker.director.suspects import DEATHS, KEPT, PROBATION, SUSPENSION, WELL, WHY, Suspects
from common.cameras import CameraSpec, CameraState
from common.control import Answered, Offer, Refused
from tests.fakes.stage import Stage, camera, sent, stream, viewer

TICK = 0.25
KILLS_AFTER = 0.5  # seconds with a worker
BACK_AFTER = 0.5  # seconds until a worker that died is there again


class Farm:
    """Ingests that are there again soon after they died, and die of the cameras in ``deadly``."""

    def __init__(self, cameras: int, ingests: int, deadly: set[str], *, hangs: bool = False) -> None:
        self.names = [f"c{number}" for number in range(cameras)]
        self.stage = Stage(*map(camera, self.names))
        self.deadly, self.hangs = deadly, hangs
        self.incarnations = dict.fromkeys((f"in-{number}" for number in range(ingests)), 1)
        self.away: dict[str, float] = {}
        self.poisoned: dict[str, float] = {}
        self.deaths: list[tuple[float, str]] = []
        self.dark = dict.fromkeys(self.names, 0.0)  # seconds without a worker
        self.said: set[tuple[str, CameraState, str]] = set()  # of cameras

    def run(self, seconds: float) -> None:
        end = self.stage.now + seconds
        while self.stage.now < end:
            self.stage.tick(TICK)
            for node in self.incarnations:
                self._one(node)
            for name in self.names:
                status = self.stage.director.camera(name)
                self.dark[name] += TICK * (status.worker is None)
                self.said.add((name, status.state, status.detail))

    def _one(self, node: str) -> None:
        now = self.stage.now
        if node in self.away:
            if now < self.away[node]:
                return
            del self.away[node]
            self.incarnations[node] += 1
            self.stage.ingest(node, incarnation=str(self.incarnations[node]))
        has = [name for name in self.names if self.stage.worker_of(name) == node]
        self.stage.ingest(node, *map(stream, has), incarnation=str(self.incarnations[node]))
        if self.deadly & set(has) and now - self.poisoned.setdefault(node, now) >= KILLS_AFTER:
            del self.poisoned[node]
            self.end(node)

    def end(self, node: str) -> None:
        now = self.stage.now
        self.deaths.append((now, node))
        self.away[node] = now + (4.0 if self.hangs else BACK_AFTER)


@pytest.mark.thorough
@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize(("cameras", "ingests"), [(2, 1), (2, 2), (20, 2)])
def test_a_camera_that_kills_is_tried_less_and_less_and_the_others_play(
    cameras: int, ingests: int, hangs: bool
) -> None:
    farm = Farm(cameras, ingests, {"c1"}, hangs=hangs)
    farm.run(60.0)
    assert len(farm.deaths) < 20, "it is no longer given to one after the other"
    dark, deaths = dict(farm.dark), len(farm.deaths)
    farm.run(120.0)
    assert len(farm.deaths) - deaths <= 3
    others = [farm.dark[name] - dark[name] for name in farm.names if name != "c1"]
    assert max(others) <= 3 * 6.0, "a worker's own start is all that they wait for"
    assert ("c1", CameraState.CONNECTING, WHY) in farm.said


def test_one_that_has_become_harmless_plays_and_nothing_counts_against_it() -> None:
    farm = Farm(3, 2, {"c1"})
    farm.run(20.0)
    farm.deadly.clear()
    farm.run(60.0)
    assert farm.stage.worker_of("c1") is not None
    farm.deadly.add("c1")
    before = farm.dark["c1"]
    farm.run(1.0)
    assert farm.dark["c1"] - before <= 2 * TICK, "the first death is chance again"


def test_deaths_of_workers_that_had_a_camera_for_long_count_for_nothing() -> None:
    suspects = Suspects()
    for at in (0.0, 100.0, 200.0, 300.0):
        suspects.given("door", "in-1", at)
        suspects.died("in-1", ["door"], at + PROBATION + 0.1, at + PROBATION + 1.0)
        assert suspects.may_try("door", at + PROBATION + 1.0)


def test_deaths_of_workers_that_had_its_pictures_for_a_while_count_for_nothing() -> None:
    """Else whatever ends workers every few seconds keeps all cameras waiting: it was two thirds of the time."""
    suspects = Suspects()
    for at in (0.0, 10.0, 20.0, 30.0):
        suspects.given("door", "in-1", at)
        suspects.settle({"in-1": at + 0.1}, at + 0.1, lambda: {("door", "in-1")})
        suspects.died("in-1", ["door"], at + 0.1 + WELL, at + 3.5)
        assert suspects.may_try("door", at + 3.5)


def test_deaths_soon_after_its_first_picture_count_and_those_with_the_pictures_of_another_worker() -> None:
    for node, heard in (("in-1", 0.1 + WELL - 0.1), ("in-2", PROBATION - 0.1)):
        suspects = Suspects()
        for at in (0.0, 10.0, 20.0):
            suspects.given("door", "in-1", at)
            suspects.settle({"in-1": at + 0.1}, at + 0.1, lambda node=node: {("door", node)})
            suspects.died("in-1", ["door"], at + heard, at + PROBATION)
        assert suspects.suspended("door"), node


def test_workers_are_ended_every_few_seconds_and_no_camera_waits() -> None:
    farm = Farm(3, 1, set())
    for _ in range(10):
        farm.run(3.5)
        farm.end("in-0")
    assert not {detail for _, _, detail in farm.said} & {WHY}


def test_a_worker_that_hangs_was_heard_last_before_and_acquits_nobody() -> None:
    suspects = Suspects()
    for at in (0.0, 20.0, 40.0):
        suspects.given("door", "in-1", at)
        suspects.settle({"in-1": at + 1.0}, at + 2 * PROBATION)
        suspects.died("in-1", ["door"], at + 1.0, at + 2 * PROBATION)
    assert suspects.suspended("door")


def test_one_that_is_nobodys_for_long_is_forgotten() -> None:
    suspects = Suspects()
    for at in range(DEATHS):
        suspects.given("door", "in-1", at)
        suspects.died("in-1", ["door"], at, at)
    assert not suspects.may_try("door", DEATHS - 1.0)
    assert suspects.may_try("door", DEATHS + 2 * SUSPENSION)
    suspects.settle({}, DEATHS + KEPT)
    assert not suspects.suspended("door")


def test_another_url_is_another_camera() -> None:
    farm = Farm(2, 1, {"c0"})
    farm.run(20.0)
    assert farm.stage.worker_of("c0") is None
    farm.deadly.clear()
    farm.stage.want(camera("c0", url="rtsp://host/other", revision=2), camera("c1"))
    assert farm.stage.worker_of("c0") is not None


def test_a_camera_that_nobody_is_beside_waits_for_nothing() -> None:
    farm = Farm(1, 1, {"c0"})
    farm.run(60.0)
    died = len(farm.deaths)
    assert died > 30, "it is given again whenever its worker is back"
    assert farm.dark["c0"] <= died * (BACK_AFTER + 2 * TICK)
    assert not {detail for _, _, detail in farm.said} & {WHY}


def test_a_camera_that_alone_is_watched_is_refused_to_nobody() -> None:
    crowd = Crowd("bad")
    del crowd.dark["good"]
    crowd.run(20.0)
    assert crowd.deaths > 10
    assert not crowd.refused


class Crowd:
    """Egresses that die of one camera, and pages that ask anew as soon as they are refused or their session ends."""

    def __init__(self, deadly: str) -> None:
        self.stage = Stage(camera("good"), camera("bad"))
        self.deadly = deadly
        self.incarnations = {"out-1": 1, "out-2": 1}
        self.deaths = self.number = self.refused = 0
        self.dark = {"good": 0.0, "bad": 0.0}
        self.sessions: dict[str, tuple[str, str, float]] = {}  # of each camera's one viewer: name, egress, since
        self.stage.ingest("in-1", stream("good"), stream("bad"))

    def run(self, seconds: float) -> None:
        end = self.stage.now + seconds
        while self.stage.now < end:
            self.stage.tick(TICK)
            self.stage.ingest("in-1", stream("good"), stream("bad"))
            for node, number in self.incarnations.items():
                watching = [viewer(name, of) for of, (name, at, _) in self.sessions.items() if at == node]
                self.stage.egress(node, *watching, incarnation=str(number))
            for of in self.dark:
                self._watch(of)
            _, node, since = self.sessions.get(self.deadly, ("", "", 0.0))
            if node and self.stage.now - since >= KILLS_AFTER:
                self.deaths += 1
                self.incarnations[node] += 1
                self.sessions = {of: each for of, each in self.sessions.items() if each[1] != node}

    def _watch(self, of: str) -> None:
        if of in self.sessions:
            return
        self.dark[of] += TICK
        self.number += 1
        name = f"s{self.number}"
        commands = self.stage.offer(name, of)
        for node, message in sent(commands):
            if isinstance(message, Offer):
                self.stage.hear(node, Answered(name, "answer"))
                self.sessions[of] = name, node, self.stage.now
        self.refused += any(isinstance(each, OfferRefused) and each.code == "camera_waits" for each in commands)


def test_a_camera_that_kills_egresses_is_refused_longer_and_longer_and_the_other_is_watched() -> None:
    crowd = Crowd("bad")
    crowd.run(60.0)
    assert crowd.deaths < 12
    assert crowd.refused
    deaths, dark = crowd.deaths, crowd.dark["good"]
    crowd.run(120.0)
    assert crowd.deaths - deaths <= 3
    assert crowd.dark["good"] - dark <= 3 * 2 * TICK


def test_offers_that_kill_egresses_are_not_the_cameras_fault() -> None:
    made = Stage(camera())
    made.ingest("in-1", stream())
    for number in range(2 * DEATHS):
        made.egress("out-1", incarnation=str(number))
        assert sent(made.offer(f"s{number}"))[0][0] == "out-1"


class Trial:
    """A camera of which two egresses, or two ingests, are there, and after whose deaths it waits."""

    def __init__(self) -> None:
        self.stage = Stage(camera(), camera("other"))
        self.other()
        self.stage.watch("of another", "other")
        self.stage.ingest("in-1", stream())
        for number in range(DEATHS):
            self.stage.egress("out-1", incarnation=str(number))
            self.stage.watch(f"s{number}")
            self.stage.egress("out-1", viewer(f"s{number}"), incarnation=str(number))
        self.there = {"out-1": str(DEATHS), "out-2": "1"}
        self.beat()
        assert self.refusals("first") == ["camera_waits"]

    def beat(self, seconds: float = TICK) -> None:
        for _ in range(round(seconds / TICK)):
            self.stage.tick(TICK)
            self.stage.ingest("in-1", stream())
            self.other()
            for node, incarnation in self.there.items():
                self.stage.egress(node, incarnation=incarnation)

    def other(self) -> None:
        """Somebody watches another camera, where there is no room for more."""
        self.stage.egress("full", viewer("of another", "other"), full=True)

    def refusals(self, session: str) -> list[str]:
        return [each.code for each in self.stage.offer(session) if isinstance(each, OfferRefused)]

    def offered(self, session: str) -> str:
        (node,) = [node for node, message in sent(self.stage.offer(session)) if isinstance(message, Offer)]
        return node


@pytest.mark.parametrize("stops", [False, True])
def test_a_trial_is_over_with_the_egress_that_has_not_answered(stops: bool) -> None:
    trial = Trial()
    trial.beat(2 * SUSPENSION)
    node = trial.offered("second")
    incarnation = trial.there.pop(node)
    if stops:
        assert [to for to, _ in sent(trial.stage.leave(node, incarnation)) if to == node] == []
    else:
        trial.beat(4.0)
    assert trial.refusals("third") == []


def test_a_trial_goes_on_at_another_egress_where_the_first_drains() -> None:
    trial = Trial()
    trial.beat(2 * SUSPENSION)
    node = trial.offered("second")
    trial.stage.hear(node, Answered("second", "answer"))
    trial.stage.egress(node, viewer("second"), incarnation=trial.there[node], draining=True)
    assert trial.offered("third") == next(iter(trial.there.keys() - {node}))


def test_a_trial_goes_on_at_another_egress_where_the_first_is_full() -> None:
    trial = Trial()
    trial.beat(2 * SUSPENSION)
    node = trial.offered("second")
    told = sent(trial.stage.hear(node, Refused("second", 503, "full", "It is full.")))
    assert [to for to, message in told if isinstance(message, Offer)] == [*(trial.there.keys() - {node})]


@pytest.mark.parametrize("between", [(), (camera(url="rtsp://host/other", revision=2),)])
def test_another_camera_of_the_name_is_watched_at_once(between: tuple[CameraSpec, ...]) -> None:
    trial = Trial()
    trial.stage.want(camera("other"), *between)
    trial.stage.want(camera("other"), camera(url="rtsp://host/other", revision=2))
    assert trial.refusals("second") == []


def test_a_trial_is_over_with_the_ingest_that_stops() -> None:
    stage = Stage(camera(), camera("other"))
    for number in range(DEATHS + 1):
        stage.ingest("in-1", incarnation=str(number))
    assert stage.worker_of() is None
    there = {"in-1": str(DEATHS), "in-2": "1"}
    while stage.worker_of() is None:
        for node, incarnation in there.items():
            stage.ingest(node, incarnation=incarnation)
        stage.tick(TICK)
    node = stage.worker_of()
    assert node is not None
    stage.leave(node, there.pop(node))
    assert stage.worker_of() == there.popitem()[0]


def test_a_death_elsewhere_ends_no_trial() -> None:
    suspects = Suspects()
    suspects.given("door", "out-1", 0.0)
    suspects.given("door", "out-2", 1.0)
    suspects.died("out-1", ["door"], 1.5, 1.5)
    for at in range(2, 2 + DEATHS):
        suspects.died("out-2", ["door"], at, at)
        suspects.given("door", "out-2", at)
    assert not suspects.may_try("door", DEATHS + 1.5)
