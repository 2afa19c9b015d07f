"""H.265: whatever a camera makes of its packets, the same pictures go out, and each keyframe can be begun with."""

from __future__ import annotations

import base64
import re

import av
import pytest

from common.media import MAX_PAYLOAD, Batch, Kind
from common.payload.access_unit import access_unit
from common.payload.output import Output
from ingest.payload.h265 import H265, announced_track
from rigs.codecs import pictures
from rigs.tracks import h265_fragments
from tests.fakes.clocks import ArrivalClock

X265 = "preset=ultrafast x265-params=log-level=none:bframes={}:repeat-headers=1:keyint=10:min-keyint=10:scenecut=0"
TICKS = 3_000
VPS, SPS, PPS, AUD = 32, 33, 34, 35


def kind(nal: bytes) -> int:
    return nal[0] >> 1 & 0x3F


def split(stream: bytes) -> list[bytes]:
    return [nal for nal in re.split(b"\0\0\0?\1", stream) if nal]


def encoded(*, pixels: str = "yuv420p", bframes: int = 0) -> list[list[bytes]]:
    """The NAL units of each picture, without supplemental information."""
    coded = pictures("libx265", pixels=pixels, options=X265.format(bframes) + (" bf=2" if bframes else ""))
    return [[nal for nal in split(picture.data) if kind(nal) != 39] for picture in coded]


class Camera:
    def __init__(self, parameters: dict[str, str] | None = None) -> None:
        self.output = Output(Kind.VIDEO, "H265", ArrivalClock(), epoch=1)
        self.format = H265(parameters or {}, self.output)
        self.number = 0

    def send(self, nals: list[bytes], *, size: int = 1_400, marker: bool = True, at: int = 5) -> None:
        payloads = [payload for nal in nals for payload in h265_fragments(nal, size)]
        for index, payload in enumerate(payloads):
            last = index == len(payloads) - 1
            self.format.receive(b"head" + payload, 4, 4 + len(payload), self.number * TICKS, marker and last, at)
        self.number += 1

    def units(self) -> list[tuple[Batch, list[bytes]]]:
        batches = self.output.take(0)
        assert all(len(payload) <= MAX_PAYLOAD for batch in batches for payload in batch.payloads)
        return [(batch, split(access_unit("H265", batch.payloads))) for batch in batches]


def decoded(units: list[tuple[Batch, list[bytes]]]) -> int:
    decoder = av.CodecContext.create("hevc", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    count = 0
    for _, nals in units:
        count += len(decoder.decode(av.Packet(b"".join(b"\0\0\0\1" + nal for nal in nals))))
    return count + len(decoder.decode(None))


@pytest.mark.parametrize("slices", [1, 4])
def test_packets_that_each_have_a_timestamp_are_of_one_picture_until_it_ends(slices: int) -> None:
    camera = Camera()
    options = X265.format(0) + f":slices={slices}"
    sent = [[nal for nal in split(each.data) if kind(nal) != 39] for each in pictures("libx265", options=options)]
    payloads = [
        (payload, number == len(nals) - 1 and part == len(parts) - 1)
        for nals in sent
        for number, nal in enumerate(nals)
        for parts in [h265_fragments(nal, 300)]
        for part, payload in enumerate(parts)
    ]
    for number, (payload, marker) in enumerate(payloads):
        camera.format.receive(b"head" + payload, 4, 4 + len(payload), 90 * number, marker, 5)
    units = camera.units()
    assert [without_sets(nals) for _, nals in units] == [without_sets(nals) for nals in sent]
    assert decoded(units) == len(sent)


def without_sets(nals: list[bytes]) -> list[bytes]:
    return [nal for nal in nals if kind(nal) not in (VPS, SPS, PPS)]


def sprop(nals: list[bytes]) -> dict[str, str]:
    names = {VPS: "sprop-vps", SPS: "sprop-sps", PPS: "sprop-pps"}
    return {names[kind(nal)]: base64.b64encode(nal).decode() for nal in nals if kind(nal) in names}


@pytest.mark.parametrize("size", [100, 1_400, 60_000])
def test_pictures_in_packets_of_any_size_go_out_as_they_are(size: int) -> None:
    camera, sent = Camera(), encoded()
    for nals in sent:
        camera.send(nals, size=size)
    units = camera.units()
    assert [nals for _, nals in units] == sent
    assert [batch.keyframe for batch, _ in units] == [kind(nals[0]) == VPS for nals in sent]
    assert decoded(units) == len(sent) == camera.format.frames


def test_sets_of_the_description_stand_before_each_keyframe() -> None:
    sent = encoded()
    camera = Camera(sprop(sent[0]))
    for nals in sent:
        camera.send(without_sets(nals))
    units = camera.units()
    assert decoded(units) == len(sent)
    assert [[kind(nal) for nal in nals[:3]] for batch, nals in units if batch.keyframe] == [[VPS, SPS, PPS]] * 2
    assert len(units[0][0].payloads[0]) < 200, "they share a packet"


def in_layer(nal: bytes, layer: int) -> bytes:
    """The same NAL unit in another layer (H.265 7.3.1.2, annexes F to I): another view, or more detail."""
    return bytes((nal[0] & 0xFE | layer >> 5, layer << 3 & 0xF8 | nal[1] & 7)) + nal[2:]


@pytest.mark.parametrize("size", [60, 1_400])
@pytest.mark.parametrize("layer", [1, 32])
def test_of_several_layers_the_first_goes_out_alone(size: int, layer: int) -> None:
    camera, sent = Camera(), encoded()
    for nals in sent:
        second = [in_layer(nal[:12] + bytes(8) if kind(nal) == SPS else nal, layer) for nal in nals]
        camera.send([*nals, *second], size=size)
    units = camera.units()
    assert [nals for _, nals in units] == sent
    assert camera.format.track.width == 320


def test_sets_that_were_sent_once_stand_before_each_keyframe() -> None:
    camera, sent = Camera(), encoded()
    for number, nals in enumerate(sent):
        camera.send(nals if not number else without_sets(nals))
    assert decoded(camera.units()[-10:]) == 10


def test_sets_in_packets_of_their_own_belong_to_the_next_picture() -> None:
    camera, sent = Camera(), encoded()
    for nal in sent[0]:
        camera.send([nal])
    assert len(camera.units()) == 1


def test_start_codes_in_a_packet_begin_nal_units() -> None:
    camera, sent = Camera(), encoded()
    for nals in sent:
        camera.send([b"\0\0\0\1".join(nals)])
    assert [nals for _, nals in camera.units()] == sent


def test_what_browsers_have_no_use_for_is_left_out() -> None:
    camera, sent = Camera(), encoded()
    camera.send([bytes((AUD << 1, 1, 0x10)), *sent[0], bytes((40 << 1, 1)) + b"suffix"])
    assert [nals for _, nals in camera.units()] == sent[:1]


@pytest.mark.parametrize("more", ["", ":temporal-layers=3:bframes=4"])
def test_a_video_parameter_set_that_never_comes_is_made_of_the_sequence(more: str) -> None:
    coded = pictures("libx265", options=X265.format(0) + more)
    sent = [[nal for nal in split(picture.data) if kind(nal) != 39] for picture in coded]
    camera = Camera()
    for nals in sent:
        camera.send([nal for nal in nals if kind(nal) != VPS])
    units = camera.units()
    assert [nals for _, nals in units] == sent, "it is the encoder's own"
    assert decoded(units) == len(sent)
    assert not camera.format.unseen


def test_a_video_parameter_set_that_comes_takes_the_place_of_the_one_that_was_made() -> None:
    sent = encoded()
    camera = Camera({name: text for name, text in sprop(sent[0]).items() if name != "sprop-vps"})
    own = sent[0][0][:-1] + b"\x41"  # it says something more at its end
    camera.send(without_sets(sent[0]))
    camera.send([own, *without_sets(sent[10])])
    assert [nals[0] for _, nals in camera.units()] == [sent[0][0], own]


@pytest.mark.parametrize("extension", [b"", b"\1\2\3"])
def test_pictures_inside_of_paci_packets_go_out_as_they_are(extension: bytes) -> None:
    """RFC 7798 4.4.4: the type of what is carried, and the size of what is said of it, in 16 bits behind the header."""
    camera, sent = Camera(), encoded()
    for number, nals in enumerate(sent):
        payloads = [payload for nal in nals for payload in h265_fragments(nal, 1_400)]
        for payload in payloads:
            fields = (kind(payload) << 9 | len(extension) << 4).to_bytes(2)
            packet = b"head" + bytes((50 << 1, payload[1])) + fields + extension + payload[2:]
            camera.format.receive(packet, 4, len(packet), number * TICKS, payload is payloads[-1], 5)
    assert [nals for _, nals in camera.units()] == sent


def is_fragment(payload: bytes) -> bool:
    return kind(payload) == 49


def split_end(payload: bytes, marker: bool, *, behind: bool) -> list[tuple[bytes, bool]]:
    """A last fragment's bytes, and its end bit by itself; ``behind`` the marker or with it."""
    if not is_fragment(payload) or not payload[2] & 0x40:
        return [(payload, marker)]
    opened = payload[:2] + bytes((payload[2] & ~0x40,)) + payload[3:]
    return [(opened, marker and behind), (payload[:3], marker and not behind)]


ODD = {
    "markers on every packet": lambda payload, _: [(payload, True)],
    "markers on every NAL unit": lambda payload, m: [(payload, m or not is_fragment(payload) or payload[2] & 0x40 > 0)],
    "markers on parameter sets": lambda payload, m: [(payload, m or kind(payload) in (VPS, SPS, PPS))],
    "an empty last fragment": lambda payload, m: split_end(payload, m, behind=False),
    "an empty last fragment behind the marker": lambda payload, m: split_end(payload, m, behind=True),
    "no end bits": lambda payload, m: [
        (payload[:2] + bytes((payload[2] & ~0x40,)) + payload[3:] if is_fragment(payload) else payload, m)
    ],
    "an end of sequence behind each picture": lambda payload, m: [(payload, False), (b"\x48\1", True)][: 1 + m],
    "a type without a meaning behind each picture": lambda payload, m: [(payload, False), (b"\x7c\1abc", True)][
        : 1 + m
    ],
    "a byte before each packet": lambda payload, m: [(b"\x4e", False), (payload, m)],
}


@pytest.mark.parametrize("slices", [1, 4])
@pytest.mark.parametrize("odd", ODD)
def test_markers_and_ends_that_are_not_where_they_should_be_cost_no_picture(odd: str, slices: int) -> None:
    """A picture may leave when the next one begins until that is learnt; markers on all slices cost the first one."""
    camera = Camera()
    options = X265.format(0) + f":slices={slices}"
    sent = [[nal for nal in split(each.data) if kind(nal) != 39] for each in pictures("libx265", options=options)]
    learning = 1 if "markers on every" in odd and slices > 1 else 0
    late = 0
    for number, nals in enumerate(sent):
        payloads = [payload for nal in nals for payload in h265_fragments(nal, 300)]
        for payload in payloads:
            for packet, marker in ODD[odd](payload, payload is payloads[-1]):
                camera.format.receive(b"head" + packet, 4, 4 + len(packet), number * TICKS, marker, 5)
        late += camera.format.frames < number + 1
    units = [nals for _, nals in camera.units()]
    expected = sent if not learning else sent[:-1]  # which the next one's timestamp would end
    assert units[-len(expected) + 1 :] == expected[1:]
    assert late <= (2 if not learning else len(sent))
    assert learning or units == sent


def test_without_a_sequence_parameter_set_one_sentence_says_so() -> None:
    camera = Camera()
    for nals in encoded():
        camera.send([nal for nal in nals if kind(nal) != SPS])
    assert camera.units() == []
    assert "its sequence parameter set never arrives" in camera.format.hindrance
    assert camera.format.unseen


def test_pictures_after_a_loss_wait_for_a_keyframe() -> None:
    camera, sent = Camera(), encoded()
    for number, nals in enumerate(sent):
        if number == 3:
            camera.format.lost()
        camera.send(nals)
    assert [batch.timestamp // TICKS for batch, _ in camera.units()] == [0, 1, 2, *range(10, 20)]


def test_a_picture_parameter_set_that_comes_anew_takes_the_place_of_the_old_one() -> None:
    camera, sent = Camera(), encoded()
    old = next(nal for nal in sent[0] if kind(nal) == PPS)
    camera.send([*sent[0][:2], old[:-1] + bytes((old[-1] ^ 0x10,)), old, *without_sets(sent[0])])
    [(_, nals)] = camera.units()
    assert [nal for nal in nals if kind(nal) == PPS] == [old]


@pytest.mark.parametrize(
    ("pixels", "profile"),
    [("yuv420p", "profile-id=1;tier-flag=0;level-id=60"), ("yuv420p10le", "profile-id=2;tier-flag=0;level-id=60")],
)
def test_the_profile_is_known_from_the_description_and_from_the_stream(pixels: str, profile: str) -> None:
    sent = encoded(pixels=pixels)
    assert announced_track(sprop(sent[0])).profile == profile
    camera = Camera()
    assert camera.format.track.profile == ""
    camera.send(sent[0])
    assert camera.format.track.profile == profile
    assert camera.format.track.convert == ""


def test_pictures_in_another_order_than_shown_and_unusual_profiles_are_to_be_converted() -> None:
    camera = Camera()
    camera.send(encoded(bframes=2)[0])
    assert "B-frames" in camera.format.track.convert
    camera = Camera()
    camera.send(encoded(pixels="yuv444p")[0])
    assert "profile 4" in camera.format.track.convert


def numbered(payload: bytes, number: int) -> bytes:
    """RFC 7798 4.4.1 to 4.4.3: a payload with its decoding order number."""
    at = 3 if payload[0] >> 1 == 49 else 2
    if at == 3 and payload[2] < 0x80:
        return payload
    return payload[:at] + number.to_bytes(2) + payload[at:]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("size", [60, 1_400])
def test_decoding_order_numbers_are_left_out(size: int, *, marked: bool) -> None:
    camera, sent = Camera({"sprop-max-don-diff": "2"}), encoded()
    sets, *others = sent[0][:3], [sent[0][3:], *sent[1:]]
    first, *more = sets
    payload = b"\x60\x01" + (7).to_bytes(2) + len(first).to_bytes(2) + first
    for nal in more:
        payload += b"\0" + len(nal).to_bytes(2) + nal
    camera.format.receive(payload, 0, len(payload), 0, False, 5)
    for number, unit in enumerate(others[0]):
        payloads = [numbered(each, 9) for nal in unit for each in h265_fragments(nal, size)]
        for at, each in enumerate(payloads):
            camera.format.receive(each, 0, len(each), number * TICKS, marked and at == len(payloads) - 1, 5)
    assert not camera.format.expects_picture(5), "the compiled way knows nothing of them"
    assert [nals for _, nals in camera.units()][1:] == (sent[1:] if marked else sent[1:-1])
    assert camera.format.dropped == 0


def test_how_a_picture_is_turned_stands_before_each_keyframe_though_it_was_said_once() -> None:
    turned, upright = bytes.fromhex("4e012f0308000980"), bytes.fromhex("4e012f0300000980")
    camera, sent = Camera(), encoded()
    camera.send([turned, *sent[0]])
    for nals in (*sent[1:], [upright, *sent[0]], *sent[1:11]):
        camera.send(nals)
    keyframes = [nals for batch, nals in camera.units() if batch.keyframe]
    assert [[nal for nal in nals if nal in (turned, upright)] for nals in keyframes] == [
        *[[turned]] * 2,
        [upright],
        [],
    ]
    camera.send([turned, *sent[0]])
    camera.format.restart()
    camera.send(sent[0])
    assert turned not in camera.units()[-1][1]
    assert not camera.format.track.convert


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("announced", "sent_so"), [("2", False), ("0", True)])
def test_whether_there_are_such_numbers_is_seen_and_not_only_announced(
    announced: str, *, sent_so: bool, together: bool
) -> None:
    camera, sent = Camera({"sprop-max-don-diff": announced}), encoded()
    for number, unit in enumerate(sent):
        payloads = [each for nal in unit for each in h265_fragments(nal, 1_400)]
        if sent_so:
            payloads = [numbered(each, 9) for each in payloads]
        if together and kind(unit[0]) == 32:
            own = [len(nal).to_bytes(2) + nal for nal in unit[:3]]
            order = (b"\0\7", b"\0") if sent_so else (b"", b"")
            payloads[:3] = [b"\x60\x01" + order[0] + order[1].join(own)]
        for at, each in enumerate(payloads):
            camera.format.receive(each, 0, len(each), number * TICKS, at == len(payloads) - 1, 5)
    assert [nals for _, nals in camera.units()][-len(sent) + 2 :] == sent[2:]


def test_a_picture_that_is_to_be_turned_is_converted_and_says_so_to_the_decoder() -> None:
    camera, sent = Camera(), encoded()
    turned = bytes.fromhex("4e012f0308000980")  # display orientation of 90 degrees, H.265 D.2.17
    at = next(number for number, nal in enumerate(sent[0]) if kind(nal) < 32)
    camera.send([*sent[0][:at], turned, *sent[0][at:]])
    assert "rotated" in camera.format.track.convert
    assert [nals for _, nals in camera.units()] == [[*sent[0][:at], turned, *sent[0][at:]]]


@pytest.mark.parametrize("text", ["", "!", "AAAA", "QgE=", ","])
def test_sets_that_are_none_are_ignored(text: str) -> None:
    assert announced_track({"sprop-vps": text, "sprop-sps": text, "sprop-pps": text}).profile == ""


@pytest.mark.parametrize("nal", [b"\x42\1", b"\x42\1\xff\xff\xff\xff", b"\x62\1", b"\x60\1\0\xff", b"\x44\1\0"])
def test_damaged_packets_are_no_pictures(nal: bytes) -> None:
    camera, sent = Camera(), encoded()
    camera.send([nal])
    camera.send(sent[0])
    assert [nals for _, nals in camera.units()] == sent[:1]
