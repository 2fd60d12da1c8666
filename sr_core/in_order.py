"""Work submitted ahead of its results: a bounded number under way, results in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future


def in_order[Item, Result](
    items: Iterable[Item], submit: Callable[[Item], Future[Result]], *, in_flight: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with the result of what `submit` began for it.

    Args:
        items: asked for as results leave, `in_flight` ahead of them.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        waiting.append((item, submit(item)))
        if len(waiting) > in_flight:
            item, future = waiting.popleft()
            yield item, future.result()
    while waiting:
        item, future = waiting.popleft()
        yield item, future.result()
