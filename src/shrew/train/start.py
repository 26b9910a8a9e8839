"""A new run folder, from data and a preset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shrew.corpus import commands_of
from shrew.errors import ConfigError
from shrew.model.config import ModelConfig
from shrew.model.parameters import Array
from shrew.model.presets import Preset, preset
from shrew.run import DataConfig, Run, RunConfig, TrainConfig, load_run, stored_types
from shrew.tokenizer import Prompts
from shrew.train.prepare import PreparedData, prepare

Changes = Mapping[str, Any]
Config = TypeVar("Config")


def new_run(
    out: Path,
    data: DataConfig,
    preset_name: str,
    *,
    model: Changes | None = None,
    training: Changes | None = None,
    source: Path | None = None,
    prompts: Prompts = "folded",
    overwrite: bool = False,
) -> tuple[Run, PreparedData, Mapping[str, Array] | None]:
    """Reads the corpus, creates or takes over tokenizer and model, and last of all, when everything has been checked,
    creates the run folder ``out``. Returns it with the packed rows and the initial weights (None: random ones).

    ``model`` and ``training``: fields of ModelConfig and TrainConfig that differ from the preset's. ``source``: a run
    whose tokenizer, model and weights are taken over. ``prompts``: the form of prompts of a new tokenizer. ConfigError
    if options do not fit, DataError for the corpus.
    """
    chosen, model = preset(preset_name), dict(model or {})
    corpus = data.load()
    initial = None
    if source is not None:
        if model:
            raise ConfigError("--from takes the model of the run as it is; drop the --set model options")
        loaded = load_run(source)
        tokenizer, config, initial = loaded.tokenizer, loaded.run.config.model, loaded.parameters
    else:
        vocab = model.pop("vocab", chosen.model.vocab)
        if type(vocab) is not int:
            raise ConfigError(f"model.vocab: {vocab!r} is not a number of tokens")
        tokenizer = chosen.learn_tokenizer(corpus, vocab, prompts)
        config = _model(chosen, tokenizer.vocab, model)
    # Answers are memorised, and keep improving long after the loss on new phrasings has started to rise.
    keep = "last" if any(document.prompt for document in corpus.train) else "best"
    options = _training(chosen, {"keep": keep, **(training or {})})
    stored_types(config, options)  # raises for invalid types
    prepared = prepare(corpus, tokenizer, config.context)
    run = Run.create(out, RunConfig(model=config, train=options, data=data.as_table(out)), overwrite=overwrite)
    if run.writes:
        tokenizer.save(run.tokenizer_path)
    run.save_commands(commands_of(corpus.train))
    return run, prepared, initial


def _model(chosen: Preset, vocab: int, changes: Changes) -> ModelConfig:
    if changes.keys() & {"dim", "heads"}:
        changes = {"head_dim": 0, **changes}  # recomputed from the two
    return _convert({**asdict(chosen.model_for(vocab)), **changes}, ModelConfig, "model")


def _training(chosen: Preset, options: Changes) -> TrainConfig:
    """The preset's options, overridden by the caller's. The caller's bound, steps or minutes, replaces the preset's."""
    bounds = {"steps", "minutes"}
    own = {k: v for k, v in chosen.train.items() if not (bounds & options.keys() and k in bounds)}
    return _convert({**own, **options}, TrainConfig, "train")


def _convert(values: Changes, kind: type[Config], table: str) -> Config:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).replace("`", "").partition(" - at $")
        raise ConfigError(f"{table}{path}: {reason[0].lower()}{reason[1:]}") from None
