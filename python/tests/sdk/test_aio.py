"""`.aio`: the awaitable twin of each blocking method."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator

import pytest
from pilotlight._aio import AsyncMirror, dual, dual_class, dual_context, dual_iterator, dual_static


class Entered:
    def __enter__(self) -> str:
        return "with"

    def __exit__(self, *error: object) -> None:
        pass

    async def __aenter__(self) -> str:
        return "async with"

    async def __aexit__(self, *error: object) -> None:
        pass


class Thing:
    def __init__(self, one: int) -> None:
        self.one = one

    @dual
    def add(self, two: int, *, times: int = 1) -> tuple[int, bool]:
        """Adds."""
        if times == 0:
            raise KeyError("times")
        return (self.one + two) * times, threading.current_thread() is threading.main_thread()

    @dual_iterator
    def count(self, end: int) -> Iterator[int]:
        yield from range(self.one, end)

    @dual_static
    @staticmethod
    def double(two: int) -> int:
        """Doubles."""
        return 2 * two

    @dual_class
    @classmethod
    def make(cls, two: int) -> Thing:
        return cls(two)

    @dual_context
    def enter(self) -> Entered:
        return Entered()


class Child(Thing):
    pass


class AioThing(AsyncMirror, Thing):
    pass


def test_the_name_blocks_and_its_twin_awaits_without_holding_the_loop() -> None:
    thing = Thing(1)
    assert thing.add(2, times=3) == (9, True)
    assert asyncio.run(thing.add.aio(2, times=3)) == (9, False)
    assert (Thing.double(4), asyncio.run(Thing.double.aio(4)), thing.double(4)) == (8, 8, 8)
    assert [type(made) for made in (Thing.make(1), Child.make(1), asyncio.run(Child.make.aio(1)))] == [
        Thing,
        Child,
        Child,
    ]
    assert Thing.add(thing, 2) == (3, True)


def test_errors_and_iterators_and_contexts_pass() -> None:
    thing = Thing(1)

    async def use() -> None:
        with pytest.raises(KeyError):
            await thing.add.aio(2, times=0)
        assert [value async for value in thing.count.aio(4)] == [1, 2, 3]
        async with thing.enter.aio() as how:
            assert how == "async with"
        async with thing.enter() as how:
            assert how == "async with"

    asyncio.run(use())
    assert list(thing.count(4)) == [1, 2, 3]
    with thing.enter() as how:
        assert how == "with"


def test_tools_see_the_blocking_method() -> None:
    assert str(inspect.signature(Thing(1).add)).startswith("(two: 'int', *, times: 'int' = 1)")
    assert list(inspect.signature(Thing.add).parameters) == ["self", "two", "times"]
    assert list(inspect.signature(Thing.make).parameters) == ["two"]
    assert (Thing.add.__doc__, Thing.add.__name__, Thing(1).double.__doc__) == ("Adds.", "add", "Doubles.")


def test_a_mirror_awaits_by_the_plain_name() -> None:
    thing = AioThing(1)

    async def use() -> None:
        assert await thing.add(2) == (3, False)
        assert await AioThing.double(4) == await thing.double(4) == 8
        assert type(await AioThing.make(1)) is AioThing
        assert [value async for value in thing.count(3)] == [1, 2]
        async with thing.enter() as how:
            assert how == "async with"

    asyncio.run(use())
    assert isinstance(thing, Thing)
