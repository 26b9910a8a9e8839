"""Plans as a picture: one bar per memory, divided by contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shrew.chips.placement import title
from shrew.chips.plan import Plan, amount
from shrew.errors import ConfigError

#: Colours of the contents of a memory, here and in the terminal.
COLOURS: Final[Mapping[str, str]] = {
    "firmware": "#6b7280",
    "Wi-Fi": "#9ca3af",
    "tasks and reserve": "#4b5563",
    "session": "#f59e0b",
    "attention": "#3b82f6",
    "MLP": "#10b981",
    "head and embedding": "#a855f7",
    "norms and biases": "#ec4899",
    "tokenizer and tables": "#eab308",
    "copied to SRAM or PSRAM": "#c7d2fe",
}

#: Fraction of a bar from which a segment has room for a label with its size.
WIDE: Final = 0.07

FORMATS: Final = (".svg", ".png")


def draw(plans: Sequence[Plan], path: Path) -> None:
    """Writes an SVG or PNG file. ConfigError if it cannot be written or matplotlib is missing."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"--picture {path}: give a name that ends in {' or '.join(FORMATS)}")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError:
        raise ConfigError("--picture: matplotlib is missing; pip install 'shrew[plot]'") from None
    rows = [len(plan.memories) for plan in plans]
    figure = Figure(figsize=(9, 0.9 + 0.42 * sum(rows) + 0.5 * len(plans)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(plans), squeeze=False, height_ratios=rows)
    shown: set[str] = set()
    for axis, plan in zip(axes[:, 0], plans, strict=True):
        _draw_chip(axis, plan)
        shown |= {name for use in plan.memories for name, count in use.segments.items() if count}
    handles = [Patch(color=colour, label=name) for name, colour in COLOURS.items() if name in shown]
    figure.suptitle(plans[0].request.layout.name, x=0.01, ha="left", fontsize=11, fontweight="bold")
    figure.legend(handles=handles, loc="outside lower left", ncols=5, frameon=False, fontsize=8)
    try:
        figure.savefig(path)
    except OSError as error:
        raise ConfigError(f"--picture {path}: {error.strerror or error}") from None


def _draw_chip(axis: Any, plan: Plan) -> None:
    names = []
    for row, use in enumerate(plan.memories):
        start, full = 0.0, max(use.size, use.size - use.left)
        axis.barh(row, 1, color="#f3f4f6", height=0.72)
        for name, count in use.segments.items():
            axis.barh(row, count / full, left=start, color=COLOURS[name], height=0.72, edgecolor="white", linewidth=0.4)
            if count / full > WIDE:
                middle, colour = start + count / full / 2, "#374151" if name.startswith("copied") else "white"
                axis.text(middle, row, amount(count), ha="center", va="center", fontsize=7, color=colour)
            start += count / full
        axis.text(1.01, row, use.rest, va="center", fontsize=8, color="#111827" if use.left >= 0 else "#dc2626")
        names.append(f"{title(use.name)} {amount(use.size)}")
    verdict = (
        f"fits: {plan.decode.per_second:,.1f} tokens/s, prompts {plan.prompt.per_second:,.1f}"
        if plan.fits
        else f"does not fit ({', '.join(plan.lacking)})"
    )
    axis.set_title(f"{plan.request.chip.title}   {verdict}", loc="left", fontsize=9)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_xlim(0, 1)
    axis.invert_yaxis()
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
