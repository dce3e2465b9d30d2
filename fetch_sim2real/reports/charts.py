"""Small charts as SVG text, for a page that must need nothing but itself. Colours are the page's CSS variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 12.0, 40.0
_WIDTH, _HEIGHT = 380.0, 220.0
_BAR_WIDTH, _BAR_HEIGHT = 170.0, 16.0


@dataclass(frozen=True)
class RatePoint:
    """A success rate with its interval, at ``x``."""

    x: float
    rate: float
    low: float
    high: float


def rate_curve(points: Sequence[RatePoint], label: str) -> str:
    """Return a chart of success against the size of something: a line, and an interval at each point."""
    xs = [point.x for point in points]
    low, high = min(xs), max(xs)
    span = (high - low) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + width * (x - low) / span, _TOP + height * (1.0 - y)

    parts = [_axis_line(at(low, y), at(high, y), f"{100 * y:.0f} %") for y in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for point in points:
        u, v = at(point.x, 0.0)
        parts.append(f'<text class="tick" x="{u:.1f}" y="{v + 16:.1f}" text-anchor="middle">{point.x:g}</text>')
    line = " ".join("{:.1f},{:.1f}".format(*at(point.x, point.rate)) for point in points)
    parts.append(f'<polyline class="line" points="{line}"/>')
    for point in points:
        (u, top), (_, bottom), (_, v) = (at(point.x, y) for y in (point.high, point.low, point.rate))
        title = f"{label} {point.x:g}: {point.rate:.0%} ({point.low:.0%} to {point.high:.0%})"
        parts.append(
            f'<g><title>{escape(title)}</title><line class="whisker" x1="{u:.1f}" y1="{top:.1f}" x2="{u:.1f}" '
            f'y2="{bottom:.1f}"/><circle class="dot" cx="{u:.1f}" cy="{v:.1f}" r="4"/></g>'
        )
    middle = _LEFT + (_WIDTH - _LEFT - _RIGHT) / 2
    parts.append(f'<text class="label" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(label)}</text>')
    return _svg(_WIDTH, _HEIGHT, f"success against {label}", parts)


def rate_bar(rate: float, low: float, high: float) -> str:
    """Return a success rate and its interval as a bar for a table's cell."""
    middle = _BAR_HEIGHT / 2
    x, x_low, x_high = (_BAR_WIDTH * value for value in (rate, low, high))
    parts = [
        f'<rect class="track" x="0" y="{middle - 4}" width="{_BAR_WIDTH}" height="8" rx="2"/>',
        f'<rect class="bar" x="0" y="{middle - 4}" width="{x:.1f}" height="8" rx="2"/>',
        f'<line class="whisker" x1="{x_low:.1f}" y1="{middle}" x2="{x_high:.1f}" y2="{middle}"/>',
        *(
            f'<line class="whisker" x1="{end:.1f}" y1="{middle - 5}" x2="{end:.1f}" y2="{middle + 5}"/>'
            for end in (x_low, x_high)
        ),
    ]
    return _svg(_BAR_WIDTH, _BAR_HEIGHT, f"{rate:.0%}, interval {low:.0%} to {high:.0%}", parts)


@dataclass(frozen=True)
class Spread:
    """Some durations [ms]: the row's name, median, 99th percentile and largest."""

    name: str
    p50: float
    p99: float
    max: float


def spread_rows(rows: Sequence[Spread]) -> str:
    """Return a chart of durations, a row each: a line from the median to the largest, with marks at median and 99th
    percentile.
    """
    left, right, row_height, top = 250.0, 90.0, 22.0, 22.0
    width, height = 800.0, top + row_height * len(rows) + 8
    longest = max(row.max for row in rows) or 1.0

    def at(value: float) -> float:
        return left + (width - left - right) * value / longest

    parts = [
        f'<text class="tick" x="{at(0.0):.1f}" y="14" text-anchor="middle">0 ms</text>',
        f'<text class="tick" x="{at(longest):.1f}" y="14" text-anchor="middle">{longest:.0f} ms</text>',
    ]
    for index, row in enumerate(rows):
        y = top + row_height * (index + 0.5)
        title = f"{row.name}: p50 {row.p50:.1f}, p99 {row.p99:.1f}, max {row.max:.1f} ms"
        parts.append(
            f'<g><title>{escape(title)}</title><text class="tick" x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">'
            f'{escape(_shortened(row.name))}</text><line class="grid" x1="{left}" y1="{y:.1f}" x2="{width - right}" '
            f'y2="{y:.1f}"/><line class="whisker" x1="{at(row.p50):.1f}" y1="{y:.1f}" x2="{at(row.max):.1f}" '
            f'y2="{y:.1f}"/><circle class="dot" cx="{at(row.p50):.1f}" cy="{y:.1f}" r="4"/><rect class="mark" '
            f'x="{at(row.p99) - 1.5:.1f}" y="{y - 6:.1f}" width="3" height="12"/>'
            f'<text class="tick" x="{width - right + 8}" y="{y + 4:.1f}">{row.p50:.1f} / {row.p99:.1f}</text></g>'
        )
    return _svg(width, height, "latency of each case", parts)


_LONGEST_NAME: Final = 36


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _axis_line(start: tuple[float, float], end: tuple[float, float], text: str) -> str:
    (x1, y), (x2, _) = start, end
    return (
        f'<line class="grid" x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{x1 - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _svg(width: float, height: float, name: str, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(name, quote=True)}" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}">{"".join(parts)}</svg>'
    )
