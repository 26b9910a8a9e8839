"""How much it matters how people type: accuracy on the questions of a corpus, typed in several ways.

Usage: python bench/phrasings.py IMAGE [--data CORPUS] [--trained] [--others FILE]

CORPUS is a built-in name or a file (default: desk). Its held-out questions are asked, or with --trained the
others. FILE has questions on other things, one per line; the share of them that is refused is printed too. Lines that
begin with # are comments.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

from shrew.corpus import load_corpus, with_typo
from shrew.engine import Model
from shrew.evaluation import answer_accuracy, ask
from shrew.shipped import find_image

RNG = Random(0)
WAYS: dict[str, Callable[[str], str]] = {
    "as it stands": str,
    "newline at the end": lambda q: q + "\n",
    "no-break space": lambda q: q.replace(" ", "\u00a0", 1),
    "byte order mark": lambda q: "\ufeff" + q,
    "capital first letter": lambda q: q[:1].upper() + q[1:],
    "ALL CAPITALS": str.upper,
    "lower case, no marks": lambda q: re.sub(r"[.!?,;:]+", "", q.lower()),
    "typographic quotes": lambda q: q.replace("'", "\u2019"),
    "doubled blanks": lambda q: q.replace(" ", "  "),
    "full stop added": lambda q: q + ".",
    "one typo": lambda q: with_typo(q, RNG),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--data", default="desk")
    parser.add_argument("--trained", action="store_true")
    parser.add_argument("--others", type=Path)
    given = parser.parse_args()
    model = Model.open(find_image(given.image))
    corpus = load_corpus(given.data, held_out=0.0)
    side, name = (corpus.train, "trained") if given.trained else (corpus.held_out, "held-out")
    pairs = [(d.prompt, d.response) for d in side if d.prompt]
    print(f"{given.image}: {model.image_bytes:,} bytes, {len(pairs):,} {name} questions of {given.data}")
    for name, way in WAYS.items():
        accuracy = answer_accuracy(model, [(way(question), answer) for question, answer in pairs])
        print(f"{name:22}{accuracy.share:7.1%}")
    if given.others:
        lines = given.others.read_text("utf-8").splitlines()
        others = [line for line in lines if line.strip() and not line.startswith("#")]
        refused = sum(answer.finish == "refused" for answer in ask(model, [(line, "") for line in others]))
        print(f"{'on other things':22}{refused / len(others):7.1%} refused, of {len(others)}")


if __name__ == "__main__":
    main()
