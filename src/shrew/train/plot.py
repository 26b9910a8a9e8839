"""The loss curve of a run as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

from shrew.files import printable
from shrew.run import Run

INSTALL_HINT = "loss.png was not drawn: matplotlib is missing; pip install 'shrew[plot]'"


def plot_loss(run: Run) -> str | None:
    """Writes ``loss.png`` from the log. Returns None, or one line that says why it was not written."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return INSTALL_HINT
    records = run.read_log()
    if not records:
        return "loss.png was not drawn: the log is empty"

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([r.step for r in records], _smooth([r.loss for r in records]), color="#4c78a8", lw=1.6, label="training")
    checked = [(r.step, r.validation) for r in records if r.validation is not None]
    if checked:
        steps, losses = zip(*checked, strict=True)
        axes.plot(steps, losses, "o-", color="#e45756", lw=1.6, ms=3, label="validation")
        step, best = min(checked, key=lambda point: point[1])
        axes.plot(step, best, "o", ms=9, mfc="none", mec="#e45756")
        axes.annotate(f"best {best:.3f}", (step, best), (0, 10), textcoords="offset points", ha="center")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats per token")
    axes.set_title(f"{printable(run.path.name)}: {run.config.model.parameters:,} parameters", loc="left", fontsize=11)
    axes.grid(which="both", alpha=0.2, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    run.replace(run.plot_path, picture.getvalue())
    return None


def _smooth(values: Sequence[float], window: int = 5) -> list[float]:
    """The mean of each value and up to ``window - 1`` before it."""
    return [sum(part) / len(part) for i in range(len(values)) if (part := values[max(0, i - window + 1) : i + 1])]
