"""The learning curve as a picture."""

from __future__ import annotations

from pathlib import Path

from fetch_sim2real.errors import SetupError


def require_plotting() -> None:
    """Raise ``SetupError`` without matplotlib: said before hours of training, not after."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise SetupError(f"learning curves need the package matplotlib: make venv EXTRAS=train ({error})") from None


def plot_learning_curve(rows: list[dict[str, float]], path: Path, title: str) -> None:
    """Draw success while exploring and of the deterministic actor on held-out seeds, against environment steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7.0, 4.0), layout="constrained")
    steps = [row["steps"] for row in rows]
    axis.plot(steps, [row["exploring_success"] for row in rows], label="while exploring", alpha=0.6)
    axis.plot(steps, [row["evaluated_success"] for row in rows], label="deterministic, unseen seeds")
    minutes = rows[-1]["wall_s"] / 60.0
    axis.set(
        xlabel="environment steps (30 Hz)", ylabel="success", ylim=(-0.02, 1.02), title=f"{title}, {minutes:.0f} min"
    )
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right")
    figure.savefig(path, dpi=120)
    plt.close(figure)
