"""A rig in a process of its own that prints, as JSON, how often each status was the answer to what it asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path


@contextlib.asynccontextmanager
async def counted(module: str, *arguments: str) -> AsyncIterator[asyncio.Task[Counter[int]]]:
    """``python -m module`` at work; the task ends with its answers by status, 0 where there was none."""
    process = await asyncio.create_subprocess_exec(
        *("nice", sys.executable, "-m", module, *arguments),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )

    async def answers() -> Counter[int]:
        said, _ = await process.communicate()
        assert process.returncode == 0, f"{module} failed in its own process"
        return Counter({int(status): count for status, count in json.loads(said).items()})

    task = asyncio.create_task(answers())
    try:
        yield task
    finally:
        task.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
