"""How well a memory that is learnt from a corpus knows questions in words that it has not seen.

Usage: python bench/memory.py [--test FILE ...] [--others FILE] [--size BUCKETSxDIM] [--seed N] [--lose SHARE]
[CORPUS ...]

CORPUS is ``desk`` (default) or a file. Without --test a corpus is asked its held-out questions, which also choose the
threshold; the n-th --test is what the n-th corpus is asked instead, and its threshold is chosen without it. --others
has foreign questions, a line each, that training does not use; without it, those that were kept back are asked.

``nearest``: the nearest key has the right answer. ``right``: and is near enough to be given, or the question is to be
refused and is; ``lower`` and ``typo`` are the same for questions in lower case, and with a typing error each. ``kept``:
given, of those whose nearest key is right. ``refused``: of the foreign questions. ``contrasts``: refused, of commands
that are negated or have another number. ``bytes``: of the section, with a tokenizer of 512 tokens. ``--lose`` is the
share of right answers that the threshold may lose.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from shrew.corpus import builtin_corpus, load_corpus, other_questions, read_corpus, with_typo
from shrew.memory import REFUSAL, LearntMemory, MemoryOptions, learn, memory_bytes, nearest, pairs_of
from shrew.memory.contrasts import Contrasts
from shrew.tokenizer import PromptForm, train_bpe

Pair = tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", default=["desk"], metavar="CORPUS")
    parser.add_argument("--test", action="append", type=Path, default=[], metavar="FILE")
    parser.add_argument("--others", type=Path, metavar="FILE")
    parser.add_argument("--size", default="4096x64", metavar="BUCKETSxDIM")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lose", type=float, default=MemoryOptions().most_lost, metavar="SHARE")
    parser.add_argument("--refusal", default="I only know about this board.")
    arguments = parser.parse_args()
    buckets, dim = map(int, arguments.size.split("x"))
    options = MemoryOptions(buckets=buckets, dim=dim, seed=arguments.seed, most_lost=arguments.lose)
    print(
        f"{'corpus':20}{'asked':>7}{'nearest':>9}{'right':>8}{'kept':>8}{'lower':>8}{'typo':>8}{'refused':>9}", end=""
    )
    print(f"{'contrasts':>11}{'bytes':>9}{'accept':>8}{'seconds':>9}  threshold chosen with")
    for number, name in enumerate(arguments.corpora):
        test = arguments.test[number] if number < len(arguments.test) else None
        row(name, test, arguments.others, arguments.refusal, options)


def row(name: str, test: Path | None, others: Path | None, refusal: str, options: MemoryOptions) -> None:
    corpus = builtin_corpus("desk") if name == "desk" else load_corpus(name, held_out=0.0 if test else 0.05)
    form = PromptForm.for_prompts([d.prompt for d in corpus.train])
    asked = pairs_of(read_corpus(test) if test else corpus.held_out, form)
    pairs = pairs_of(corpus.train, form)
    foreign = [form.written(question) for kind in other_questions().values() for question in kind]
    started = time.monotonic()
    learnt = learn(
        pairs, refusal=refusal, others=foreign, held_out=() if test else asked, options=options, progress=_show
    )
    seconds = time.monotonic() - started
    if sys.stderr.isatty():
        print(end="\r", file=sys.stderr)

    rng = Random(1)
    mistyped = [(with_typo(question, rng), answer) for question, answer in asked]
    lower = [(form.written(question.lower()), answer) for question, answer in asked]
    known = {question for question, _ in pairs}
    if others:
        lines = others.read_text("utf-8").splitlines()
        foreign = [form.written(line) for line in lines if line.strip() and not line.startswith("#")]
    strange = [question for question in foreign if question not in known] if others else foreign[::5]
    contrasts = Contrasts(dict(pairs))
    against = [contrasts.pick(rng)[0] for _ in range(500)] if contrasts else []

    near, right, kept = _judge(learnt, asked, refusal)
    tokenizer = train_bpe([answer for _, answer in pairs] + [question for question, _ in pairs], vocab=512)
    answers = [tokenizer.encode(answer).tolist() for answer in learnt.answers]
    size = memory_bytes(options, len(learnt.keys), answers)
    print(f"{Path(name).stem:20}{len(asked):7}{near:9.1%}{right:8.1%}{kept:8.1%}", end="")
    print(f"{_judge(learnt, lower, refusal)[1]:8.1%}{_judge(learnt, mistyped, refusal)[1]:8.1%}", end="")
    print(f"{_refused(learnt, strange):9.1%}{_refused(learnt, [q for q in against if q not in known]):11.1%}", end="")
    print(f"{size:9,}{learnt.calibration.accept:8.3f}{seconds:9.1f}  {learnt.calibration.judged_by}")


def _judge(learnt: LearntMemory, asked: Sequence[Pair], refusal: str) -> tuple[float, float, float]:
    """Shares of questions: nearest key right (of those not to be refused), right, right ones kept."""
    answers = np.array([answer for _, answer in asked])
    answer, given = _answered(learnt, [question for question, _ in asked])
    near = np.array([*learnt.answers, refusal])[answer] == answers  # REFUSAL is -1
    refused = answers == refusal
    return (
        float(near[~refused].mean()),
        float(np.where(refused, ~given, near & given).mean()),
        float(given[near & ~refused].mean()),
    )


def _refused(learnt: LearntMemory, questions: Sequence[str]) -> float:
    return float((~_answered(learnt, questions)[1]).mean()) if questions else float("nan")


def _answered(learnt: LearntMemory, questions: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Of each question: the answer of the nearest key, and whether it is given."""
    found = nearest(learnt, questions)
    return found.answer, (found.answer != REFUSAL) & (found.confidence >= np.float32(learnt.calibration.accept))


def _show(share: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{share:4.0%}", end="", file=sys.stderr)


if __name__ == "__main__":
    main()
