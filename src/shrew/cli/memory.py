"""``shrew remember``: answers for an image's memory, without training. Also what several commands do with memories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from shrew.cli.options import image_argument, json_option, print_json, remarks

#: Most questions that are listed.
LISTED = 10


@contextmanager
def learning() -> Iterator[Callable[[float], None]]:
    """A progress bar while a memory is learnt. Yields a function that takes the fraction done."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=remarks, transient=True, disable=not remarks.is_terminal) as bar:
        task = bar.add_task("learning the memory", total=1.0)
        yield lambda share: bar.update(task, completed=share)


@click.command()
@image_argument
@click.option("--data", multiple=True, required=True, help="Questions and answers: files or folders; repeatable.")
@click.option("--check", multiple=True, help="Questions whose answers should stay, such as the old data; repeatable.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The image to write.")
@json_option
def remember(image: Path, data: tuple[str, ...], check: tuple[str, ...], output: Path, as_json: bool) -> None:
    """Add questions and answers to the memory of IMAGE, without training.

    Each question becomes a key of the memory. Training again with all data recognises more phrasings. Held-out
    questions (Test:) are not added, but asked.
    """
    from shrew.corpus.documents import COMMAND_PREFIX
    from shrew.engine import Model
    from shrew.errors import ConfigError
    from shrew.evaluation import Accuracy, ask
    from shrew.image import image_of, source_of, write_image
    from shrew.memory import add_entries, changed_answers

    model = Model.open(image)
    source = source_of(model)
    before = source.memory
    if before is None:
        raise ConfigError(f"{image}: has no memory; train on questions and answers, and quantise with --memory auto")
    added, held_out = _questions(data)
    old = [model.written(question) for side in _questions(check) for question, _ in side] if check else []
    grammar = source.commands
    for _, command in added:
        if grammar and command.startswith(COMMAND_PREFIX) and command.removeprefix(COMMAND_PREFIX) not in grammar:
            raise ConfigError(f"{image}: {command!r} is none of its commands; quantise its run with --commands FILE")
    refusal = dict(source.metadata).get("refusal")
    entries = [(question, None if answer == refusal else answer) for question, answer in added]
    after = add_entries(before, entries, model, model.encode)
    content = image_of(replace(source, memory=after))
    write_image(output, content)
    changes = changed_answers(before, after, old)
    new = Model.open(output)
    right, right_held_out = Accuracy.of(ask(new, added)), Accuracy.of(ask(new, held_out))
    if as_json:
        print_json(
            {
                "image": str(output),
                "image_bytes": len(content),
                "added": right.asked,
                "right": right.right,
                "held_out": right_held_out.asked,
                "held_out_right": right_held_out.right,
                "checked": len(old),
                "changed": [change.question for change in changes],
            }
        )
        return
    click.echo(f"{output}: {right.asked:,} questions added, {len(content) - model.image_bytes:,} bytes more")
    click.echo(f"answers {right.right:,} of {right.asked:,} of them")
    for question, expected, text in right.wrong[:LISTED]:
        click.echo(f"  {question!r}: {text!r} instead of {expected!r}")
    if held_out:
        click.echo(f"answers {right_held_out.right:,} of {right_held_out.asked:,} held-out questions")
    if check:
        click.echo(f"{len(changes):,} of {len(old):,} old questions get another answer")
    for change in changes[:LISTED]:
        click.echo(f"  {change.question!r}")


def _questions(data: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Questions with their answers, to add and held out. DataError if there are none."""
    from shrew.corpus import load_corpus
    from shrew.errors import DataError

    if "" in data:
        raise click.UsageError("a path is empty")
    corpus = load_corpus(data, held_out=0.0)
    added, held_out = ([(d.prompt, d.response) for d in side if d.prompt] for side in (corpus.train, corpus.held_out))
    if not added and not held_out:
        raise DataError(f"{', '.join(data)}: holds no questions with answers")
    return added, held_out
