"""Compares the second stage with stage 1 and with ordinary training on the corrections, on unseen phrasings.

    python bench/correct.py DATA [--seeds 3] [--steps 1500] [--held-out 0.7] [--json]

DATA holds questions and answers, several phrasings of each (blocks of Q: and A:). A fraction of the phrasings of every
answer is held out, half of it for corrections, half for measuring; stage 1 learns the rest. Questions of the first half
for which stage 1 prefers a wrong answer, at the token where the two differ, become corrections. Both second stages get
them, with the same number of steps and the same corpus. Measured on the other half: how often a confusable answer of a
corrected pair is likelier than the right one, and right answers (greedy, q8, by the engine) to new phrasings of
corrected questions and to all other questions.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from shrew.corpus import Corpus, Document, drop_duplicates, format_jsonl, read_corpus
from shrew.run import DataConfig, LoadedRun, load_run
from shrew.train.correct.confusions import Mining
from shrew.train.correct.correction import CorrectionConfig
from shrew.train.correct.stage import SecondStage
from shrew.train.loop import train
from shrew.train.progress import make_progress
from shrew.train.start import new_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500, help="of stage 1")
    parser.add_argument("--held-out", type=float, default=0.7)
    parser.add_argument("--preset", default="desk")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    lines: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    with ThreadPoolExecutor(arguments.threads) as executor:
        for seed in range(arguments.seeds):
            for what, line in one_seed(arguments, seed, executor).items():
                lines[what].append(line)
    table = {what: {way: float(np.mean([s[way] for s in some])) for way in some[0]} for what, some in lines.items()}
    if arguments.json:
        print(json.dumps({"seeds": arguments.seeds, "steps": arguments.steps, "table": table}))
        return
    print(f"{'mean of ' + str(arguments.seeds) + ' seeds':56} {'of':>6} {'stage 1':>9} {'plain':>9} {'correct':>9}")
    for what, means in table.items():
        shares = " ".join(f"{means[way]:>9.1%}" for way in ("stage 1", "plain", "correct"))
        print(f"{what:56} {means['of']:>6.0f} {shares}")


def one_seed(arguments: argparse.Namespace, seed: int, executor: ThreadPoolExecutor) -> dict[str, dict[str, float]]:
    learnt, corrections, measured = divide(read_corpus(arguments.data), arguments.held_out, seed)
    with tempfile.TemporaryDirectory() as folder:
        loaded = stage_one(Path(folder), learnt, arguments, seed)
    corpus = Corpus("", learnt, measured)
    how = CorrectionConfig(seed=seed)
    confused = SecondStage(loaded, corpus, corrections, Mining(alike=0, margin=0.0), how, executor).confusions
    stage = SecondStage(loaded, corpus, [c.document for c in confused], Mining(alike=0), how, executor)
    lines: dict[str, dict[str, float]] = {}
    for way in ("plain", "correct"):
        for outcome in stage.outcomes(stage.correct(plain=way == "plain")):
            line = lines.setdefault(outcome.what, {"of": outcome.asked, "stage 1": outcome.before / outcome.asked})
            line[way] = outcome.after / outcome.asked
    return lines


def divide(documents: list[Document], share: float, seed: int) -> tuple[list[Document], list[Document], list[Document]]:
    """Documents to learn, for corrections, and for measuring. Answers with one phrasing and questions with two answers
    are learnt."""
    documents = drop_duplicates(documents)
    answers = Counter(document.prompt for document in documents)
    phrasings: defaultdict[str, list[Document]] = defaultdict(list)
    for document in documents:
        if document.prompt and answers[document.prompt] == 1 and not document.follow_ups:
            phrasings[document.response].append(document)
    generator = np.random.default_rng(seed)
    parts: tuple[list[Document], list[Document]] = [], []
    for own in phrasings.values():
        held = max(1, round(share * len(own))) if len(own) > 1 else 0
        for place, i in enumerate(generator.permutation(len(own))[:held]):
            parts[place % 2].append(own[i])
    held_out = {document.prompt for part in parts for document in part}
    return [document for document in documents if document.prompt not in held_out], *parts


def stage_one(folder: Path, learnt: list[Document], arguments: argparse.Namespace, seed: int) -> LoadedRun:
    data = folder / "learnt.jsonl"
    data.write_text(format_jsonl([replace(document, held_out=False) for document in learnt]), encoding="utf-8")
    options = {"steps": arguments.steps, "seed": seed, "threads": arguments.threads, "keep": "last"}
    config = DataConfig((str(data),), held_out=0.0)
    run, prepared, initial = new_run(folder / "run", config, arguments.preset, training=options)
    train(run, prepared.train, prepared.validation, progress=make_progress(), initial=initial)
    return load_run(folder / "run")


if __name__ == "__main__":
    main()
