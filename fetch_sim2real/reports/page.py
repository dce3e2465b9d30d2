"""The frame of a page that needs nothing but itself: no script, no font, no request."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

_CSS: Final = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #656d76; --paper: #ffffff; --line: #d8dee4; --bar: #2da160;
  --track: #eaeef2; --accent: #0b62c4; --bad: #c62f2f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #8d96a0; --paper: #0f1319; --line: #30363d;
  --bar: #3fb26c; --track: #21262d; --accent: #5aa2f0; --bad: #f06a6a; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1180px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.faint, .faint { color: var(--faint); } table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
th { color: var(--faint); font-weight: 600; } td.number, th.number { text-align: right; white-space: nowrap; }
td.bar-cell { white-space: nowrap; } td.bar-cell svg { vertical-align: middle; }
.scroll { overflow-x: auto; } .row { display: flex; flex-wrap: wrap; gap: 1.2rem; }
figure { margin: 0; } figcaption { font-size: 13px; color: var(--faint); max-width: 320px; }
svg { max-width: 100%; height: auto; } .grid { stroke: var(--line); } .tick { fill: var(--faint); font-size: 11px; }
.label { fill: var(--ink); font-size: 12px; } .line { fill: none; stroke: var(--accent); stroke-width: 2; }
.whisker { stroke: var(--ink); stroke-width: 1.4; } .dot { fill: var(--accent); } .mark { fill: var(--bad); }
.bar { fill: var(--bar); } .track { fill: var(--track); } .bad { color: var(--bad); font-weight: 600; }
code { font-size: 13px; }
"""


def page_html(title: str, sections: Sequence[str], more_css: str = "") -> str:
    """Return the page. Empty sections are left out."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'; '
        'img-src data:"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_CSS}{more_css}</style></head>\n<body>\n"
        + "\n".join(filter(None, sections))
        + "\n</body></html>\n"
    )
