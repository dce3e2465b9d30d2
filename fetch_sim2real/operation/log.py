"""What happened on the robot, as JSON lines: one for each step of the operator, one label for each run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue, ValidationError

from fetch_sim2real.common.schema import Record
from fetch_sim2real.errors import SetupError
from fetch_sim2real.paths import expanded

OUTCOMES: Final = ("success", "failure", "unclear")
_REFUSED: Final = "decisions_refused_"
# What comes before and after a run is refused for this, which says nothing about the run.
_OUTSIDE: Final = "not_active"


class Event(Record):
    """One step: when (UTC, ISO 8601), which, what there is to know about it, and by whom; empty where nobody said."""

    stamp: str
    event: str
    detail: dict[str, JsonValue]
    operator: str = ""

    def line(self) -> str:
        """Return the event as it is logged and told, a JSON object in one line."""
        return json.dumps(self.model_dump(mode="json"), allow_nan=False)


class OperationLog:
    """Appends events to a file, each written before the next step is taken."""

    def __init__(self, path: Path, operator: str = "", tell: Callable[[str], None] = lambda line: None) -> None:
        """Looks at ``path`` only when something is written or read: an arm is stopped whatever becomes of the log.

        ``operator``: who does all this. ``tell`` gets each event as well, once it is written.
        """
        self._path, self._operator, self._tell = path, operator, tell

    @property
    def path(self) -> Path:
        """The file. SetupError for the home folder of nobody."""
        return expanded(self._path)

    def append(self, event: str, when: datetime | None = None, **detail: Any) -> Event:
        """Write an event of now, or of ``when``. SetupError if the file cannot be written."""
        stamp = (when or datetime.now(timezone.utc)).isoformat(timespec="milliseconds")
        record = Event(stamp=stamp, event=event, detail=detail, operator=self._operator)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(record.line() + "\n")
        except OSError as error:
            raise SetupError(f"the log {self.path} cannot be written ({error}): choose another with --log") from error
        self._tell(record.line())
        return record

    def events(self) -> list[Event]:
        """Return all events so far; none where there is no file yet. SetupError names a line that is none."""
        if not self.path.is_file():
            return []
        events = []
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"the log {self.path} cannot be read ({error}): choose another with --log") from error
        for number, line in enumerate(lines, start=1):
            try:
                events.append(Event.model_validate_json(line))
            except ValidationError as error:
                raise SetupError(f"{self.path}, line {number} is no event of this log: choose another file") from error
        return events


def run_summary(events: Sequence[Event]) -> dict[str, Any]:
    """Return what a label says of the last run: goal, policy, when it ran and how it ended, commands refused on the
    way.

    SetupError if there is no run that a label could belong to.
    """
    last = {event.event: index for index, event in enumerate(events)}
    if "start" not in last or last.get("label", -1) > last["start"]:
        raise SetupError("there is no run without a label in this log: start one first (operate start)")
    started = events[last["start"]]
    if last.get("stop", -1) < last["start"]:
        raise SetupError("the last run has not been stopped: operate stop")
    stopped = events[last["stop"]]
    return {
        **{key: value for key, value in started.detail.items() if key != "decisions"},
        "started": started.stamp,
        "stopped": stopped.stamp,
        "end": stopped.detail.get("reason"),
        "refusals": refusals_between(_counts(started), _counts(stopped)),
    }


def refusals_between(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, JsonValue]:
    """Return the refused commands by reason, from the driver's counts on /diagnostics at two times."""
    names = sorted(name for name in after if name.startswith(_REFUSED))
    counts = {name.removeprefix(_REFUSED): int(after[name]) - int(before.get(name, 0)) for name in names}
    return {reason: count for reason, count in counts.items() if count > 0 and reason != _OUTSIDE}


def _counts(event: Event) -> dict[str, str]:
    counts = event.detail.get("decisions")
    return {name: str(value) for name, value in counts.items()} if isinstance(counts, dict) else {}
