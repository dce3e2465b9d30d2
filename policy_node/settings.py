"""The policy node's parameters."""

from __future__ import annotations

from typing import Final

from node_support.parameters import Parameter

TABLE: Final = (Parameter("policy", "reach_block", "name of a shipped policy bundle, or folder of one"),)
