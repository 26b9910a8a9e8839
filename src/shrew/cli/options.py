"""Options that several commands share, and the ways in which all of them print."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

if TYPE_CHECKING:
    from shrew.engine import Model, Sampling, Session
    from shrew.image import WeightType

#: Progress and remarks; results go to stdout.
remarks = Console(stderr=True)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random generator.")


class ImagePath(click.Path):
    """A model image: a file, or the name of one that comes with Shrew."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from shrew.shipped import find_image

        return find_image(super().convert(value, param, ctx))  # type: ignore[arg-type]  # path_type makes it a Path


image_argument = click.argument("image", metavar="IMAGE", type=ImagePath())


_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """Text for a terminal: what would command it, or is no character, becomes U+FFFD. Only line ends and tabs stay."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def print_error(error: Exception | str) -> None:
    """One line on standard error."""
    click.echo(f"shrew: {printable(str(error))}".replace("\n", " "), err=True)


def print_warning(text: str) -> None:
    """One line on standard error about what works all the same."""
    print_error(f"warning: {text}")


def print_json(result: dict[str, Any]) -> None:
    """Exact and always valid: UTF-8, a file name's odd bytes escaped, null for NaN and infinity."""
    click.echo(json.dumps(_finite(result), ensure_ascii=False).encode("utf-8", "backslashreplace"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def session_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--draft`` and ``--threads``; :func:`session` makes of their values a conversation."""
    draft = click.option(
        "--draft",
        type=click.IntRange(0, 63),
        default=0,
        help="Guess up to this many tokens ahead from repetitions and verify them together; the text stays the same.",
    )
    threads = click.option(
        "--threads", type=click.IntRange(1, 16), default=1, show_default=True, help="Threads that share the work."
    )
    return draft(threads(command))


def session(model: Model, options: dict[str, Any]) -> Session:
    """A conversation; takes its values out of a command's options."""
    return model.session(draft=options.pop("draft"), threads=options.pop("threads"))


class WeightTypes(click.Choice):  # type: ignore[type-arg]  # older clicks have no argument
    """The names of the engine's weight types. The engine is loaded when they are asked for."""

    def __init__(self) -> None:
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # an attribute there, and never set here
        from shrew.engine import TYPES

        return TYPES


def weight_type_options(
    default: str | None = "q8", text: str = "Type of the matrices: 32, 8, 4 or 2 bits per weight."
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--type`` and ``--group``; :func:`weight_type` makes of their values what the writer takes."""
    kind = click.option(
        "--type",
        "type_",
        type=WeightTypes(),
        default=default,
        show_default=default is not None,
        help=text,
    )
    group = click.option(
        "--group",
        type=int,
        help="Columns that share a scale: a multiple of 16 from 16 to 256, or 0 for whole rows.  "
        "[default: 0 for q8, 32 for narrower types]",
    )
    return lambda command: kind(group(command))


def tensor_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--tensor",
        "tensors",
        multiple=True,
        metavar="PATTERN=TYPE[:GROUP]",
        help="Another type for some matrices, such as '*.down.weight=q8:32'; repeatable, the last match wins.",
    )(command)


def weight_type(kind: Any, group: int | None) -> WeightType:
    """The type that the options name. ConfigError where there is no such group."""
    from shrew.image import WeightType

    return WeightType(kind, -1 if group is None else group).checked()


class GenerationCommand(click.Command):
    """A command with :func:`generation_options` and, before them, those of the engine's sampling. The engine is loaded
    when they are asked for, so not for the list of commands; :func:`sampling` makes of their values what it takes.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        before = [param.name for param in own].index("max_tokens")
        return [*own[:before], *_sampling_options(), *own[before:]]


@cache
def _sampling_options() -> list[click.Option]:
    from shrew.engine import SAMPLING_OPTIONS

    ranges: dict[type, Any] = {int: click.IntRange, float: click.FloatRange}
    return [
        click.Option(
            [f"--{name.replace('_', '-')}"],
            type=ranges[option.kind](option.low, option.high, min_open=option.above_low),
            default=option.usual,
            show_default=True,
            metavar="NUMBER",
            help=f"{option.description[0].upper()}{option.description[1:]}.",
        )
        for name, option in SAMPLING_OPTIONS.items()
    ]


def generation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--max-tokens``, ``--stop`` and ``--seed``."""
    max_tokens = click.option(
        "--max-tokens",
        type=click.IntRange(0, 0xFFFFFFFF),
        default=0,
        help="Stop after this many tokens; 0: as many as fit.",
    )
    stop = click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; repeatable.")
    return max_tokens(stop(seed_option(command)))


def sampling(options: dict[str, Any]) -> Sampling:
    """Takes the sampling values out of a command's options."""
    from shrew.engine import SAMPLING_OPTIONS, Sampling

    return Sampling(**{name: options.pop(name) for name in SAMPLING_OPTIONS})


def byte_count(option: str, text: str, kilo: int = 1000) -> int:
    """``230KB``, ``230KiB``, ``1.5M`` or ``235520``: KB are ``kilo`` bytes, KiB always 1,024. ConfigError otherwise."""
    from shrew.errors import ConfigError

    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([KM]?)(I?)B?", text.strip().upper())
    if match is None:
        raise ConfigError(f"{option} {text}: not a size such as 230KB, 230KiB, 1.5MB or 235520")
    return int(float(match[1]) * (1024 if match[3] else kilo) ** " KM".index(match[2] or " "))


def human_bytes(count: int) -> str:
    """1 KB is 1,000 bytes, as on data sheets of flash chips it is not: the exact count stands beside it."""
    if count < 10_000:
        return f"{count:,} bytes"
    unit, size = ("KB", 1e3) if count < 10_000_000 else ("MB", 1e6)
    return f"{count / size:.1f} {unit} ({count:,} bytes)"
