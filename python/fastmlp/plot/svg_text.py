"""A renderer for SVG that writes texts as text, in whatever script they are."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import IO, Any

from fastmlp.plot.fonts import lacking, readable, width_unknown

__all__ = ["draw_svg"]

_ALONG = {"left": 0.0, "bottom": 0.0, "baseline": 0.0, "center": 0.5, "center_baseline": 0.5,
          "right": 1.0, "top": 1.0}  # fmt: skip
_ANCHORS = {0.0: "start", 0.5: "middle", 1.0: "end"}


@lru_cache(maxsize=1)
def _renderer_class() -> Any:
    from matplotlib.backends.backend_svg import RendererSVG
    from matplotlib.colors import to_hex

    class TextRenderer(RendererSVG):  # type: ignore[misc, unused-ignore]
        writes_text = True

        def draw_text(
            self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float,
            ismath: Any = False, mtext: Any = None,
        ) -> None:  # fmt: skip
            if ismath:  # formulas have outlines
                super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
                return
            share = _share_before_anchor(mtext, angle)
            turned = math.radians(angle)
            length = share * self.get_text_width_height_descent(s, prop, False)[0]
            place = (x + length * math.cos(turned), y - length * math.sin(turned))
            at = " ".join(f"{value:.2f}" for value in place)
            turn = f" rotate({-angle:g})" if angle else ""
            self.writer.element(
                "text", readable(s),
                attrib={
                    "transform": f"translate({at}){turn}",
                    "text-anchor": _ANCHORS[share],
                    "fill": to_hex(gc.get_rgb()),
                    "font-size": f"{prop.get_size_in_points():g}",
                    **_style(prop, gc),
                },
            )  # fmt: skip

        def get_text_width_height_descent(
            self, s: str, prop: Any, ismath: Any
        ) -> tuple[float, float, float]:
            lacks = "" if ismath else lacking(s, prop)
            known = "".join(letter for letter in s if letter not in lacks) if lacks else s
            width, height, descent = super().get_text_width_height_descent(
                known or "l", prop, ismath
            )
            width = width if known else 0.0
            size = prop.get_size_in_points()
            return width + size * sum(map(width_unknown, lacks)), height, descent

    return TextRenderer


def _style(prop: Any, gc: Any) -> dict[str, str]:
    style = {"font-family": "monospace"} if "monospace" in prop.get_family() else {}
    if prop.get_style() != "normal":
        style["font-style"] = str(prop.get_style())
    if prop.get_weight() not in ("normal", "regular", 400):
        style["font-weight"] = str(prop.get_weight())
    if gc.get_alpha() not in (None, 1.0):
        style["fill-opacity"] = f"{gc.get_alpha():g}"
    return style


def _share_before_anchor(mtext: Any, angle: float) -> float:
    """Return which share of a text lies before the point that its alignment fixes."""
    if mtext is None:
        return 0.0
    if angle == 0 or mtext.get_rotation_mode() == "anchor":
        return _ALONG[mtext.get_horizontalalignment()]
    return _ALONG[mtext.get_verticalalignment()] if angle == 90 else 0.0


@lru_cache(maxsize=1)
def _canvas_class() -> Any:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    class TextCanvas(FigureCanvasSVG):  # type: ignore[misc, unused-ignore]
        ruler: Any = None

        def get_renderer(self) -> Any:
            """Return the renderer by which a layout measures texts."""
            return self.ruler

    return TextCanvas


def draw_svg(figure: Any, stream: IO[str], metadata: dict[str, Any]) -> None:
    """Write a figure as an SVG document, with its texts as text.

    Parameters
    ----------
    figure : matplotlib Figure
    stream : text stream
    metadata : dict
        As for matplotlib's ``print_svg``.
    """
    from matplotlib.backends.backend_mixed import MixedModeRenderer

    canvas, resolution = figure.canvas, figure.dpi
    try:
        figure.dpi = 72
        width, height = figure.get_size_inches()
        pen = _renderer_class()(
            72 * width, 72 * height, stream, image_dpi=resolution, metadata=metadata
        )
        renderer = MixedModeRenderer(figure, width, height, resolution, pen)
        _canvas_class()(figure).ruler = renderer
        figure.draw(renderer)
        renderer.finalize()
    finally:
        figure.dpi = resolution
        figure.set_canvas(canvas)
