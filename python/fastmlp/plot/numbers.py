"""Numbers as people write them: 1,234,567 and 0.0123, powers of ten only for extremes."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

__all__ = ["plain_ticks", "written"]

_SMALLEST, _LARGEST = 1e-4, 1e12
_SUPERSCRIPTS = str.maketrans("-\u22120123456789", "⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_THOUSANDS = re.compile(r"(?<=\d)(?=(?:\d{3})+$)")


def written(value: float, digits: int = 4) -> str:
    """Return a number with `digits` significant digits, and all before the point.

    Examples
    --------
    >>> from fastmlp.plot.numbers import written
    >>> [written(value) for value in (1234567.0, 1234.56, 12.3456, 0.000123456, 2e-9)]
    ['1,234,567', '1,235', '12.35', '0.0001235', '2·10⁻⁹']
    """
    size = abs(value)
    if not math.isfinite(value) or size == 0:
        return "0" if size == 0 else f"{value:g}"
    if not _SMALLEST <= size < _LARGEST:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}·10{str(int(power)).translate(_SUPERSCRIPTS)}"
    decimals = digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2])
    if decimals <= 0:
        return f"{value:,.0f}"
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".")


@lru_cache(maxsize=1)
def _formatter() -> Any:
    from matplotlib.ticker import ScalarFormatter

    class PlainFormatter(ScalarFormatter):  # type: ignore[misc, unused-ignore]
        def __call__(self, x: float, pos: int | None = None) -> str:
            whole, point, decimals = super().__call__(x, pos).partition(".")
            return _THOUSANDS.sub(",", whole) + point + decimals

        def get_offset(self) -> str:
            _, exponent, power = super().get_offset().partition("e")
            return f"·10{power.translate(_SUPERSCRIPTS)}" if exponent else ""

    return PlainFormatter


def plain_ticks(axis: Any) -> None:
    """Write the ticks of an axis with all digits and commas between thousands, without overlap."""
    formatter = _formatter()(useOffset=False, useMathText=False)
    formatter.set_powerlimits((-5, 12))
    axis.set_major_formatter(formatter)
    if axis.axis_name == "x":
        axis.set_major_locator(_locator()())


@lru_cache(maxsize=1)
def _locator() -> Any:
    from matplotlib.ticker import AutoLocator, MaxNLocator

    class RoomyLocator(AutoLocator):  # type: ignore[misc, unused-ignore]
        """As many ticks as there is room for by the length of their labels."""

        def __init__(self) -> None:
            super().__init__()
            self._found: dict[tuple[float, float, float], Any] = {}

        def tick_values(self, vmin: float, vmax: float) -> Any:
            axes: Any = getattr(self.axis, "axes", None)
            if axes is None:
                return super().tick_values(vmin, vmax)
            room = axes.bbox.width * 72 / axes.figure.dpi
            found = self._found.get((vmin, vmax, room))
            if found is None:
                found = self._found[vmin, vmax, room] = self._fitting(vmin, vmax, room)
            return found

        def _fitting(self, vmin: float, vmax: float, room: float) -> Any:
            ticks = super().tick_values(vmin, vmax)
            for bins in (7, 5, 4, 3, 2):
                if self._have_room(ticks, vmin, vmax, room):
                    break
                ticks = MaxNLocator(bins, steps=[1, 2, 2.5, 5, 10]).tick_values(vmin, vmax)
            return ticks

        def _have_room(self, ticks: Any, vmin: float, vmax: float, room: float) -> bool:
            axis: Any = self.axis
            shown = [tick for tick in ticks if vmin <= tick <= vmax]
            if len(shown) < 3:
                return True
            longest = max(map(len, axis.get_major_formatter().format_ticks(shown)))
            size = axis.get_major_ticks(1)[0].label1.get_size()
            share = (shown[1] - shown[0]) / (vmax - vmin)
            return bool(share * room >= 0.64 * size * (longest + 1))

    return RoomyLocator
