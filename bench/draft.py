"""Measures how often speculative decoding guesses right: on questions to a `desk` model, and stories of stories260K.

Usage: bench/draft.py [--desk runs/demo/model.bin] [--questions 150] [--json]. Stories need the folder that SHREW_DATA
names (default ../shared/data). Tokens are the same with and without drafts (tests/engine/test_draft.py). The result is
the number of passes through the layers per token, which determines the speed of memory-bound chips.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path

from shrew.corpus.builtin import builtin_corpus
from shrew.doors.llama2c import read_checkpoint, read_tokenizer
from shrew.engine import Model
from shrew.image import WeightType, build_image

DATA = Path(os.environ.get("SHREW_DATA", Path(__file__).parents[2] / "shared" / "data"))
DRAFTS = (1, 2, 4, 8)


def measure(model: Model, prompts: list[str], draft: int) -> dict[str, float]:
    session = model.session(draft=draft)
    tokens = drafted = accepted = 0
    for seed, prompt in enumerate(prompts):
        *_, last = session.generate(
            prompt, raw=not prompt, max_tokens=250, seed=seed, temperature=0.0 if prompt else 0.8
        )
        tokens, drafted, accepted = tokens + last.tokens, drafted + last.drafted, accepted + last.accepted
    share = accepted / drafted if drafted else 0.0
    return {"draft": draft, "tokens": tokens, "accepted": share, "passes_per_token": 1 - accepted / max(tokens, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--desk", type=Path, default=Path("runs/demo/model.bin"))
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    models: dict[str, tuple[Model, list[str]]] = {}
    if options.desk.exists():
        documents = builtin_corpus("desk").held_out
        questions = [document.prompt for document in documents if document.prompt]
        chosen = random.Random(0).sample(questions, min(options.questions, len(questions)))
        models["desk, answers"] = Model.open(options.desk), chosen
    if (DATA / "stories260K.bin").exists():
        config, parameters = read_checkpoint(DATA / "stories260K.bin")
        tokenizer = read_tokenizer(DATA / "tok512.bin", vocab=config.vocab)
        image = build_image(config, parameters, tokenizer, types=WeightType("q8"))
        models["stories260K, temperature 0.8"] = Model.from_bytes(image), [""] * 10
    rows = [
        {"model": name, **measure(model, prompts, draft)}
        for name, (model, prompts) in models.items()
        for draft in DRAFTS
    ]
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(
            f"{row['model']:30} draft {row['draft']}: {row['accepted']:6.1%} of guesses right, "
            f"{row['passes_per_token']:.3f} passes a token ({row['tokens']:,} tokens)"
        )


if __name__ == "__main__":
    main()
