"""`functools.cached_property` without the lock that it has before Python 3.12.

That lock is one for all objects of a class. A fork while a thread holds it leaves a child in which
nobody ever releases it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__all__ = ["cached_property"]

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:

    class cached_property:  # noqa: N801 - the name of the original
        """A property that is computed once for each object; two threads may both compute it."""

        def __init__(self, function: Any) -> None:
            self._function = function
            self.__doc__ = function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = self._function(instance)
            return instance.__dict__.setdefault(self._name, value)
