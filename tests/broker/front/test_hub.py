"""Pages hear of cameras, each as much as it asked for, and none at the expense of another."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from multidict import CIMultiDict

from broker.access.principal import EVERYBODY, Kind, Principal
from broker.catalogue import Entry
from broker.director.commands import CameraChanged, CameraRemoved, Notice
from broker.front import hub, signalling
from broker.front.hub import MOST_LISTS
from broker.front.peer import PROXIES, Proxies
from broker.front.quotas import Quotas
from common.access import AccessRole
from common.cameras import CameraState
from common.config_cameras import CameraConfig
from common.config_limits import LimitsConfig
from common.log import Quiet, get_logger
from common.media import Kind as MediaKind
from common.media import Track
from tests.fakes.broker import CAMERAS, RunningBroker, broker_in
from tests.fakes.page_socket import Page
from tests.fakes.workers import FakeEgress, FakeIngest


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


async def test_a_page_hears_of_the_cameras_it_watches(broker: RunningBroker, page: Page, egress: FakeEgress) -> None:
    await page.watch("door")
    await page.next("camera")
    async with FakeIngest(broker.endpoints, "in-1") as ingest:
        assert (await page.next("camera"))["state"] == "playing"
        detail = "rtsp://user:secret@host/door: timed out"
        ingest.show("yard", CameraState.UNREACHABLE)  # nobody here watches it
        ingest.show("door", CameraState.UNREACHABLE, detail=detail)
        assert await page.next("camera") == {
            "type": "camera",
            "camera": "door",
            "name": "door",
            "group": "",
            "order": 0,
            "state": "unreachable",
            "sentence": CameraState.UNREACHABLE.sentence,
            "detail": "rtsp://***@host/door: timed out",
            "failed": True,
            "video": "H264",
            "sound": "",
            "for_all": True,
        }


async def test_a_picture_that_cannot_be_played_is_a_failure_with_the_reason_in_its_sentence(
    broker: RunningBroker, page: Page
) -> None:
    await page.send(type="subscribe")
    await page.next("cameras")
    async with FakeIngest(broker.endpoints, "in-1") as ingest:
        await broker.until("/api/cameras/door", lambda camera: camera["state"] == "playing")
        problem = "H265 cannot be forwarded yet; set this stream of the camera to H.264"
        tracks = (Track(MediaKind.VIDEO, "H265", 90_000, problem=problem), Track(MediaKind.AUDIO, "PCMU", 8_000))
        ingest.show("door", CameraState.PLAYING, tracks=tracks)
        while (message := await page.next("camera"))["state"] != "no_picture":
            pass
        assert message["failed"]
        assert message["video"] == "H265"
        assert message["sentence"] == f"The camera's picture cannot be shown: {problem}."
        camera = await broker.json("/api/cameras/door")
        assert (camera["state"], camera["failed"], camera["sentence"]) == ("no_picture", True, message["sentence"])
        ingest.show("door", CameraState.NO_PLAYABLE_TRACK, detail=f"video: {problem}")
        message = await page.next("camera")
        sentence = "The camera offers no track that a browser can play"
        assert message["sentence"] == f"{sentence}: video: {problem}."
        ingest.show("door", CameraState.PLAYING, tracks=(Track(MediaKind.VIDEO, "H265", 90_000),))
        message = await page.next("camera")
        some = "only browsers that take H.265 can play it, because no transcode worker is running"
        assert (message["sentence"], message["for_all"]) == (f"The camera is playing; {some}.", False)


async def test_a_page_that_subscribes_hears_of_all_cameras(broker: RunningBroker, page: Page) -> None:
    await page.send(type="subscribe")
    message = await page.next()
    assert message["type"] == "cameras"
    assert [(camera["camera"], camera["state"]) for camera in message["cameras"]] == [
        ("door", "connecting"),
        ("yard", "connecting"),
    ]
    await broker.http.post("/api/cameras", json={"id": "porch", "url": "rtsp://host/", "on_demand": True})
    assert (await page.next())["camera"] == "porch"
    async with FakeIngest(broker.endpoints, "in-1"):
        states = {(message["camera"], message["state"]) for message in [await page.next(), await page.next()]}
        assert states == {("door", "playing"), ("yard", "playing")}
        await broker.http.delete("/api/cameras/porch")
        assert await page.next() == {"type": "removed", "camera": "porch"}


class Deaf:
    """A page's connection as the broker has it, of a page that never reads."""

    def __init__(self, everybody: hub.Hub, limits: LimitsConfig, counters: Counter[str]) -> None:
        self.aborted = False
        context = SimpleNamespace(
            control=None,
            clock=lambda: 0.0,
            counters=counters,
            quiet=Quiet(get_logger()),
            quotas=Quotas(limits, lambda _: True),
        )
        request = SimpleNamespace(transport=self, remote="127.0.0.1", headers=CIMultiDict(), app={PROXIES: Proxies(())})
        self.socket = signalling.Socket(everybody, context, EVERYBODY, request, None)
        everybody.listeners.add(self.socket)

    @property
    def waiting(self) -> deque[str]:
        return self.socket._outgoing.messages

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    "notice",
    [CameraRemoved("door"), CameraChanged("door", CameraState.PLAYING, "", "H264")],
    ids=["removed", "changed"],
)
def test_pages_that_are_cut_off_keep_no_notice_from_the_others(notice: Notice) -> None:
    entry = Entry("door", {}, CameraConfig(url="rtsp://host/door"), None)
    everybody, counters = hub.Hub(SimpleNamespace(names=["door"], get=lambda _: entry), None), Counter()
    pages = [Deaf(everybody, LimitsConfig(socket_queue=1_000, socket_queues=0), counters) for _ in range(20)]
    for number, page in enumerate(pages):
        page.socket.subscribed = True
        page.socket.push("x" * (1_000 if number % 2 else 1))
    everybody.notice(notice)
    assert [page.aborted for page in pages] == [False, True] * 10
    assert [len(page.waiting) for page in pages] == [2, 0] * 10


async def test_the_list_of_all_cameras_is_told_once_a_second(page: Page) -> None:
    for _ in range(2):
        await page.send(type="subscribe")
    assert (await page.next())["type"] == "cameras"
    assert await page.error() == "rate_limited"


async def until_state(page: Page, camera: str, state: str) -> None:
    while (told := await page.next("camera"))["camera"] != camera or told["state"] != state:
        pass


async def test_the_list_is_made_once_for_all_pages_until_a_camera_changes(
    broker: RunningBroker, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    summary = hub.camera_summary
    monkeypatch.setattr(hub, "camera_summary", lambda *args: made.append(args[0].id) or summary(*args))
    async with broker.http.ws_connect("/ws") as socket, broker.http.ws_connect("/ws") as another:
        lists = []
        for each in (page, Page(socket)):
            await each.send(type="subscribe")
            lists.append((await each.next("cameras"))["cameras"])
        assert lists[0] == lists[1]
        assert made == ["door", "yard"]
        async with FakeIngest(broker.endpoints, "in-1") as ingest:
            await until_state(page, "yard", "playing")
            ingest.show("yard", CameraState.UNAUTHORIZED)
            await until_state(page, "yard", "unauthorized")
            await Page(another).send(type="subscribe")
            [yard] = [each for each in (await Page(another).next("cameras"))["cameras"] if each["camera"] == "yard"]
            assert yard["state"] == "unauthorized"


def test_viewers_who_may_see_the_same_have_one_list_and_nobody_has_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made anew for each question, those of one viewer's 256 sockets took three seconds of each: a thousand cameras."""
    made: list[str] = []
    summary = hub.camera_summary
    monkeypatch.setattr(hub, "camera_summary", lambda *args: made.append(args[0].id) or summary(*args))
    entries = {id: Entry(id, {}, CameraConfig(url="rtsp://host/"), None) for id in ("door", "yard")}
    playing = SimpleNamespace(state=CameraState.PLAYING, detail="", video="H264", sound="", for_all=True)
    ours = hub.Hub(SimpleNamespace(names=[*entries], get=entries.get), SimpleNamespace(camera=lambda _: playing))

    def seen(role: AccessRole, *cameras: str, name: str = "anna") -> list[str]:
        message = ours.list_for(Principal(Kind.USER, name, role, cameras, proof=name))
        return [camera["camera"] for camera in json.loads(message)["cameras"]]

    for _ in range(3):
        assert seen(AccessRole.VIEWER, "y*") == seen(AccessRole.VIEWER, "y*", name="ben") == ["yard"]
        assert seen(AccessRole.VIEWER, "door") == ["door"]
        assert seen(AccessRole.VIEWER) == seen(AccessRole.MONITOR) == []
        assert seen(AccessRole.ADMIN) == ["door", "yard"]
    assert made == ["yard", "door", "door", "yard"]
    ours.notice(CameraChanged("yard", CameraState.SILENT, "", ""))
    made.clear()
    assert seen(AccessRole.VIEWER, "y*") == made == ["yard"], "a camera has changed"
    for each in range(MOST_LISTS):
        seen(AccessRole.VIEWER, f"x{each}")
    made.clear()
    assert seen(AccessRole.VIEWER, "y*") == made == ["yard"], "of too many the oldest is forgotten"


async def test_pages_hear_of_another_name_and_no_picture_stops(broker: RunningBroker, page: Page) -> None:
    await broker.http.post("/api/cameras", json={"id": "hall", "url": "rtsp://host/hall", "name": "Küche, hinten"})
    await page.send(type="subscribe")
    summaries = {each["camera"]: each for each in (await page.next("cameras"))["cameras"]}
    assert [summaries["hall"][key] for key in ("name", "group", "order")] == ["Küche, hinten", "", 0]
    assert summaries["door"]["name"] == "door", "its id, as it has no other name"
    before = await broker.json("/api/cameras/hall")
    changed = await broker.http.patch("/api/cameras/hall", json={"name": "Kitchen", "group": "Inside", "order": -1})
    assert changed.status == 200
    told = await page.next("camera")
    assert [told[key] for key in ("camera", "name", "group", "order")] == ["hall", "Kitchen", "Inside", -1]
    after = await broker.json("/api/cameras/hall")
    assert (after["since"], after["reconnects"]) == (before["since"], before["reconnects"])
    for wrong in ({"name": "x" * 101}, {"name": "two\nlines"}, {"order": 1.5}, {"group": 7}):
        assert (await broker.http.patch("/api/cameras/hall", json=wrong)).status == 422
