"""Makes the models that come with Shrew: ``src/shrew/models/*.bin``.

Usage: python tools/make_models.py [--out FOLDER]

Runs are bounded by steps, so they are reproducible bit for bit on the same kind of processor. Others round differently,
with equally good results.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from shrew.cli.demo import desk_source
from shrew.corpus import builtin_corpus
from shrew.engine import Model
from shrew.evaluation import Accuracy, CommandAccuracy, ask
from shrew.image import image_of, read_commands, write_image
from shrew.run import DataConfig, load_run, refusal_of
from shrew.shipped import FOLDER
from shrew.train.loop import train
from shrew.train.progress import make_progress
from shrew.train.start import new_run

#: The demo's model, trained for longer. The memory answers better than any model of this size would (docs/LOG.md).
TRAINING = {"steps": 6000, "minutes": 0.0, "weights": "q4", "learning_rate": 6e-3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--steps", type=int, default=TRAINING["steps"])
    given = parser.parse_args()
    corpus = builtin_corpus("desk")
    with tempfile.TemporaryDirectory() as folder:
        training = TRAINING | {"steps": given.steps}
        run, prepared, _ = new_run(Path(folder), DataConfig(("desk",)), "desk", training=training)
        train(run, prepared.train, progress=make_progress())
        source, _ = desk_source(load_run(run.path), corpus)
        image = image_of(source)
    given.out.mkdir(parents=True, exist_ok=True)
    write_image(given.out / "desk.bin", image)
    model = Model.open(given.out / "desk.bin")
    answers = ask(model, [(d.prompt, d.response) for d in corpus.held_out])
    grammar = read_commands(model)
    assert grammar is not None
    print(f"{len(image):,} bytes, right on {Accuracy.of(answers).share:.1%} of {len(answers)} phrasings held out")
    print(CommandAccuracy.of(answers, grammar, refusal_of(corpus.train) or ""))


if __name__ == "__main__":
    main()
