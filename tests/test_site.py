"""The site's table of contents. `make site` builds it, strictly."""

from __future__ import annotations

import re
from pathlib import Path

import fetch_sim2real as fs

ROOT = Path(__file__).resolve().parents[1]


def test_every_page_is_in_the_sites_contents_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"[\w]+\.md\b", text[text.index("\nnav:") :])
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_the_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api_reference.md").read_text(encoding="utf-8")
    described = re.findall(r"^::: fetch_sim2real(?:\.\w+)*\.(\w+)$", page, re.MULTILINE)
    assert sorted(described) == sorted(set(fs.__all__) - {"__version__"})
