"""``shrew eval``: likelihood of text, or accuracy of answers, computed by the engine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.progress import Progress

from shrew.cli.options import image_argument, json_option, print_json, remarks

if TYPE_CHECKING:
    from shrew.corpus import Corpus
    from shrew.engine import Model


@click.command("eval")
@image_argument
@click.option("--text", type=click.Path(path_type=Path), help="Score the documents of this text file.")
@click.option("--data", help="Ask the questions of this corpus (a file, or a built-in one such as desk).")
@click.option("--run", type=click.Path(path_type=Path), help="Ask the questions of this run's corpus.")
@click.option(
    "--separator",
    default="<|endoftext|>",
    show_default=True,
    help="Line between documents of --text or --data; 'newline': each line is a document.",
)
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="FRACTION",
    default=0.05,
    show_default=True,
    help="Fraction of --data to hold out if it marks none.",
)
@click.option(
    "--split",
    type=click.Choice(["held-out", "train"]),
    default="held-out",
    show_default=True,
    help="Which questions of --data or --run.",
)
@click.option("--limit", type=click.IntRange(1), help="Use at most this many documents or questions.")
@json_option
def eval_(
    image: Path,
    text: Path | None,
    data: str | None,
    run: Path | None,
    separator: str,
    held_out: float,
    split: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Measure the loss of IMAGE on a text, or the accuracy of its answers.

    With --text: summed nats, tokens, nats/token, bytes, bits per byte and perplexity. Each document is scored from its
    own beginning-of-text and cut at the context; end-of-text is not scored. With --data or --run: the fraction of
    questions whose greedy answer equals the expected one, apart from case, white space and a final full stop. If the
    image has a grammar of commands, also counts of requests for commands (asked; right; wrong: another command;
    refused), of other questions (false: answered by a command), and of questions outside its subject.
    """
    from shrew.corpus import load_corpus
    from shrew.engine import Model

    if sum(source is not None for source in (text, data, run)) != 1:
        raise click.UsageError("give one of --text FILE, --data CORPUS and --run RUN")
    sources = map(click.get_current_context().get_parameter_source, ("separator", "held_out"))
    if run is not None and ParameterSource.COMMANDLINE in sources:
        raise click.UsageError("--separator and --held-out are the run's own with --run; leave them out")
    model = Model.open(image)
    if text is not None:
        result = _likelihood(model, text, separator, limit)
    elif run is not None:
        result = _accuracy(model, _learnt_corpus(run), split, limit)
    else:
        assert data is not None
        result = _accuracy(model, load_corpus(data, separator=separator, held_out=held_out), split, limit)
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        if name != "wrong":
            click.echo(f"{name:24} {value:,.6g}" if isinstance(value, float) else f"{name:24} {value:,}")


def _likelihood(model: Model, text: Path, separator: str, limit: int | None) -> dict[str, Any]:
    from shrew.corpus import read_corpus
    from shrew.evaluation import score_texts

    documents = read_corpus(text, format="text", separator=separator)
    texts = [document.response for document in documents][:limit]
    with _progress() as progress:
        task = progress.add_task("scoring", total=len(texts))
        return score_texts(model, texts, lambda: progress.advance(task)).as_dict()


def _accuracy(model: Model, corpus: Corpus, split: str, limit: int | None) -> dict[str, Any]:
    from shrew.errors import DataError
    from shrew.evaluation import Accuracy, CommandAccuracy, ask
    from shrew.image import read_commands

    documents = corpus.held_out if split == "held-out" else corpus.train
    pairs = [(d.prompt, d.response) for d in documents if d.prompt][:limit]
    if not pairs:
        raise DataError(f"{corpus.name}: no {split} questions; only question-and-answer corpora can be asked")
    with _progress() as progress:
        task = progress.add_task("asking", total=len(pairs))
        answers = ask(model, pairs, lambda: progress.advance(task))
    accuracy = Accuracy.of(answers)
    result: dict[str, Any] = {}
    if grammar := read_commands(model):
        refusal = dict(model.metadata()).get("refusal", "")
        found = CommandAccuracy.of(answers, grammar, refusal)
        result = {f"commands_{name}": value for name, value in asdict(found).items()}
    wrong = [{"question": q, "expected": e, "answered": a} for q, e, a in accuracy.wrong]
    return {"asked": accuracy.asked, "right": accuracy.right, "accuracy": accuracy.share, **result, "wrong": wrong}


def _learnt_corpus(run: Path) -> Corpus:
    from shrew.errors import RunError
    from shrew.run import Run

    opened = Run.open(run)
    if opened.data is None:
        raise RunError(f"{run}: does not name its training data; give --data instead")
    return opened.load_corpus()


def _progress() -> Progress:
    return Progress(console=remarks, transient=True, disable=not remarks.is_terminal)
