"""``shrew train``: from text to a run folder."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shrew.cli.options import json_option, print_json, remarks, seed_option

if TYPE_CHECKING:
    from shrew.model.config import ModelConfig
    from shrew.model.presets import Preset
    from shrew.train.config import TrainConfig
    from shrew.train.loop import TrainResult
    from shrew.train.run import Run

Config = TypeVar("Config")


@click.command()
@click.option("--data", multiple=True, help="A built-in corpus (names, stories, desk), files or folders; repeatable.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The run folder.")
@click.option(
    "--preset", "preset_name", default="desk", show_default=True, help="Model and training options to start from."
)
@click.option("--steps", type=click.IntRange(1), help="Train for so many steps; such a run repeats to the bit.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Train for so long.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="TABLE.KEY=VALUE",
    help="Any field of the configuration, such as model.layers=3 or train.batch=64; repeatable.",
)
@click.option(
    "--separator", default="<|endoftext|>", show_default=True, help="Line between texts; 'newline': each line is one."
)
@click.option(
    "--held-out", type=float, default=0.05, show_default=True, help="Share held out where the data marks none."
)
@click.option("--drop-duplicates", is_flag=True, help="Train once on documents that occur several times.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, from its checkpoint.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@seed_option
@json_option
def train(
    data: tuple[str, ...],
    out: Path,
    preset_name: str,
    steps: int | None,
    minutes: float | None,
    overrides: tuple[str, ...],
    separator: str,
    held_out: float,
    drop_duplicates: bool,
    resume: bool,
    overwrite: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Train a model on DATA and keep everything in the run folder --out.

    Ctrl-C leaves a checkpoint; --resume goes on from it (with --steps, to exactly the numbers that an
    uninterrupted run has).
    """
    from shrew.train.prepare import DataConfig, prepare

    if resume:
        if data or overwrite or overrides or steps or minutes:
            raise click.UsageError("--resume takes everything from the run folder; give only --out with it")
        run, tokenizer = _reopen(out)
        data_config = DataConfig.from_table(run.config.data)
        if data_config is None:
            raise click.UsageError(f"{out}: an imported run has no data to resume with")
        corpus = data_config.load()
    else:
        if not data:
            raise click.UsageError("--data is missing: a built-in corpus (names, stories, desk), a file or a folder")
        data_config = DataConfig(data, separator, held_out, drop_duplicates)
        corpus = data_config.load()
        limits = {name: value for name, value in (("steps", steps), ("minutes", minutes)) if value}
        run, tokenizer = new_run(out, data_config, corpus.train, preset_name, limits, overrides, seed, overwrite)
    prepared = prepare(corpus, tokenizer, run.config.model.context)
    report = prepared.report
    remarks.print(
        f"{report.documents:,} documents, {report.tokens:,} tokens in {report.rows:,} rows of "
        f"{run.config.model.context}; {report.cut:,} cut, {report.padding:.1%} padding · "
        f"{run.config.model.parameters:,} parameters",
        highlight=False,
    )
    result = run_training(run, prepared.train, prepared.validation, resume=resume)
    _report(run, result, as_json)


def new_run(
    out: Path,
    data_config: Any,
    documents: Any,
    preset_name: str,
    limits: dict[str, Any],
    overrides: tuple[str, ...],
    seed: int,
    overwrite: bool,
) -> tuple[Run, Any]:
    """Trains the tokenizer, settles the configuration and makes the run folder."""
    from shrew.model.presets import preset
    from shrew.tokenizer import train_for_corpus
    from shrew.train.config import RunConfig
    from shrew.train.run import Run

    chosen = preset(preset_name)
    model_changes, train_changes = _overrides(overrides)
    vocab = int(model_changes.pop("vocab", chosen.model.vocab))
    tokenizer = train_for_corpus(documents, kind=chosen.tokenizer, vocab=vocab)
    model = _model(chosen, tokenizer.vocab, model_changes)
    training = _training(chosen, {**limits, "seed": seed, **train_changes}, fixed=bool(limits))
    run = Run.create(out, RunConfig(model=model, train=training, data=data_config.as_table()), overwrite=overwrite)
    tokenizer.save(run.tokenizer_path)
    return run, tokenizer


def _reopen(out: Path) -> tuple[Run, Any]:
    from shrew.tokenizer import Tokenizer
    from shrew.train.run import Run

    run = Run.open(out)
    return run, Tokenizer.load(run.tokenizer_path)


def _overrides(texts: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``model.layers=3`` and the like, as values of TOML's types."""
    import tomllib

    from shrew.errors import ConfigError
    from shrew.model.config import ModelConfig
    from shrew.train.config import TrainConfig

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


def _model(chosen: Preset, vocab: int, changes: dict[str, Any]) -> ModelConfig:
    from shrew.model.config import ModelConfig

    if changes.keys() & {"dim", "heads"}:
        changes = {"head_dim": 0, **changes}  # follows from the two again
    return _convert(asdict(chosen.model_for(vocab)) | changes, ModelConfig, "model")


def _training(chosen: Preset, changes: dict[str, Any], *, fixed: bool) -> TrainConfig:
    """``fixed``: the caller bounds the run, so the preset's own bound goes."""
    from shrew.train.config import TrainConfig

    options = {k: v for k, v in chosen.train.items() if not (fixed and k in ("steps", "minutes"))} | changes
    return _convert(options, TrainConfig, "train")


def _convert(values: dict[str, Any], kind: type[Config], table: str) -> Config:
    import msgspec

    from shrew.errors import ConfigError

    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).replace("`", "").partition(" - at $")
        raise ConfigError(f"--set {table}{path}: {reason[0].lower()}{reason[1:]}") from None


def run_training(run: Run, train_rows: Any, validation: Any, *, resume: bool = False) -> TrainResult:
    """The loop with a progress display on stderr."""
    from shrew.train.loop import train as train_model
    from shrew.train.progress import make_progress

    return train_model(run, train_rows, validation, progress=make_progress(), resume=resume)


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
        return
    if result.interrupted:
        click.echo(f"stopped at step {result.step:,}; go on with: shrew train --out {run.path} --resume")
        return
    best = (
        ""
        if result.best_loss is None
        else f", best validation loss {result.best_loss:.4f} at step {result.best_step:,}"
    )
    click.echo(f"{run.path}: {result.step:,} steps, {result.seconds:.0f} s, loss {result.loss:.4f}{best}")
    click.echo(f"next: shrew quantize {run.path} -o model.bin")
