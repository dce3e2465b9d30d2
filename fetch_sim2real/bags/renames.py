"""Topics that have another name in a bag than in the graph."""

from __future__ import annotations

from collections.abc import Sequence

from fetch_sim2real import graph
from fetch_sim2real.errors import SetupError


def renames_of(texts: Sequence[str]) -> dict[str, str]:
    """Names of the graph to those in the bag, from texts ``/graph/name:=/bag/name``. SetupError for anything else."""
    known = {topic.name for topic in graph.RECORDED}
    renamed: dict[str, str] = {}
    for text in texts:
        ours, separator, theirs = text.partition(":=")
        if not separator or not theirs.startswith("/") or ours not in known:
            raise SetupError(f"cannot rename '{text}', expected /name:=/name_in_the_bag with a name of docs/topics.md")
        renamed[ours] = theirs
    return renamed
