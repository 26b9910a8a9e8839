"""``shrew correct``: the second stage of training, against confusions."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from shrew.cli.options import json_option, print_json, remarks, seed_option

if TYPE_CHECKING:
    from shrew.corpus import Document
    from shrew.model.parameters import Parameters
    from shrew.train.correct.stage import Outcome, SecondStage


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The run folder for the corrected model.")
@click.option(
    "--data",
    multiple=True,
    help="Questions with their right answers, and Not: lines for known confusions; repeatable.  "
    "[default: the questions that RUN learnt]",
)
@click.option(
    "--alike",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="Wrong answers to mine from similar questions, per question.",
)
@click.option(
    "--tempting",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="Wrong answers to mine from the model's likeliest ones, per question.",
)
@click.option("--steps", type=click.IntRange(1), default=200, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Corrections per step.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=3e-4, show_default=True)
@click.option(
    "--margin", type=float, default=3.0, show_default=True, help="Lead that right answers should gain, in nats."
)
@click.option(
    "--strength",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Weight of the loss against wrong answers.",
)
@click.option(
    "--trust",
    type=click.FloatRange(0),
    default=4.0,
    show_default=True,
    help="Weight of the divergence from the original model.",
)
@click.option("--plain", is_flag=True, help="For comparison: ordinary training on the same questions and the corpus.")
@click.option("--threads", type=click.IntRange(1, 16), default=2, show_default=True, help="Number of threads.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@seed_option
@json_option
def correct(
    run: Path,
    out: Path,
    data: tuple[str, ...],
    alike: int,
    tempting: int,
    plain: bool,
    threads: int,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the model of RUN against confusions, and preserve its other answers.

    For each question, training raises the right answer and lowers wrong ones at the token where they differ. Wrong
    answers come from the question's Not: lines, from similar questions of the corpus, and from what the model itself
    finds likely. On the rest of the corpus, a divergence from the original model is penalised.
    """
    from shrew.errors import RunError
    from shrew.run import Run, corrected_memory, load_run, save_memory, sole_writer
    from shrew.train.correct.confusions import Mining
    from shrew.train.correct.correction import CorrectionConfig
    from shrew.train.correct.stage import SecondStage

    how = CorrectionConfig(**options)
    loaded = load_run(run)
    learnt = loaded.run.data
    if learnt is None:
        raise RunError(f"{run}: does not name its training data, which a correction needs")
    if out.exists() and out.samefile(run):
        raise RunError(f"{out}: is the run to correct; give another folder, so that both can be compared")
    if (out / "config.toml").exists() and not overwrite:
        raise RunError(f"{out}: holds a run already; replace it with --overwrite")
    with sole_writer(out), ThreadPoolExecutor(threads) as executor:
        mining = Mining(alike, tempting, how.margin)
        with remarks.status("looking for confusions"):
            stage = SecondStage(loaded, loaded.corpus, _questions(data), mining, how, executor)
        remarks.print(_found(stage), highlight=False, soft_wrap=True)
        corrected = _correct(stage, how.steps, plain)
        with remarks.status("asking before and after"):
            outcomes = stage.outcomes(corrected)
        config = replace(loaded.run.config, data=learnt.as_table(out))
        target = Run.create(out, config, overwrite=overwrite)
        loaded.tokenizer.save(target.tokenizer_path)
        target.save_commands(loaded.commands or [])
        if loaded.memory:
            save_memory(target, corrected_memory(loaded.memory, _questions(data), loaded.tokenizer))
        target.save_weights(corrected, {"corrected": run.resolve().name, "way": "plain" if plain else "corrections"})
    if as_json:
        result = {"run": str(out), "questions": len(stage.confusions), "pairs": stage.pairs}
        print_json(result | {"outcomes": [asdict(outcome) for outcome in outcomes]})
        return
    _print(outcomes)
    click.echo(f"next: shrew quantize {out} -o model.bin")


def _questions(data: tuple[str, ...]) -> list[Document]:
    from shrew.corpus import load_corpus
    from shrew.errors import DataError

    questions: list[Document] = []
    for spec in data:
        found = [document for document in load_corpus(spec, held_out=0.0).train if document.prompt]
        if not found:
            raise DataError(f"{spec}: holds no questions to correct")
        questions += found
    return questions


def _found(stage: SecondStage) -> str:
    return f"{len(stage.confusions):,} questions with {stage.pairs:,} confusable answers"


def _correct(stage: SecondStage, steps: int, plain: bool) -> Parameters:
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=remarks, transient=True, disable=not remarks.is_terminal) as bar:
        task = bar.add_task("correcting", total=steps)
        return stage.correct(
            plain=plain,
            progress=lambda step, loss: bar.update(task, completed=step, description=f"correcting, loss {loss:.3f}"),
        )


def _print(outcomes: Sequence[Outcome]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for column in ("of", "before", "after"):
        table.add_column(column, justify="right")
    for o in outcomes:
        table.add_row(o.what, f"{o.asked:,}", f"{o.before / o.asked:.1%}", f"{o.after / o.asked:.1%}")
    Console(highlight=False).print(table)
