"""What the sections of a world file have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A section: unknown names are refused, values cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
