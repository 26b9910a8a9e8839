"""A queue in which clients take turns, however many items each of them adds."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Client = TypeVar("Client", bound=Hashable)
Item = TypeVar("Item")


class Turns(Generic[Client, Item]):
    """Waiting items of clients. Items of one client keep their order."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Client, deque[Item]] = OrderedDict()  # the next client first

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, client: Client, item: Item) -> int:
        """Appends an item to its client's, and returns how many items will currently be taken before it."""
        own = self._waiting.setdefault(client, deque())
        place, before_us, ahead = len(own), True, len(own)
        for other, items in self._waiting.items():
            if other == client:
                before_us = False
            else:
                ahead += min(len(items), place + before_us)
        own.append(item)
        return ahead

    def next(self) -> Item | None:
        """Takes the next item, and moves its client to the end."""
        if not self._waiting:
            return None
        client, items = self._waiting.popitem(last=False)
        item = items.popleft()
        if items:
            self._waiting[client] = items
        return item

    def remove(self, client: Client, item: Item) -> bool:
        """Removes a waiting item. Returns False if it is not waiting."""
        items = self._waiting.get(client, deque())
        if item not in items:
            return False
        items.remove(item)
        if not items:
            del self._waiting[client]
        return True
