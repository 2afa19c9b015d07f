"""Two egress processes, inside this one: the second gets what the first has, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
from aiortc import RTCPeerConnection

from common.cameras import CameraName
from common.control import Answered, HangUp, Leaving, Offer, Refused
from common.media import live_topic
from common.succession import SUPERVISOR, Reply, Word
from egress.media import streams
from egress.succession import parting, telling
from egress.succession.channel import GoneError
from egress.succession.states import SessionState
from egress.succession.words import MAX_MESSAGE, Go, Prelude, Taken
from egress.viewer import Viewer
from egress.wire import addresses
from rigs.browser import Browser
from tests.fakes.egress_processes import PATIENCE, Processes, camera, come, hear_all, one, until
from tests.fakes.egress_worker import NODE, PCMU, becomes, watch


async def heard(peer: RTCPeerConnection) -> tuple[int, int]:
    """Packets that came, and that were lost."""
    stats = await peer.getReceivers()[0].getStats()
    inbound = [each for each in stats.values() if each.type == "inbound-rtp"]
    return (inbound[0].packetsReceived, inbound[0].packetsLost) if inbound else (0, 0)


async def more(peer: RTCPeerConnection, count: int) -> None:
    before, _ = await heard(peer)
    async with asyncio.timeout(PATIENCE):
        while (await heard(peer))[0] < before + count:  # noqa: ASYNC110 - statistics have no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("compiled", "late"), [("auto", False), ("never", False), ("auto", True)])
async def test_a_successor_goes_on_and_the_viewer_loses_nothing(
    processes: Processes, compiled: str, *, late: bool
) -> None:
    """Also one that is ready only once the first has begun to drain."""
    broker = processes.broker
    async with one(processes, egress_compiled=compiled), asyncio.TaskGroup() as group:
        async with camera(broker):
            peer = await watch(broker)
            await more(peer, 20)
            first = processes.report.incarnation
            if late:
                processes.stops[0].ask()
                await broker.until(lambda: processes.report.draining)
            processes.start(group, egress_compiled=compiled)
            await until(lambda: processes.log.of("a successor is ready"))
            if not late:
                await more(peer, 20)
                processes.stops[0].ask()
            await asyncio.wait_for(processes.tasks[0], PATIENCE)
            leaving = await broker.said(Leaving)
            assert leaving.incarnation == first
            await broker.until(lambda: processes.report.incarnation == leaving.successor)
            await more(peer, 50)
            assert (await heard(peer))[1] == 0
        [viewer] = processes.report.viewers
        assert (viewer.session, viewer.state) == ("s1", "connected")
        assert processes.report.counters["viewers_inherited"] == 1
        broker.tell(NODE, HangUp("s1"))
        await broker.until(lambda: not processes.report.viewers)
        await peer.close()
        processes.stops[1].ask(at_once=True)


async def test_a_successor_knows_the_addresses_of_a_name_that_does_not_resolve_just_now(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"cams.example": ["127.0.0.1", "198.51.100.1"]}

    async def resolved(name: str) -> list[str]:
        if name not in names:
            raise OSError("no resolver can be reached")
        return names[name]

    monkeypatch.setattr(addresses, "_resolved", resolved)
    broker = processes.broker
    async with one(processes, media_advertise="cams.example"), asyncio.TaskGroup() as group:
        async with camera(broker):
            peer = await watch(broker)
            await more(peer, 20)
            names.clear()
            processes.start(group, media_advertise="cams.example")
            await until(lambda: processes.log.of("a successor is ready"))
            processes.stops[0].ask()
            await asyncio.wait_for(processes.tasks[0], PATIENCE)
            await more(peer, 20)
        broker.tell(NODE, Offer("s2", CameraName("yard"), Browser().offer(), (PCMU,), revision=1))
        assert "198.51.100.1" in (await broker.said(Answered)).sdp
        await peer.close()
        processes.stops[1].ask(at_once=True)


async def test_a_successor_keeps_nothing_of_a_camera_whose_name_another_has(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody watches that any more when the hand-over comes, and its stream lingers in both processes."""
    monkeypatch.setattr(streams, "LINGER", 10 * PATIENCE)
    broker = processes.broker
    async with one(processes), asyncio.TaskGroup() as group:
        broker.tell(NODE, Offer("s1", CameraName("yard"), Browser().offer(), (PCMU,), revision=1))
        await broker.said(Answered)
        await broker.until(lambda: broker.watches("yard"))
        peer = await watch(broker, "s2", "garden")
        processes.start(group)
        await until(lambda: processes.log.of("a successor is ready"))
        broker.tell(NODE, HangUp("s1"))
        await broker.until(lambda: len(processes.report.viewers) == 1)
        processes.stops[0].ask()
        await asyncio.wait_for(processes.tasks[0], PATIENCE)
        leaving = await broker.said(Leaving)
        await broker.until(lambda: processes.report.incarnation == leaving.successor)
        assert set(processes.report.subscribed) == {"yard", "garden"}
        for revision, given_up in ((1, False), (2, True)):
            broker.given_up.clear()
            name = f"of revision {revision}"
            broker.tell(NODE, Offer(name, CameraName("yard"), Browser().offer(), (PCMU,), revision=revision))
            await broker.said(Answered)
            broker.tell(NODE, HangUp(name))
            await broker.until(lambda: len(processes.report.viewers) == 1)
            await until(lambda given_up=given_up: not given_up or live_topic("yard") in broker.given_up)
            assert (live_topic("yard") in broker.given_up) is given_up
        await peer.close()
        processes.stops[1].ask(at_once=True)


ODD: dict[str, Callable[[SessionState], SessionState]] = {
    "too large": lambda state: replace(state, principal="x" * MAX_MESSAGE),
    "unreadable": lambda state: replace(state, principal="x" * 2_000),
    "impossible": lambda state: replace(state, srtp=replace(state.srtp, profile="another")),
    "unreadable at last": lambda state: replace(state, bandwidth=-1),
    "unsayable at last": lambda state: replace(state, bandwidth=1 << 70),
}


@pytest.mark.parametrize("odd", ODD)
async def test_one_session_that_cannot_be_handed_over_leaves_all_others_alone(
    processes: Processes, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = set[str]()  # in advance

    def state_of(viewer: Viewer) -> SessionState:
        state, first = parting.state_of(viewer), viewer.session not in told
        told.add(viewer.session)
        return state if viewer.session != "s2" or (first and odd.endswith("at last")) else ODD[odd](state)

    monkeypatch.setattr(telling, "state_of", state_of)
    broker = processes.broker
    async with one(processes), asyncio.TaskGroup() as group:
        async with camera(broker):
            peers = [await watch(broker, session) for session in ("s1", "s2", "s3")]
            for peer in peers:
                await more(peer, 20)
            first = processes.report.incarnation
            processes.start(group)
            await until(lambda: processes.log.of("a successor is ready"))
            processes.stops[0].ask()
            await asyncio.wait_for(processes.tasks[0], PATIENCE)
            await becomes(peers[1], "closed")  # it was told goodbye
            await broker.until(lambda: processes.report.incarnation != first)
            for peer in (peers[0], peers[2]):
                await more(peer, 50)
                assert (await heard(peer))[1] == 0
        assert [viewer.session for viewer in processes.report.viewers] == ["s1", "s3"]
        for peer in peers:
            await peer.close()
        processes.stops[1].ask(at_once=True)


@pytest.mark.parametrize("dies", ["ready", "told", "with too few"])
async def test_one_that_dies_in_the_middle_leaves_the_first_serving(processes: Processes, dies: str) -> None:
    broker = processes.broker
    async with one(processes), camera(broker):
        peer = await watch(broker)
        await more(peer, 20)
        first = processes.report.incarnation
        channel = await come(processes)
        processes.stops[0].ask()
        if dies != "ready":
            words = await hear_all(channel)
            assert [word.session for word in words if isinstance(word, SessionState)] == ["s1"]
        if dies == "with too few":
            await channel.send(Taken(0))
            with pytest.raises(GoneError):
                await channel.receive()
        channel.close()
        if dies != "ready":  # else it may be seen before it is told anything
            await until(lambda: processes.log.of("the successor did not take over; this process continues"))
        broker.reports.clear()
        await broker.until(lambda: NODE in broker.reports)
        assert (processes.report.incarnation, len(processes.report.viewers)) == (first, 1)
        await more(peer, 50)
        assert (await heard(peer))[1] == 0
        (await come(processes)).close()  # another may come
        await peer.close()


async def test_an_offer_that_comes_meanwhile_waits_for_what_becomes_of_it(processes: Processes) -> None:
    broker = processes.broker
    async with one(processes), camera(broker):
        peer = await watch(broker)
        await more(peer, 20)
        channel = await come(processes)
        processes.stops[0].ask()
        assert isinstance((await channel.receive())[0], Prelude)
        for session in ("given-up", "s2"):
            broker.tell(NODE, Offer(session, CameraName("yard"), Browser().offer()))
        broker.tell(NODE, HangUp("given-up"))
        broker.reports.clear()
        await broker.until(lambda: NODE in broker.reports)  # which it has sent since
        assert not any(isinstance(each, Refused | Answered) for each in broker.messages)
        channel.close()
        refused = await broker.said(Refused)
        assert (refused.session, refused.status) == ("s2", 503), "it drains by then, and another egress is asked"
        await peer.close()


async def test_a_successor_that_dies_in_the_middle_is_followed_by_another(processes: Processes) -> None:
    broker = processes.broker
    async with one(processes), asyncio.TaskGroup() as group:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(str(processes.path.with_name(SUPERVISOR)))
            supervisor.setblocking(False)
            async with camera(broker):
                peer = await watch(broker)
                await more(peer, 20)
                channel = await come(processes)
                processes.stops[0].ask()
                await hear_all(channel)
                channel.close()
                for _ in range(2):  # it may have been about to end when it was asked for first
                    asked, who = await asyncio.get_running_loop().sock_recvfrom(supervisor, 100)
                    assert asked == f"{Word.WANTED} {processes.path.name}".encode()
                    supervisor.sendto(Reply.COMING.encode(), who)
                processes.start(group)
                await asyncio.wait_for(processes.tasks[0], PATIENCE)
                await more(peer, 50)
                assert (await heard(peer))[1] == 0
            assert len(processes.log.of("sessions taken over")) == 1
            await peer.close()
            processes.stops[1].ask(at_once=True)


@pytest.mark.parametrize("answers", [Reply.NONE, None])
async def test_where_no_successor_comes_viewers_are_moved_at_once(processes: Processes, answers: Reply | None) -> None:
    broker = processes.broker
    async with one(processes):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(str(processes.path.with_name(SUPERVISOR)))
            supervisor.setblocking(False)
            async with camera(broker):
                peer = await watch(broker)
                await more(peer, 20)
                processes.stops[0].ask()
                _, who = await asyncio.get_running_loop().sock_recvfrom(supervisor, 100)
                if answers is not None:
                    supervisor.sendto(answers.encode(), who)
                await broker.until(lambda: processes.report.draining)
                with pytest.raises(BlockingIOError):
                    supervisor.recv(100)
                broker.tell(NODE, HangUp("s1"))
                await asyncio.wait_for(processes.tasks[0], PATIENCE)
                await peer.close()


async def test_who_has_said_the_last_word_sends_nothing_more(processes: Processes) -> None:
    broker = processes.broker
    async with one(processes), camera(broker):
        peer = await watch(broker)
        await more(peer, 20)
        channel = await come(processes)
        processes.stops[0].ask()
        [state] = [word for word in await hear_all(channel) if isinstance(word, SessionState)]
        await channel.send(Taken(1))
        assert isinstance((await channel.receive())[0], Go)
        channel.close()
        await asyncio.wait_for(processes.tasks[0], PATIENCE)
        [sound] = state.senders
        assert sound.following is not None
        await asyncio.sleep(0.1)
        assert (await heard(peer))[0] == sound.packets, "what was told is what was sent"
        await peer.close()


async def test_a_successor_whose_predecessor_ends_by_itself_begins_anew(processes: Processes) -> None:
    broker = processes.broker
    async with one(processes), asyncio.TaskGroup() as group:
        first = processes.report
        processes.start(group)
        await until(lambda: processes.log.of("a successor is ready"))
        processes.stops[0].ask(at_once=True)
        await asyncio.wait_for(processes.tasks[0], PATIENCE)
        await broker.until(lambda: processes.report.incarnation != first.incarnation)
        peer = await watch(broker, "s2")
        await peer.close()
        processes.stops[1].ask(at_once=True)


async def test_a_successor_that_is_not_needed_any_more_ends(processes: Processes) -> None:
    async with one(processes), asyncio.TaskGroup() as group:
        processes.start(group)
        await until(lambda: processes.log.of("a successor is ready"))
        processes.stops[1].ask()
        await asyncio.wait_for(processes.tasks[1], PATIENCE)
        assert not processes.tasks[0].done()
