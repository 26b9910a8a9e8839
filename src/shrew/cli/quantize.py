"""``shrew quantize``: makes a small model image from a run folder or a float image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from shrew.cli.corpus import separator_option
from shrew.cli.options import (
    byte_count,
    human_bytes,
    json_option,
    print_json,
    print_warning,
    remarks,
    seed_option,
    tensor_option,
    weight_type,
    weight_type_options,
)

if TYPE_CHECKING:
    from shrew.corpus import EncodedDocument
    from shrew.image import Commands, Source
    from shrew.image.writer import Matrix

THREADS = 2


@click.command()
@click.argument("source", metavar="RUN", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The image to write.")
@weight_type_options(
    None,
    "Type of the matrices: 32, 8, 4 or 2 bits per weight.  [default: the types that RUN was trained for, else q8]",
)
@tensor_option
@click.option(
    "--fit", "budget", metavar="SIZE", help="Choose types for the least loss in an image of this size, such as 230KB."
)
@click.option(
    "--rounding",
    type=click.Choice(["nearest", "calibrated"]),
    help="calibrated learns roundings and scales from text.  [default: calibrated if any matrix is q4 or ternary]",
)
@click.option("--steps", type=click.IntRange(0), default=600, show_default=True, help="Steps of calibration.")
@click.option(
    "--text",
    type=click.Path(path_type=Path),
    help="Calibrate on this text.  [default: the run's training data, else text that the model generates]",
)
@click.option(
    "--measure",
    type=click.Path(path_type=Path),
    help="Measure the loss on this text.  [default: the run's held-out data, else text that the model generates]",
)
@separator_option
@click.option(
    "--commands",
    "grammar",
    metavar="FILE|none",
    help="Patterns of the allowed commands, one per line.  [default: the commands that RUN learnt or the image has]",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1),
    help="Refuse commands that the model writes with a probability below this; the memory has a threshold of its own.  "
    "[default: 0.7, or that of the image]",
)
@click.option("--refusal", metavar="TEXT", help="What the image says instead of a refused answer.")
@click.option(
    "--memory",
    metavar="auto|off|SIZE",
    default="auto",
    show_default=True,
    help="Answers to questions that the image recognises. auto: the memory that RUN learnt; off: none; SIZE: learn one "
    "that takes at most this, such as 100KB.",
)
@click.option("--name", help="Name in the image's metadata.  [default: the run folder's]")
@click.option("--description", metavar="TEXT", help="Description in the metadata; further lines are questions to try.")
@click.option("--licence", help="Licence of the model, in the metadata.")
@seed_option
@json_option
def quantize(
    source: Path,
    output: Path,
    type_: str | None,
    group: int | None,
    tensors: tuple[str, ...],
    budget: str | None,
    rounding: str | None,
    steps: int,
    text: Path | None,
    measure: Path | None,
    separator: str,
    grammar: str | None,
    confidence: float | None,
    refusal: str | None,
    memory: str,
    name: str | None,
    description: str | None,
    licence: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Quantise the model in RUN, a run folder or an f32 image, to an image, and measure the loss that this costs."""
    from shrew.engine import Model
    from shrew.image import image_of, write_image
    from shrew.model.allocator import keep_freed_memory
    from shrew.quantize import choose_types, parse_override, tensor_errors
    from shrew.quantize.job import Job

    chosen = bool(type_ or tensors or group is not None)
    if budget is not None and chosen:
        raise click.UsageError("--fit chooses the types itself; leave out --type, --group and --tensor")
    keep_freed_memory()
    own = {"name": name, "licence": licence, "description": description, "refusal": refusal}
    given, learnt, held_out = _open(source, own, with_memory=memory == "auto")
    given = replace(given, commands=_commands(given, grammar, confidence))
    given = _with_memory(given, source, memory, refusal, seed)
    for line in given.left_out:
        print_warning(f"{source}: {line}")
    as_trained = bool(given.quantized) and not chosen and budget is None and rounding is None
    default = weight_type(type_ or "q8", group)
    with ThreadPoolExecutor(THREADS) as executor:
        job = Job(given, learnt, held_out, text, measure, separator, seed, executor, _progress)
        choices = None if budget is None else job.fit(byte_count("--fit", budget))
        if choices is not None:
            types = {choice.name: choice.type for choice in choices}
        elif as_trained:
            types = given.trained_types
        else:
            types = choose_types(given.config, default, [parse_override(text, default.group) for text in tensors])
        fine = all(weight.type in ("f32", "q8") for weight in types.values())
        way = "trained" if as_trained else rounding or ("nearest" if fine else "calibrated")
        matrices: Mapping[str, Matrix] | None = job.calibrate(types, steps) if way == "calibrated" else None
        image = image_of(given, None if as_trained else types, matrices)
        model = Model.from_bytes(image, "quantised image")
        before, after, measured_on = job.losses(model)
    write_image(output, image)
    errors = {error.name: error for error in tensor_errors(model, given.config, given.parameters, types)}
    losses = {choice.name: choice.loss for choice in choices or ()}
    summary: dict[str, Any] = {
        "image": str(output),
        "image_bytes": len(image),
        "parameters": given.config.parameters,
        "rounding": way,
        "loss_before": before and before.nats_per_token,
        "loss_after": after and after.nats_per_token,
        "memory_bytes": len(given.memory.section) if given.memory else 0,
        "scored_tokens": before and before.tokens,
        "measured_on": measured_on,
        "tensors": [
            {"name": error.name, "type": str(error.type), "bytes": error.bytes}
            | ({} if way == "calibrated" else {"relative_error": error.relative, "largest_error": error.largest})
            | ({"loss": losses[error.name]} if losses else {})
            for error in errors.values()
        ],
    }
    if budget is not None:
        summary |= {"budget": byte_count("--fit", budget), "loss_predicted": sum(losses.values())}
    if as_json:
        print_json(summary)
        return
    _print_tensors(summary["tensors"])
    click.echo(f"\n{output}: {human_bytes(len(image))}{', types as trained' if as_trained else ''}")
    if given.memory:
        remembered = f"{len(given.memory.answers):,} answers in {human_bytes(len(given.memory.section))}"
        click.echo(f"memory: {remembered}; --memory SIZE makes it smaller, --memory off leaves it out")
    if before and after:
        difference = after.nats_per_token - before.nats_per_token
        click.echo(
            f"loss on {before.tokens:,} {measured_on} tokens: {before.nats_per_token:.4f} before, "
            f"{after.nats_per_token:.4f} after ({difference:+.4f} nats/token)"
        )
    else:
        click.echo("loss not measured: no text to measure on; give --measure FILE")
    if budget is not None:
        measured = f"{difference:+.4f} measured" if before and after else "not measured"
        click.echo(
            f"fits: {len(image):,} of {summary['budget']:,} bytes, {summary['loss_predicted']:+.4f} nats/token "
            f"predicted from rounding alone, {measured}"
        )


def _open(
    path: Path, own: Mapping[str, str | None], *, with_memory: bool
) -> tuple[Source, Sequence[EncodedDocument], Sequence[EncodedDocument]]:
    """The model, its training data and its held-out data, as far as known. ``own`` is the caller's metadata."""
    from shrew.corpus import encode_documents
    from shrew.image import open_float_image
    from shrew.run import load_run

    if path.is_file():
        image = open_float_image(path)
        new = {key: value for key, value in own.items() if value}
        kept = [(key, value) for key, value in image.metadata if key not in new]
        return replace(image, metadata=[*new.items(), *kept]), (), ()
    run = load_run(path)
    given = run.source(**own) if with_memory else run.source(memory=None, **own)  # type: ignore[arg-type]  # texts
    if not run.knows_corpus:
        return given, (), ()
    learnt, held_out = (encode_documents(side, run.tokenizer) for side in (run.corpus.train, run.corpus.held_out))
    return given, learnt, held_out


def _commands(source: Source, given: str | None, confidence: float | None) -> Commands | None:
    """The image's grammar: from the file ``given``, or that of ``source``."""
    from shrew.errors import ConfigError
    from shrew.image import Commands
    from shrew.image.commands import read_patterns

    commands = source.commands
    if given == "none":
        commands = None
    elif given is not None:
        commands = Commands.of(read_patterns(Path(given)))
    if confidence is None:
        return commands
    if commands is None:
        raise ConfigError("--confidence is of commands, and this model has none; give --commands FILE")
    return commands.with_threshold(confidence)


def _with_memory(source: Source, path: Path, memory: str, refusal: str | None, seed: int) -> Source:
    """``source`` with the memory that --memory asks for."""
    from shrew.cli.memory import learning
    from shrew.errors import ConfigError
    from shrew.run import learn_memory, load_run

    if memory == "auto":
        return source
    if memory == "off":
        return replace(source, memory=None)
    budget = byte_count("--memory", memory)
    run = load_run(path) if path.is_dir() else None
    if run is None or not run.knows_corpus:
        raise ConfigError(f"--memory {memory}: learns from the data of a run, which {path} does not have; use auto")
    with learning() as progress:
        learnt = learn_memory(run.corpus, run.tokenizer, budget=budget, seed=seed, progress=progress)
    if learnt is None:
        raise ConfigError(f"--memory {memory}: the data of {path} has no questions to remember")
    metadata = [pair for pair in source.metadata if pair[0] != "refusal"]
    return replace(source, memory=learnt.memory, metadata=[*metadata, ("refusal", refusal or learnt.refusal)])


@contextmanager
def _progress(title: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A progress bar. Calling what it yields advances the bar by one, and optionally changes its title."""
    with Progress(console=remarks, transient=True, disable=not remarks.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda text=title: bar.update(task, advance=1, description=text)


def _print_tensors(tensors: Sequence[Mapping[str, Any]]) -> None:
    columns = {
        "type": ("type", "{}"),
        "bytes": ("bytes", "{:,}"),
        "relative_error": ("relative error", "{:.3%}"),
        "largest_error": ("largest error", "{:.5f}"),
        "loss": ("loss by rounding it alone", "{:+.5f}"),
    }
    shown = [key for key in columns if key in tensors[0]]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("tensor")
    for key in shown:
        table.add_column(columns[key][0], justify="left" if key == "type" else "right")
    for tensor in tensors:
        table.add_row(tensor["name"], *(columns[key][1].format(tensor[key]) for key in shown))
    Console(highlight=False).print(table)
