"""What a run's curves are kept in: lines of CSV, TensorBoard event files, and a picture."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetch_sim2real.common.outputs import Attempts
from fetch_sim2real.errors import SetupError

if TYPE_CHECKING:
    from fetch_sim2real.training.run_directory import RunDirectory

_log = logging.getLogger(__name__)


def require_plotting() -> None:
    """Raise ``SetupError`` without matplotlib: said before hours of training, not after."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise SetupError(f"learning curves need the package matplotlib: make venv EXTRAS=train ({error})") from None


class LearningCurve:
    """Writes a line at each judgement of the actor; no full disk and no picture costs what was learned."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._attempts = Attempts(_log.warning)
        self._events = _event_writer(run.events)

    def add(self, row: dict[str, float]) -> None:
        """Add what ``row`` says of the step ``row["steps"]``; call it after the checkpoint."""
        run, make = self._run, self._attempts.make
        make(f"a line of {run.log}", partial(run.append_log, row), asked=False)
        make(f"the picture {run.curve}", self._plot, asked=False)
        if self._events is not None:
            make(f"events in {run.events}", partial(self._add_events, row), asked=False)

    def _plot(self) -> None:
        plot_learning_curve(self._run.read_log(), self._run.curve, self._run.path.name)

    def _add_events(self, row: dict[str, float]) -> None:
        for name, value in row.items():
            if name != "steps":
                self._events.add_scalar(name, value, int(row["steps"]))
        self._events.flush()

    def close(self) -> None:
        """End the event file."""
        if self._events is not None:
            self._events.close()


def _event_writer(folder: Path) -> Any:
    """Return a writer of TensorBoard's event files; None, which is said, without the package."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        _log.info("no TensorBoard event files: the package tensorboardX is missing (make venv EXTRAS=train)")
        return None
    return SummaryWriter(str(folder))


def plot_learning_curve(rows: list[dict[str, float]], path: Path, title: str) -> None:
    """Draw success while exploring and of the deterministic actor on held-out seeds, against environment steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7.0, 4.0), layout="constrained")
    steps = [row["steps"] for row in rows]
    shown: dict[str, Any] = {"marker": "o", "markersize": 4.0}
    axis.plot(steps, [row["exploring_success"] for row in rows], label="while exploring", alpha=0.6, **shown)
    axis.plot(steps, [row["evaluated_success"] for row in rows], label="judged on held-out training seeds", **shown)
    minutes = rows[-1]["wall_s"] / 60.0
    axis.set(
        xlabel="environment steps (30 Hz)", ylabel="success", ylim=(-0.02, 1.02), title=f"{title}, {minutes:.0f} min"
    )
    axis.set_xlim(left=0.0)
    axis.grid(alpha=0.3)
    axis.legend(loc="best")
    figure.savefig(path, dpi=120)
    plt.close(figure)
