"""What training for few bits is worth: models of one file size, q8, q4 and ternary, on TinyStories.

Usage: python bench/qat.py [--rows NAME ...] [--minutes N | --steps N] [--written MB] [--out FOLDER] [--threads N]
[--json]

A tenth of the stories of tinystories.txt (folder SHREW_DATA, default ../shared/data) is held out and scored in bits per
byte by the engine, from the image; a twentieth of the others chooses the step whose weights are kept. --written adds
stories that stories3M has written, which 1.2 MB are too few without; they are kept in --out, as are runs and images.
All images are at most 230,000 bytes. --minutes gives all rows the same time, --steps the same text.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads share the work in larger pieces

import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from shrew.corpus import Corpus, Document, read_corpus
from shrew.corpus.documents import text_document
from shrew.corpus.split import hold_out_fraction
from shrew.doors.llama2c import read_checkpoint, read_tokenizer
from shrew.engine import Model
from shrew.evaluation import score_texts
from shrew.image import WeightType, build_image
from shrew.model.config import ModelConfig
from shrew.model.parameters import init_parameters
from shrew.quantize.text import write_documents
from shrew.run import Run, RunConfig, TrainConfig, load_run, stored_types
from shrew.tokenizer import Tokenizer, train_for_corpus
from shrew.train.loop import train
from shrew.train.prepare import prepare
from shrew.train.progress import make_progress

DATA = Path(os.environ.get("SHREW_DATA", Path(__file__).parents[2] / "shared" / "data"))
BUDGET = 230_000


class Row(NamedTuple):
    model: dict[str, Any]
    """What differs from SHAPE."""
    training: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    """What differs from OPTIONS."""


#: ``vocab`` is what the tokenizer aims for.
SHAPE: dict[str, Any] = {"vocab": 512, "context": 512}
SMALL = {"dim": 64, "layers": 4, "heads": 4, "kv_heads": 2, "ffn": 160}
MIDDLE = {"dim": 96, "layers": 4, "heads": 6, "kv_heads": 3, "ffn": 192}
LARGE = {"dim": 128, "layers": 4, "heads": 8, "kv_heads": 4, "ffn": 284}

ROWS = {
    "q8 to nearest": Row(SMALL),
    "q8": Row(SMALL, {"weights": "q8"}),
    "q4": Row(MIDDLE, {"weights": "q4"}),
    "ternary": Row(LARGE, {"weights": "ternary"}),
}

OPTIONS: dict[str, Any] = {
    "optimizer": "muon",
    "learning_rate": 6e-3,
    "batch": 8,
    "eval_every": 100,
    "checkpoint_every": 500,
}


def stories(folder: Path, written: float) -> tuple[Corpus, list[str]]:
    """What to learn, with what chooses the step; and the texts to measure on."""
    documents = hold_out_fraction(read_corpus(DATA / "tinystories.txt", format="text"), 0.1)
    learnt = hold_out_fraction((replace(d, held_out=False) for d in documents if not d.held_out), 0.05)
    more = write(folder / "written.txt", int(1e6 * written)) if written else []
    corpus = Corpus("stories", [d for d in learnt if not d.held_out] + more, [d for d in learnt if d.held_out])
    return corpus, [d.response for d in documents if d.held_out]


def write(path: Path, size: int) -> list[Document]:
    """So many bytes of whole stories by stories3M, from ``path`` as far as that has them."""
    separator = "\n<|endoftext|>\n"
    texts = [text for text in path.read_text().split(separator) if text] if path.exists() else []
    total = sum(map(len, texts))
    if total < size:
        config, parameters = read_checkpoint(DATA / "stories3M-q80.bin")
        tokenizer = read_tokenizer(DATA / "tok4096.bin", vocab=config.vocab)
        teacher = Model.from_bytes(build_image(config, parameters, tokenizer, types=WeightType("q8")), "stories3M")
        for seed in count(1 + len(texts)):
            found = [tokenizer.decode(d.ids[1:]).strip() for d in write_documents(teacher, 20_000, seed=seed)]
            texts += [text for text in found if text.endswith((".", "!", "?", '"'))]
            path.write_text("".join(text + separator for text in texts))
            if (total := sum(map(len, texts))) >= size:
                break
            print(f"{total:,} bytes written", file=sys.stderr)
    return [text_document(text, source="stories3M", line=number) for number, text in enumerate(texts, start=1)]


def image_types(config: RunConfig) -> dict[str, WeightType]:
    """As trained; floats are rounded to q8."""
    types = stored_types(config.model, config.train)
    return {name: WeightType("q8") if weight.type == "f32" else weight for name, weight in types.items()}


def fresh_bytes(config: RunConfig, tokenizer: Tokenizer) -> int:
    """What the image of the model will take."""
    return len(build_image(config.model, init_parameters(config.model, 0), tokenizer, types=image_types(config)))


def measure(
    name: str, row: Row, corpus: Corpus, texts: list[str], options: dict[str, Any], out: Path
) -> dict[str, Any]:
    shape = SHAPE | row.model
    tokenizer = train_for_corpus(corpus.train, kind="bpe", vocab=shape["vocab"])
    model = ModelConfig(**shape | {"vocab": tokenizer.vocab})
    config = RunConfig(model=model, train=TrainConfig(**{**OPTIONS, **options, **row.training}))
    size = fresh_bytes(config, tokenizer)
    assert size <= BUDGET, f"{name}: {size:,} bytes"
    return train_and_score(name, config, tokenizer, corpus, texts, out)


def train_and_score(
    name: str, config: RunConfig, tokenizer: Tokenizer, corpus: Corpus, texts: list[str], out: Path
) -> dict[str, Any]:
    model = config.model
    rows = prepare(corpus, tokenizer, model.context)
    run = Run.create(out / name.replace(" ", "-"), config, overwrite=True)
    tokenizer.save(run.tokenizer_path)
    result = train(run, rows.train, rows.validation, progress=make_progress())
    loaded = load_run(run.path)
    image = build_image(model, {**loaded.parameters, **loaded.quantized}, tokenizer, types=image_types(config))
    (run.path / "model.bin").write_bytes(image)
    scored = score_texts(Model.from_bytes(image, name), texts)
    return {
        "row": name,
        "parameters": model.parameters,
        "image_bytes": len(image),
        "steps": result.step,
        "tokens": result.tokens,
        "seconds": round(result.seconds),
        "best_step": result.best_step,
        "validation": result.best_loss,
        "nats_per_token": scored.nats_per_token,
        "bits_per_byte": scored.bits_per_byte,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--written", type=float, default=0.0, help="megabytes of stories by stories3M")
    parser.add_argument("--out", type=Path, default=Path("runs/qat"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    corpus, texts = stories(given.out, given.written)
    minutes = given.minutes or (0.0 if given.steps else 10.0)
    options = {"minutes": minutes, "steps": given.steps, "threads": given.threads}
    for name in given.rows:
        found = measure(name, ROWS[name], corpus, texts, options, given.out)
        if given.json:
            print(json.dumps(found), flush=True)
        else:
            print(
                "{row:14} {parameters:8,} parameters {image_bytes:8,} bytes  {tokens:10,} tokens in {seconds:5,} s, "
                "best at step {best_step:6,} of {steps:6,}  {bits_per_byte:.4f} bits per byte".format(**found),
                flush=True,
            )


if __name__ == "__main__":
    main()
