"""Answers that somebody waits for, each by the name of its question."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from common.errors import RequestError

Answer = TypeVar("Answer")


class Waiting(Generic[Answer]):
    """Requests that wait for answers of one kind. An answer that nobody waits for any more is no error."""

    def __init__(self) -> None:
        self._futures: dict[str, asyncio.Future[Answer]] = {}

    @contextmanager
    def asked(self, name: str) -> Iterator[asyncio.Future[Answer]]:
        """While open, an answer is waited for; what is yielded is to be awaited, and raises ``RequestError``."""
        future = self._futures[name] = asyncio.get_running_loop().create_future()
        try:
            yield future
        finally:
            del self._futures[name]

    def answer(self, name: str, answer: Answer) -> None:
        """Give whoever waits the answer."""
        future = self._futures.get(name)
        if future is not None and not future.done():
            future.set_result(answer)

    def refuse(self, name: str, status: int, code: str, message: str) -> None:
        """Refuse the answer. The fields are those of ``RequestError``."""
        future = self._futures.get(name)
        if future is not None and not future.done():
            future.set_exception(RequestError(status, code, message))

    def refuse_all(self, status: int, code: str, message: str) -> None:
        """Let nobody wait any longer."""
        for name in self._futures:
            self.refuse(name, status, code, message)
