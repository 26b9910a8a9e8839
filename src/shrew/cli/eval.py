"""``shrew eval``: likelihood of text, or accuracy of answers, through the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from shrew.cli.options import image_argument, json_option, print_json, remarks


@click.command("eval")
@image_argument
@click.option("--text", type=click.Path(path_type=Path), help="Score the documents of this text file.")
@click.option(
    "--separator",
    default="<|endoftext|>",
    show_default=True,
    help="The line between documents of --text; 'newline' makes each line a document.",
)
@click.option("--data", help="Ask the questions of this corpus (a file, or a built-in one such as desk).")
@click.option(
    "--split",
    type=click.Choice(["held-out", "train"]),
    default="held-out",
    show_default=True,
    help="Which questions of --data.",
)
@click.option("--limit", type=click.IntRange(1), help="At most so many documents or questions.")
@json_option
def eval_(
    image: Path, text: Path | None, separator: str, data: str | None, split: str, limit: int | None, as_json: bool
) -> None:
    """Measure IMAGE on text or questions that it should do well on.

    With --text: summed nats, tokens, nats/token, bytes, bits per byte and perplexity; each document is scored from
    its own beginning-of-text and cut at the context, and end-of-text is not scored. With --data: the share of
    questions whose greedy answer is the expected one, apart from case, white space and a final full stop.
    """
    from shrew.engine import Model

    if (text is None) == (data is None):
        raise click.UsageError("give either --text FILE or --data CORPUS")
    model = Model.open(image)
    if text is not None:
        result = _likelihood(model, text, separator, limit)
    else:
        assert data is not None
        result = _accuracy(model, data, split, limit)
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        if name != "wrong":
            click.echo(f"{name:16} {value:,.6g}" if isinstance(value, float) else f"{name:16} {value:,}")


def _likelihood(model: Any, text: Path, separator: str, limit: int | None) -> dict[str, Any]:
    from shrew.corpus import read_corpus
    from shrew.evaluation import score_texts

    texts = [document.response for document in read_corpus(text, format="text", separator=separator)][:limit]
    with Progress(console=remarks, transient=True) as progress:
        task = progress.add_task("scoring", total=len(texts))
        return score_texts(model, texts, lambda: progress.advance(task)).as_dict()


def _accuracy(model: Any, data: str, split: str, limit: int | None) -> dict[str, Any]:
    from shrew.corpus import load_corpus
    from shrew.errors import DataError
    from shrew.evaluation import answer_accuracy

    corpus = load_corpus(data)
    documents = corpus.held_out if split == "held-out" else corpus.train
    pairs = [(d.prompt, d.response) for d in documents if d.prompt][:limit]
    if not pairs:
        raise DataError(f"{data}: no {split} questions; only question-and-answer corpora can be asked")
    with Progress(console=remarks, transient=True) as progress:
        task = progress.add_task("asking", total=len(pairs))
        accuracy = answer_accuracy(model, pairs, lambda: progress.advance(task))
    wrong = [{"question": q, "expected": e, "answered": a} for q, e, a in accuracy.wrong]
    return {"asked": accuracy.asked, "right": accuracy.right, "accuracy": accuracy.share, "wrong": wrong}
