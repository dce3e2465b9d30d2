"""The bag player's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.ros.parameters import Parameter

TABLE: Final = (
    Parameter("bag", "", "Bag to play: a folder, the folder of a run, or one .mcap or .db3 file."),
    Parameter("rate", 1.0, "How fast, as a multiple of the recorder's pace.", low=0.01, high=100.0),
    Parameter("start_s", 0.0, "Leave out what was recorded before this.", unit="s", low=0.0, high=1e6),
    Parameter("loop", False, "Begin again at the end."),
    Parameter("rename", "", "Topics with another name in the bag: /joint_states:=/fetch/joint_states; spaces between."),
    Parameter("patience_s", 5.0, "How long to wait for each of the policy's answers.", unit="s", low=0.01, high=600.0),
    Parameter("start_limit_s", 120.0, "How long to wait for the policy.", unit="s", low=1.0, high=3600.0),
    Parameter("await_recorder", False, "Begin when a recorder is connected too."),
)
