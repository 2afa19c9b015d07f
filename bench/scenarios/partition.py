"""An ingest that is cut off from its broker, while its camera and the way of its media are not, and clocks differ."""

from __future__ import annotations

from bench.results import Check
from bench.rig import LOW, Plan, camera
from rigs.partition import OTHER, cut_off


async def partition(plan: Plan) -> None:
    """Cut an ingest off with its clock an hour ahead, then an hour behind: is there a picture all the while?"""
    for hours in (1, -1):
        with camera(plan, LOW) as source:
            seen = await cut_off(source.url, plan.crowd(), plan.viewers or 4, hours)
        checks, name = plan.result.checks, f"its clock {hours:+d} h"
        checks.append(Check(f"{name}: longest time without a picture", round(seen.dark, 2), 0.5, "s"))
        checks.append(Check(f"{name}: two sessions at the camera", round(seen.twice, 1), 12.0, "s"))
        checks.append(Check(f"{name}: the other ingest has it", int(seen.worker == OTHER), 1, at_least=True))
        checks.append(Check(f"{name}: packets lost", seen.lost, 0))
        checks.append(Check(f"{name}: sessions made anew", seen.anew, 0))
