"""Which goals were sent, and what their ends mean. A goal that a newer one replaces does not end as asked for."""

from __future__ import annotations

import os
import time
from typing import Final

from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import ActionResult, GoalStatusArray

# A controller that is there ends or lists a goal well within this.
ANSWER_S: Final = 1.5


class GoalLedger:
    """Goals of one action server, numbered from 1; the numbers go on over reconnections."""

    def __init__(self, server: str) -> None:
        self._server = server
        # Nobody else's goals, and not those of an earlier life of this process.
        self._prefix = f"fetch_sim2real-{os.getpid()}-{time.time_ns()}-"
        self.number = 0
        self._unheard_since_ns: int | None = None
        self.superseded = 0

    def new_id(self, now_ns: int) -> str:
        """The id of a goal that is sent now."""
        self.number += 1
        if self._unheard_since_ns is None:
            self._unheard_since_ns = now_ns
        return f"{self._prefix}{self.number}"

    def forget_unheard(self) -> None:
        """The connection is gone, and answers with it."""
        self._unheard_since_ns = None

    def on_status(self, message: GoalStatusArray) -> None:
        """The server lists the goals that it knows."""
        if any(status.goal_id.id.startswith(self._prefix) for status in message.status_list):
            self._unheard_since_ns = None

    def fault_of_result(self, message: ActionResult) -> str:
        """What is wrong with the way a goal ended, empty if nothing is."""
        status = message.status
        goal_id, ended = status.goal_id.id, status.status
        if not goal_id.startswith(self._prefix):
            return ""
        self._unheard_since_ns = None
        is_latest = goal_id == f"{self._prefix}{self.number}"
        code = message.result.error_code
        if ended == ros1.SUCCEEDED:
            return ""
        text = f"{ros1.ERROR_NAMES.get(code, code)}, '{status.text}'"
        if ended in (ros1.ABORTED, ros1.REJECTED, ros1.LOST) and (is_latest or code != 0):
            return f"controller_abort: {self._server} ended goal {self.number} with status {ended}: {text}"
        if is_latest:
            return f"preempted: somebody else has sent {self._server} a goal in place of ours ({text})"
        self.superseded += 1
        return ""

    def fault_of_silence(self, now_ns: int) -> str:
        """That the server does not seem to hear us, empty if it does."""
        since_ns = self._unheard_since_ns
        if since_ns is None or now_ns - since_ns < ANSWER_S * 1e9:
            return ""
        self._unheard_since_ns = None
        return f"no_answer: {self._server} has said nothing about our goals for {ANSWER_S} s: is it running?"
