"""From which cosine on a memory is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from shrew.memory.recall import Floats

Judged = Literal["held-out questions", "questions kept back", "mistyped questions", "nothing"]


#: Questions kept back leave fewer to learn their answer from, so they are less near than new questions will be: where
#: this many times the right ones are lost, the finished memory loses the share that is wanted (docs/LOG.md).
LOST_OF_KEPT_BACK: Final = 2.0


@dataclass(frozen=True)
class Calibration:
    """A threshold, and what it does to questions that training did not see."""

    accept: float
    """The least cosine of an answer that is given."""
    judged_by: Judged
    """What the threshold was chosen with."""
    right: int
    """Of those questions, how many have the right answer nearest."""
    right_kept: float
    """Share of these that are answered."""
    others: int
    """Foreign questions."""
    others_refused: float
    """Share of these that are refused."""

    def __str__(self) -> str:
        return (
            f"keeps {self.right_kept:.1%} of {self.right:,} right answers ({self.judged_by}), "
            f"refuses {self.others_refused:.1%} of {self.others:,} questions on other things"
        )


def calibrated(right: Floats, others: Floats, judged_by: Judged, *, most_lost: float, default: float) -> Calibration:
    """A threshold from cosines: of right answers, and of the nearest keys of foreign questions.

    It loses at most the share ``most_lost`` of the right ones and, within that, refuses as many others as can be,
    halfway to the nearest other below. Without right ones it is ``default``. The cosine of an other whose nearest key
    means a refusal is -1.

    Questions kept back may lose :data:`LOST_OF_KEPT_BACK` times that share. They are of answers that have many, and
    mistyped questions have words that training has seen: both may be nearer than new questions will be, so by them the
    threshold is at most ``default``.
    """
    accept = default
    if len(right):
        if judged_by == "questions kept back":
            most_lost = min(most_lost * LOST_OF_KEPT_BACK, 0.5)
        last = float(np.sort(right)[int(most_lost * len(right))])  # the least near that must be kept
        below = others[others < last]
        accept = (last + max(float(below.max()), 0.0)) / 2 if len(below) else last
        if judged_by != "held-out questions":
            accept = min(accept, default)
    accept = float(np.float32(min(max(accept, 0.0), 1.0)))
    return Calibration(
        accept=accept,
        judged_by=judged_by if len(right) else "nothing",
        right=len(right),
        right_kept=float((right >= accept).mean()) if len(right) else 1.0,
        others=len(others),
        others_refused=float((others < accept).mean()) if len(others) else 1.0,
    )
