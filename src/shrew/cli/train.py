"""``shrew train``: trains a model on text."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from shrew.cli.corpus import format_option, prompts_option, separator_option
from shrew.cli.options import (
    json_option,
    print_json,
    print_warning,
    remarks,
    seed_option,
    tensor_option,
    weight_type,
    weight_type_options,
)
from shrew.errors import ConfigError, RunError, ShrewError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shrew.corpus import Format
    from shrew.model.parameters import Array
    from shrew.run import Run
    from shrew.tokenizer import Prompts, Tokenizer
    from shrew.train.loop import TrainResult
    from shrew.train.prepare import PreparedData


@click.command()
@click.option("--data", multiple=True, help="A built-in corpus (names, stories, desk), files or folders; repeatable.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The run folder.")
@click.option(
    "--preset",
    "preset_name",
    default="desk",
    show_default=True,
    help="Model and training options to start from; `shrew presets` lists them.",
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    help="Start from the weights of this run, such as an imported one.",
)
@click.option(
    "--steps", type=click.IntRange(1), help="Train for this many steps; the result is reproducible bit for bit."
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Train for this long.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="TABLE.KEY=VALUE",
    help="Set a field of the configuration, such as model.layers=3 or train.batch=64; repeatable.",
)
@weight_type_options(
    None,
    "Train for this type: the last part of the run computes with exactly the values that the image will have.  "
    "[default: f32, to be quantised afterwards]",
)
@tensor_option
@format_option
@separator_option
@prompts_option
@click.option(
    "--held-out", type=float, default=0.05, show_default=True, help="Fraction to hold out if the data marks none."
)
@click.option("--drop-duplicates", is_flag=True, help="Train only once on documents that occur several times.")
@click.option(
    "--backend",
    type=click.Choice(["numpy", "torch"]),
    help="Compute with NumPy (the default) or PyTorch; with --resume, this time only.",
)
@click.option("--resume", is_flag=True, help="Continue the run in --out from its checkpoint.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@seed_option
@json_option
def train(
    data: tuple[str, ...],
    out: Path,
    preset_name: str,
    source: Path | None,
    steps: int | None,
    minutes: float | None,
    overrides: tuple[str, ...],
    type_: str | None,
    group: int | None,
    tensors: tuple[str, ...],
    format_: Format,
    separator: str,
    prompts: Prompts,
    held_out: float,
    drop_duplicates: bool,
    backend: str | None,
    resume: bool,
    overwrite: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Train a model on --data and write everything to the run folder --out.

    Ctrl-C saves a checkpoint, from which --resume continues. With --steps and NumPy, the result is exactly that of an
    uninterrupted run.

    With PyTorch, `torchrun --nproc-per-node 2 -m shrew train … --backend torch` trains in two processes.
    """
    from shrew.run import DataConfig, Run, sole_writer
    from shrew.train.prepare import prepare
    from shrew.train.start import new_run

    if resume and _chosen("prompts"):
        raise click.UsageError("--resume takes the form of prompts from the run folder; leave out --prompts")
    if resume:
        if data or source or overwrite or overrides or steps or minutes or type_ or group is not None or tensors:
            raise click.UsageError("--resume takes all but --backend from the run folder; give only --out with it")
        Run.open(out)  # otherwise the lock would create the folder of a run that does not exist
        with sole_writer(out):
            run, tokenizer = _reopen(out, backend)
            prepared = prepare(run.load_corpus(), tokenizer, run.config.model.context)
            _train(run, prepared, as_json, resume=True)
        return
    if source and _chosen("prompts"):
        raise click.UsageError("--prompts is of a new tokenizer, and --from takes that of its run")
    if not data:
        raise click.UsageError("--data is missing: a built-in corpus (names, stories, desk), a file or a folder")
    data_config = DataConfig(data, format_, separator, held_out, drop_duplicates)
    given = {"steps": steps, "minutes": minutes, "backend": backend, "tensors": " ".join(tensors)}
    if type_ is not None:
        given["weights"] = str(weight_type(type_, group))
    elif group is not None:
        raise click.UsageError("--group is of a --type; give that too")
    options = {"seed": seed, **{name: value for name, value in given.items() if value}}
    model_changes, train_changes = _overrides(overrides)
    with sole_writer(out):
        run, prepared, initial = new_run(
            out,
            data_config,
            preset_name,
            model=model_changes,
            training={**options, **train_changes},
            source=source,
            prompts=prompts,
            overwrite=overwrite,
        )
        _train(run, prepared, as_json, initial=initial)


def _train(
    run: Run,
    prepared: PreparedData,
    as_json: bool,
    *,
    resume: bool = False,
    initial: Mapping[str, Array] | None = None,
) -> None:
    from shrew.train.loop import train as train_model
    from shrew.train.progress import make_progress

    remarks.quiet = not run.writes
    report = prepared.report
    remarks.print(
        f"{report.documents:,} documents, {report.tokens:,} tokens in {report.rows:,} rows of "
        f"{run.config.model.context}; {report.cut:,} cut, {report.dropped:,} dropped, "
        f"{prepared.repeats:,} exact repeats, {report.padding:.1%} padding\n"
        f"{run.config.model.parameters:,} parameters",
        highlight=False,
        soft_wrap=True,
    )
    try:
        result = train_model(
            run, prepared.train, prepared.validation, progress=make_progress(), resume=resume, initial=initial
        )
    except TrainingError:
        if run.writes:
            raise
        click.get_current_context().exit(1)  # like all processes; the first one says why
    if run.writes and not result.interrupted:
        _remember(run)
    if run.writes:
        _report(run, result, as_json)
    if result.interrupted:
        click.get_current_context().exit(130)


def _chosen(name: str) -> bool:
    """Whether an option was given, even with the value of its default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _remember(run: Run) -> None:
    """Learns the run's memory, if its data has questions and answers. The model is trained already: what prevents a
    memory is a warning.
    """
    from shrew.cli.memory import learning
    from shrew.run import learn_memory, save_memory
    from shrew.tokenizer import Tokenizer

    try:
        corpus = run.load_corpus()
        if not any(document.prompt for document in corpus.train):
            return
        with learning() as progress:
            tokenizer = Tokenizer.load(run.tokenizer_path)
            learnt = learn_memory(corpus, tokenizer, seed=run.config.train.seed, progress=progress)
        if learnt is None:
            return
        save_memory(run, learnt)
    except ShrewError as error:
        print_warning(f"no memory: {error}")
    except KeyboardInterrupt:
        print_warning(f"no memory yet; learn it with: shrew train --out {run.path} --resume")
    else:
        remarks.print(f"memory: {learnt.calibration}", highlight=False, soft_wrap=True)
        remarks.print(f"refusal: {learnt.refusal}", highlight=False, markup=False, soft_wrap=True)


def _reopen(out: Path, backend: str | None) -> tuple[Run, Tokenizer]:
    from shrew.run import Run
    from shrew.tokenizer import Tokenizer

    run = Run.open(out)
    if run.data is None:
        raise RunError(f"{out}: an imported run has no data to go on with; train on it with --from {out}")
    if backend and backend != run.config.train.backend:
        changes: dict[str, Any] = {"backend": backend}
        if backend == "numpy":  # which does not have PyTorch's options
            changes |= {"device": "auto", "precision": "float32", "compile": False}
        run = Run(out, replace(run.config, train=replace(run.config.train, **changes)))
    return run, Tokenizer.load(run.tokenizer_path)


def _overrides(texts: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parses settings such as ``model.layers=3`` to values of TOML types."""
    import tomllib

    from shrew.model.config import ModelConfig
    from shrew.run import TrainConfig

    changes: dict[str, dict[str, Any]] = {"model": {}, "train": {}}
    known = {"model": ModelConfig, "train": TrainConfig}
    for text in texts:
        name, equals, value = text.partition("=")
        table, _, key = name.partition(".")
        if not equals or table not in known or key not in {field.name for field in fields(known[table])}:
            raise ConfigError(f"--set {text}: not model.KEY=VALUE or train.KEY=VALUE with a key of config.toml")
        try:
            changes[table][key] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            changes[table][key] = value  # a bare word such as adamw
    return changes["model"], changes["train"]


def _report(run: Run, result: TrainResult, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "run": str(run.path),
                "parameters": run.config.model.parameters,
                "steps": result.step,
                "loss": result.loss,
                "best_loss": result.best_loss,
                "best_step": result.best_step,
                "tokens": result.tokens,
                "seconds": result.seconds,
                "interrupted": result.interrupted,
            }
        )
    elif result.interrupted:
        click.echo(f"stopped at step {result.step:,}; go on with: shrew train --out {run.path} --resume")
    else:
        kept = "the last weights are kept"
        if result.best_loss is not None:
            best = f"best validation loss {result.best_loss:.4f} at step {result.best_step:,}"
            kept = f"{best}, which is kept" if run.config.train.keep == "best" else f"{best}; {kept}"
        click.echo(f"{run.path}: {result.step:,} steps, {result.seconds:.0f} s, loss {result.loss:.4f}, {kept}")
        click.echo(f"next: shrew quantize {run.path} -o model.bin")
