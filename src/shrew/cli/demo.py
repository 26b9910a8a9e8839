"""``shrew demo``: every step in a few minutes, from the built-in corpus to a conversation."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from shrew.cli.options import json_option, print_json, printable

if TYPE_CHECKING:
    from shrew.corpus import Corpus, Document
    from shrew.engine import Model
    from shrew.evaluation import Accuracy
    from shrew.image import Source
    from shrew.run import LoadedRun, RunMemory

IMAGE_LIMIT = 230_000
TRAINED_SAMPLE = 1000
STORY_OPENING = "One day,"

#: The description in the image's metadata, which chat pages show.
DESCRIPTION = "Knows the Shrew board, an ESP32-S3 with a lamp, a fan, a buzzer and sensors, and works them."
QUESTIONS = ("How much flash does the board have?", "turn the lamp green", "Which pin is the buzzer on?")


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder for all results.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=1.5,
    show_default=True,
    help="Training time of the assistant.",
)
@click.option(
    "--steps", type=click.IntRange(1), help="Train for this many steps instead; the result is then reproducible."
)
@click.option("--story/--no-story", default=True, help="Also train a small model on stories, for one more minute.")
@click.option("--chat/--no-chat", default=True, help="Chat with the model at the end, on a terminal.")
@json_option
def demo(out: Path, minutes: float, steps: int | None, story: bool, chat: bool, as_json: bool) -> None:
    """Train a device assistant on the built-in corpus, quantise it to at most 230 KB, and chat with it."""
    started = time.perf_counter()
    console = Console(stderr=as_json, highlight=False)
    show = _Show(console)
    result, model = _assistant(out, {"steps": steps} if steps else {"minutes": minutes}, show)
    if story:
        result |= _story(out, show)
    result["seconds"] = round(time.perf_counter() - started, 1)
    show.closing(result)
    if as_json:
        print_json(result)
    elif chat and sys.stdin.isatty() and sys.stdout.isatty():
        from shrew.cli.chat import converse, title
        from shrew.engine import Sampling

        converse(model.session(), title(model), Sampling())


def _assistant(out: Path, limits: dict[str, Any], show: _Show) -> tuple[dict[str, Any], Model]:
    from shrew.corpus import builtin_corpus
    from shrew.engine import Model
    from shrew.errors import TrainingError
    from shrew.image import WeightType, image_of, write_image
    from shrew.run import DataConfig, load_run, save_memory, sole_writer
    from shrew.train.loop import train
    from shrew.train.progress import make_progress
    from shrew.train.start import new_run

    corpus = builtin_corpus("desk")
    with sole_writer(out / "desk"):
        show.corpus(corpus)
        training = {**limits, "weights": "q4"}
        run, prepared, _ = new_run(out / "desk", DataConfig(("desk",)), "desk", training=training, overwrite=True)
        config = run.config.model
        show.step(
            "Train", f"{config.layers} layers of {config.dim}, {config.parameters:,} parameters, NumPy on this machine"
        )
        # Nothing is chosen by looking at the held-out questions, except the threshold of the memory.
        trained = train(run, prepared.train, progress=make_progress())
        if trained.interrupted:
            raise click.Abort
        show.step("Remember", "a memory that recognises questions, however they are typed")
        source, memory = desk_source(load_run(run.path), corpus)
        save_memory(run, memory)
        show.memory(memory)

    show.step("Shrink", "4-bit weights, as they were trained; a table of 4-bit integers for the memory")
    floats = len(image_of(source, WeightType("f32")))
    image = image_of(source)
    if len(image) > IMAGE_LIMIT:
        raise TrainingError(f"the image has {len(image):,} bytes, more than the {IMAGE_LIMIT:,} of this demo")
    path = out / "model.bin"
    write_image(path, image)
    model = Model.open(path)
    show.sizes(floats, model)

    show.step("Measure", "exact answers, greedy, by the C engine that the chip runs")
    alone = Model.from_bytes(image_of(replace(source, memory=None)), "image without its memory")
    sample = _questions(corpus.train[:: max(1, len(corpus.train) // TRAINED_SAMPLE)])
    held_out = _questions(corpus.held_out)
    accuracies = [
        _Row(name, show.ask(alone, questions), show.ask(model, questions))
        for name, questions in (
            ("trained phrasings", sample),
            ("held-out phrasings", held_out),
            ("the same, in capitals", [(question.upper(), answer) for question, answer in held_out]),
            ("the same, with a typo", _mistyped(held_out)),
        )
    ]
    show.accuracies(accuracies)
    show.step("Talk", "phrasings that the model has never seen")
    answers = _show_answers(corpus, model, show)
    return {
        "image": str(path),
        "image_bytes": len(image),
        "parameters": config.parameters,
        "train_seconds": round(trained.seconds, 1),
        "trained_accuracy": accuracies[0].after.share,
        "trained_accuracy_alone": accuracies[0].before.share,
        "held_out_accuracy": accuracies[1].after.share,
        "held_out_accuracy_alone": accuracies[1].before.share,
        "capitals_accuracy": accuracies[2].after.share,
        "typo_accuracy": accuracies[3].after.share,
        "trained_asked": accuracies[0].after.asked,
        "held_out_asked": accuracies[1].after.asked,
        "answers": answers,
    }, model


def _questions(documents: Sequence[Document]) -> list[tuple[str, str]]:
    return [(document.prompt, document.response) for document in documents]


def _mistyped(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same questions, each with one typing error."""
    from shrew.corpus import with_typo

    rng = Random(0)
    return [(with_typo(question, rng), answer) for question, answer in pairs]


def desk_source(trained: LoadedRun, corpus: Corpus) -> tuple[Source, RunMemory]:
    """The source of an image of at most :data:`IMAGE_LIMIT` bytes, of a model that learnt the corpus ``desk``. Its
    memory takes the bytes that the model leaves.
    """
    from shrew.cli.memory import learning
    from shrew.image import image_of
    from shrew.run import learn_memory

    about = {"name": "Shrew desk assistant", "licence": "CC0-1.0", "description": "\n".join((DESCRIPTION, *QUESTIONS))}
    alone = trained.source(memory=None, **about)
    # A section begins at a multiple of 64 and has an entry of 16 bytes; the refusal is metadata.
    budget = IMAGE_LIMIT - len(image_of(alone)) - 2 * 64 - 512
    with learning() as progress:
        memory = learn_memory(corpus, trained.tokenizer, budget=budget, progress=progress)
    assert memory is not None  # the corpus has questions
    return trained.source(memory=memory, **about), memory


def _show_answers(corpus: Corpus, model: Model, show: _Show) -> list[dict[str, Any]]:
    """Asks and shows five held-out questions on topics of the corpus and one outside them, right answers and wrong."""
    from shrew.evaluation import normalized
    from shrew.run import refusal_of

    refusal = refusal_of(corpus.train)
    inside = [d for d in corpus.held_out if d.response != refusal and d.kind == "answer"]
    commands = [d for d in corpus.held_out if d.kind == "command"]
    outside = [d for d in corpus.held_out if d.response == refusal]
    chosen = [inside[i * len(inside) // 4] for i in range(4)] + commands[:1] + outside[:1]
    answers = []
    for document in chosen:
        answer = show.conversation(model, document)
        right = normalized(answer) == normalized(document.response)
        answers.append({"question": document.prompt, "answer": answer, "expected": document.response, "right": right})
        show.verdict(right, document.response)
    return answers


def _story(out: Path, show: _Show) -> dict[str, Any]:
    """Trains a second model, on plain text instead of answers."""
    from shrew.engine import Model, Sampling
    from shrew.image import WeightType, image_of, write_image
    from shrew.run import DataConfig, load_run, sole_writer
    from shrew.train.loop import train
    from shrew.train.progress import make_progress
    from shrew.train.start import new_run

    show.step("A story teller", "the same engine and trainer, one minute on plain text")
    with sole_writer(out / "story"):
        run, prepared, _ = new_run(
            out / "story",
            DataConfig(("stories",)),
            "desk",
            model={"vocab": 1024, "context": 192},
            training={"minutes": 1.0, "batch": 12},
            overwrite=True,
        )
        trained = train(run, prepared.train, progress=make_progress())
        if trained.interrupted:
            raise click.Abort
        source = load_run(run.path).source(name="Shrew story teller", licence="CC0-1.0")
    image = image_of(source, WeightType("q8"))
    write_image(out / "story.bin", image)
    model = Model.open(out / "story.bin")
    chosen = Sampling(temperature=0.5, top_p=0.9)
    steps = model.session().generate(STORY_OPENING, raw=True, seed=3, sampling=chosen)
    text = show.story(STORY_OPENING, (step.text for step in steps))
    return {"story": text, "story_image": str(out / "story.bin"), "story_image_bytes": len(image)}


@dataclass(frozen=True)
class _Row:
    name: str
    before: Accuracy
    after: Accuracy


class _Show:
    """The demo's output."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps = 0

    def corpus(self, corpus: Corpus) -> None:
        documents = corpus.train
        answers = len({d.response for d in documents})
        self.console.print(
            Panel(
                f"[bold]Shrew[/] · a language model for a microcontroller, from text to conversation\n\n"
                f"It learns the built-in corpus [bold]{corpus.name}[/]: {len(documents):,} questions and commands with "
                f"{answers:,} different answers.\n"
                f"Another {len(corpus.held_out):,} phrasings are kept for the test at the end.",
                border_style="green",
                expand=False,
            )
        )

    def step(self, title: str, detail: str) -> None:
        self.steps += 1
        self.console.print(f"\n[bold green]{self.steps}. {title}[/]  [dim]{detail}[/]", soft_wrap=True)

    def memory(self, memory: RunMemory) -> None:
        table, keys = memory.memory.table.shape, len(memory.memory.keys)
        self.console.print(f"   a table of {table[0]:,} × {table[1]}, {keys:,} keys")
        self.console.print(f"   {memory.calibration}", soft_wrap=True)

    def sizes(self, floats: int, model: Model) -> None:
        """``floats``: bytes of the image with float weights."""
        bar = "█" * round(32 * model.image_bytes / floats)
        self.console.print(f"   float  {'█' * 32}  {floats:>9,} bytes")
        self.console.print(f"   4 bit  [green]{bar:32}[/]  {model.image_bytes:>9,} bytes, self-test passed")

    def ask(self, model: Model, pairs: Sequence[tuple[str, str]]) -> Accuracy:
        from shrew.evaluation import answer_accuracy

        columns = (TextColumn("   asking"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task("ask", total=len(pairs))
            return answer_accuracy(model, pairs, lambda: progress.advance(task))

    def accuracies(self, rows: Sequence[_Row]) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        table.add_column("   right answers")
        for column in ("asked", "model alone", "with its memory"):
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(
                f"   {row.name}", f"{row.after.asked:,}", f"{row.before.share:.1%}", f"[bold]{row.after.share:.1%}[/]"
            )
        self.console.print(table)

    def conversation(self, model: Model, document: Document) -> str:
        self.console.print(f"   [bold cyan]›[/] {escape(document.prompt)}", soft_wrap=True)
        self.console.print("     ", end="")
        answer = ""
        for piece in model.stream(document.prompt):
            answer += piece
            self.text(piece)
        return answer

    def verdict(self, right: bool, expected: str) -> None:
        self.console.print(
            "  [green]✓[/]" if right else f"  [red]✗[/] [dim]expected: {escape(expected)}[/]", soft_wrap=True
        )

    def text(self, piece: str) -> None:
        self.console.print(printable(piece), end="", markup=False, soft_wrap=True)

    def story(self, opening: str, pieces: Iterable[str]) -> str:
        """Streams a story word by word, so that lines break between words. Returns the whole story."""
        indent, width = "   ", self.console.width - 2
        self.console.print(f"{indent}[bold]{escape(opening)}[/]", end="")
        column, word, text = len(indent + opening), "", opening
        for piece in chain(pieces, " "):
            text += piece
            for character in piece:
                word += character
                if not character.isspace():
                    continue
                if column + len(word.rstrip()) > width:
                    self.console.print(f"\n{indent}", end="")
                    column, word = len(indent), word.lstrip()
                self.text(word.replace("\n", " "))
                column += len(word)
                word = ""
        self.console.print()
        return text.rstrip()

    def closing(self, result: dict[str, Any]) -> None:
        lines = [f"{result['seconds']:.0f} seconds in all. Go on with:", ""]
        lines.append(f"  shrew chat {result['image']}")
        lines.append(f"  shrew inspect {result['image']}")
        if "story_image" in result:
            lines.append(f"  shrew generate {result['story_image']} 'One day,' --raw --temperature 0.7")
        lines.append("  shrew train --data your_questions.txt --out runs/mine")
        self.console.print(
            Panel(escape("\n".join(lines)), border_style="green", expand=False, title="done", title_align="left")
        )
