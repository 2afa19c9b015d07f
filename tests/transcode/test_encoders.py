"""The choice of an encoder: with every list of encoders, devices and measurements that a machine may have."""

from __future__ import annotations

import pytest

from transcode.encoders import HARDWARE, MOST_HELD, SOFTWARE, Encoder, Trial, best, candidates, reasons

NVENC, QSV, V4L2 = HARDWARE
ALL = {encoder.name for encoder in HARDWARE}


def worth(wanted: str, known: set[str], *devices: str) -> list[Encoder]:
    return candidates(wanted, lambda: known, lambda pattern: pattern in devices)[0]


def test_hardware_is_tried_where_its_device_and_its_encoder_are() -> None:
    assert worth("auto", ALL, *NVENC.devices, *QSV.devices) == [NVENC, QSV]
    assert worth("auto", ALL, V4L2.devices[1]) == [V4L2]
    assert worth("auto", {QSV.name}, *NVENC.devices) == []
    assert worth("software", ALL, *NVENC.devices) == []


def test_without_a_device_nobody_asks_for_the_encoders_that_there_are() -> None:
    def known() -> set[str]:
        raise AssertionError("that loads 30 MB")

    tried, left = candidates("auto", known, lambda _pattern: False)
    assert tried == []
    assert [trial.problem for trial in left] == [
        "there is no /dev/nvidiactl and no /dev/dxg",
        "there is no /dev/dri/renderD*",
        "there is no /dev/video1[0-9] and no /dev/video-enc*",
    ]


@pytest.mark.parametrize(
    ("trials", "taken"),
    [
        ([], SOFTWARE),
        ([Trial(NVENC, cost=0.05)], NVENC),
        ([Trial(NVENC, cost=0.05), Trial(QSV, cost=0.03)], QSV),
        ([Trial(NVENC, "it cannot be used", cost=0.0)], SOFTWARE),
        ([Trial(NVENC, held=MOST_HELD + 1, cost=0.05), Trial(V4L2, held=MOST_HELD, cost=0.1)], V4L2),
        ([Trial(V4L2, cost=0.3)], SOFTWARE),
    ],
)
def test_what_serves_and_costs_least_is_taken(trials: list[Trial], taken: Encoder) -> None:
    assert best(Trial(SOFTWARE, cost=0.2), trials).encoder == taken


def test_each_that_is_not_taken_is_named_with_its_reason() -> None:
    trials = [Trial(NVENC, "it cannot be used (no such device)"), Trial(QSV, held=4, cost=0.1), Trial(V4L2, cost=0.5)]
    assert list(reasons(Trial(SOFTWARE, cost=0.2), trials)) == [
        "NVENC (NVIDIA): it cannot be used (no such device)",
        "Quick Sync (Intel): it holds back 4 pictures",
        "V4L2: it takes 50% of a core where software (libx264) takes 20%",
    ]
    assert list(reasons(Trial(QSV, cost=0.1), [Trial(QSV, cost=0.1)])) == []
