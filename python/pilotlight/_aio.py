"""`dual`: gives a blocking method its awaitable twin. `obj.m(…)` blocks, `await obj.m.aio(…)` awaits.

    class Queue:
        @dual                       # a method
        def get(self): ...

        @dual_iterator              # a method that yields: `async for … in obj.m.aio(…)`
        def iterate(self): ...

        @dual_static                # a static method (or, without the line below, a function of a module)
        @staticmethod
        def lookup(name): ...

        @dual_class                 # a class method
        @classmethod
        def from_app(cls, name): ...

        @dual_context               # a method whose result is entered: `async with obj.m.aio(…)`
        def run(self): ...

The twin runs the blocking one in a thread, so that the event loop goes on. `asyncio` is imported when the
first twin is awaited and not before: it is a slow import. `AsyncMirror` makes the classes of `modal.aio`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from typing import Generic, TypeVar, overload

    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")
    R = TypeVar("R")
    S = TypeVar("S")

    class Both(Generic[P, R]):
        """A callable and its awaitable twin."""

        def __init__(self, blocking: Callable[P, R], /) -> None: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
        def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...

    class BothIterate(Generic[P, R]):
        """A callable that gives an iterator, and its twin that gives an asynchronous one."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]: ...
        def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]: ...

    class BothEnter(Generic[P, R]):
        """A callable whose result serves `with` and `async with` alike."""

        def __init__(self, blocking: Callable[P, R], /) -> None: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
        def aio(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    class Method(Generic[S, P, R]):
        @overload
        def __get__(self, instance: None, owner: type) -> Both[Concatenate[S, P], R]: ...
        @overload
        def __get__(self, instance: S, owner: type | None = None) -> Both[P, R]: ...
        def __get__(self, instance: Any, owner: Any = None) -> Any: ...

    class IteratorMethod(Generic[S, P, R]):
        @overload
        def __get__(self, instance: None, owner: type) -> BothIterate[Concatenate[S, P], R]: ...
        @overload
        def __get__(self, instance: S, owner: type | None = None) -> BothIterate[P, R]: ...
        def __get__(self, instance: Any, owner: Any = None) -> Any: ...

    class ContextMethod(Generic[S, P, R]):
        @overload
        def __get__(self, instance: None, owner: type) -> BothEnter[Concatenate[S, P], R]: ...
        @overload
        def __get__(self, instance: S, owner: type | None = None) -> BothEnter[P, R]: ...
        def __get__(self, instance: Any, owner: Any = None) -> Any: ...

    class ClassMethod(Generic[S, P, R]):
        def __get__(self, instance: Any, owner: type[S]) -> Both[P, R]: ...

    def dual(method: Callable[Concatenate[S, P], R], /) -> Method[S, P, R]:
        """A method with a twin."""
        ...

    def dual_iterator(method: Callable[Concatenate[S, P], Iterator[R]], /) -> IteratorMethod[S, P, R]:
        """A method that yields, with a twin that yields asynchronously."""
        ...

    def dual_static(function: Callable[P, R], /) -> Both[P, R]:
        """A static method, or a function of a module, with a twin."""
        ...

    def dual_class(method: Callable[Concatenate[type[S], P], R], /) -> ClassMethod[S, P, R]:
        """A class method with a twin."""
        ...

    def dual_context(method: Callable[Concatenate[S, P], R], /) -> ContextMethod[S, P, R]:
        """A method whose result is entered, with a twin whose result is entered by `async with`."""
        ...

else:

    class Both:
        """A callable and its awaitable twin. Tools see the signature and the words of the blocking one."""

        def __init__(self, blocking, /):
            functools.update_wrapper(self, blocking)
            self._blocking = blocking

        @property
        def __signature__(self):
            # Python 3.9 would follow the `__wrapped__` of a bound method to a function that is not bound.
            import inspect

            return inspect.signature(self._blocking)

        def __call__(self, *args, **kwargs):
            return self._blocking(*args, **kwargs)

        def aio(self, *args, **kwargs):
            """The same, to be awaited."""
            return _in_thread(functools.partial(self._blocking, *args, **kwargs))

        def __repr__(self):
            return repr(self._blocking)

    class _BothIterate(Both):
        def aio(self, *args, **kwargs):
            return _iterate_in_thread(functools.partial(self._blocking, *args, **kwargs))

    class BothEnter(Both):
        def aio(self, *args, **kwargs):
            return self._blocking(*args, **kwargs)

    class Method:
        """Binds like a method, and gives `kind`."""

        def __init__(self, method, kind):
            functools.update_wrapper(self, method)
            self._method, self._kind = method, kind

        def __get__(self, instance, owner=None):
            return self._kind(self._method.__get__(instance, owner))

    class ClassMethod(Method):
        def __get__(self, instance, owner=None):
            return self._kind(self._method.__get__(owner))

    def dual(method, /):
        return Method(method, Both)

    def dual_iterator(method, /):
        return Method(method, _BothIterate)

    def dual_static(function, /):
        # An instance that does not bind: right in a class and in a module.
        return Both(getattr(function, "__func__", function))

    def dual_class(method, /):
        return ClassMethod(method.__func__, Both)

    def dual_context(method, /):
        return Method(method, BothEnter)


class AsyncMirror:
    """In front of a class's other bases: what has an `.aio` twin *is* the twin, as in `modal.aio` of 2022."""

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return found.aio if isinstance(found, Both) else found

    def __init_subclass__(cls) -> None:
        # Class and static methods are looked up on the class, where `__getattribute__` above is not asked.
        for base in cls.__mro__:
            for name, value in vars(base).items():
                if name in vars(cls):
                    continue
                if isinstance(value, Both):
                    setattr(cls, name, staticmethod(value.aio))
                elif isinstance(value, ClassMethod):
                    setattr(cls, name, _twin_of(value))


def _twin_of(method: Any) -> Any:
    def twin(bound: Any) -> Any:
        return Both(bound).aio

    return type(method)(method.__wrapped__, twin)


async def _in_thread(blocking: Callable[[], R]) -> R:
    import asyncio

    return await asyncio.to_thread(blocking)


async def _iterate_in_thread(blocking: Callable[[], Iterator[R]]) -> AsyncIterator[R]:
    # A `StopIteration` cannot leave a thread's future, so the end is a value of its own.
    end: Any = object()
    values = await _in_thread(blocking)
    while (value := await _in_thread(lambda: next(values, end))) is not end:
        yield value
