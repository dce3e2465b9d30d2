"""The recorder's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.stack.options import ALSO, COMPRESS, OUTPUT, RECORDERS_METADATA

TABLE: Final = (OUTPUT, RECORDERS_METADATA, COMPRESS, ALSO)
