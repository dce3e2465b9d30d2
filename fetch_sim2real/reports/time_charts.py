"""Charts over a run's time as SVG text, in the page's colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import Final

import numpy as np

from fetch_sim2real.types import FloatArray

_WIDTH: Final = 1100.0
_LEFT, _RIGHT = 60.0, 10.0
_LINE_HEIGHT: Final = 96.0
# More points than pixels show nothing more.
_MOST_POINTS: Final = 600
_BREAK_S: Final = 0.3
TIMELINE_CSS: Final = """
.t-command { fill: var(--bar); } .t-limited { fill: #c9a227; } .t-hold { fill: var(--track); }
.t-refused { fill: var(--bad); } .t-none { fill: #8250df; } .limit { stroke: var(--bad); stroke-dasharray: 4 3; }
.thin { fill: none; stroke: var(--accent); stroke-width: 1.2; } .key { display: inline-block; width: .8em;
  height: .8em; margin: 0 .3em 0 1em; border-radius: 2px; }
"""


def timeline(times_s: FloatArray, kinds: Sequence[str], end_s: float) -> str:
    """Return a strip with a mark for each frame, at ``times_s`` (n,) in the colour of its kind."""
    period_s = end_s / max(len(kinds), 1)
    parts = []
    for kind, group in groupby(range(len(kinds)), key=lambda index: (kinds[index], _stretch(times_s)[index])):
        indices = list(group)
        x, last = _x(times_s[indices[0]], end_s), _x(times_s[indices[-1]] + period_s, end_s)
        text = f"{kind[0]}: {len(indices)} frames from {times_s[indices[0]]:.2f} s"
        parts.append(
            f'<rect class="t-{kind[0]}" x="{x:.1f}" y="4" width="{max(last - x, 0.8):.1f}" height="26">'
            f"<title>{escape(text)}</title></rect>"
        )
    return _svg(60.0, "what became of each frame", [*parts, *_seconds(48.0, end_s)])


def line(
    name: str, times_s: FloatArray, values: FloatArray, end_s: float, limits: tuple[float, float] | None = None
) -> str:
    """Return a chart of ``values`` (n,) over ``times_s`` (n,), with lines at the lower and upper limit if they are
    near the values.
    """
    shown = slice(None, None, max(1, -(-len(values) // _MOST_POINTS)))
    times_s, values = times_s[shown], values[shown]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    span = max(high - low, 1e-3)
    near = [limit for limit in limits or () if low - span < limit < high + span]
    low, high = min([low, *near]), max([high, *near])
    span = max(high - low, 1e-3)

    def y(value: float) -> float:
        return 20.0 + (_LINE_HEIGHT - 28.0) * (high - value) / span

    parts = [f'<text class="label" x="{_LEFT}" y="12">{escape(name)}</text>']
    for value in (low, high):
        parts.append(
            f'<line class="grid" x1="{_LEFT}" y1="{y(value):.1f}" x2="{_WIDTH - _RIGHT}" y2="{y(value):.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    parts += [
        f'<line class="limit" x1="{_LEFT}" y1="{y(limit):.1f}" x2="{_WIDTH - _RIGHT}" y2="{y(limit):.1f}"/>'
        for limit in near
    ]
    stretches = _stretch(times_s)
    for _, group in groupby(range(len(values)), key=lambda index: stretches[index]):
        points = " ".join(f"{_x(times_s[i], end_s):.1f},{y(values[i]):.1f}" for i in group)
        parts.append(f'<polyline class="thin" points="{points}"/>')
    return _svg(_LINE_HEIGHT, name, parts)


def _stretch(times_s: FloatArray) -> list[int]:
    """Of each time, the number of its stretch without a pause."""
    pauses = np.diff(times_s, prepend=times_s[:1]) > _BREAK_S
    return [int(number) for number in np.cumsum(pauses)]


def _seconds(y: float, end_s: float) -> list[str]:
    return [
        f'<text class="tick" x="{_x(share * end_s, end_s):.1f}" y="{y:.1f}" '
        f'text-anchor="{"end" if share == 1.0 else "middle"}">{share * end_s:.1f} s</text>'
        for share in np.linspace(0.0, 1.0, 9)
    ]


def _x(time_s: float, end_s: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(float(time_s) / (end_s or 1.0), 1.0)


def _svg(height: float, name: str, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(name, quote=True)}" viewBox="0 0 {_WIDTH:g} {height:g}" '
        f'width="{_WIDTH:g}" height="{height:g}">{"".join(parts)}</svg>'
    )
