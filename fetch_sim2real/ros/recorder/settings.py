"""The recorder's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.ros.parameters import Parameter

TABLE: Final = (
    Parameter("output", "", "Folder of the bag, made by the recorder; it must not exist yet."),
    Parameter("metadata", "{}", "JSON object of texts to store in the bag: what was run, with which policy."),
    Parameter("compress", True, "Compress with zstd: a fraction of the size for a few percent of a core."),
)
