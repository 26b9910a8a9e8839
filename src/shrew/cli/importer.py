"""``shrew import``: converts another program's model to an image or a run."""

from __future__ import annotations

from pathlib import Path

import click

from shrew.cli.options import (
    human_bytes,
    json_option,
    print_json,
    print_warning,
    weight_type,
    weight_type_options,
)


class _Import(click.Command):
    """The command; its help lists the files that the doors accept."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from shrew.doors import DOORS

        formatter.write_paragraph()
        formatter.write_text(f"Files that can be imported: {'; '.join(door.TAKES for door in DOORS)}.")


@click.command("import", cls=_Import)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--tokenizer",
    "tokenizer_file",
    type=click.Path(path_type=Path),
    help="The tokenizer, if it is a separate file.",
)
@weight_type_options()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write an image here.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write a run folder here, to quantise it or train from it."
)
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@json_option
def import_(
    file: Path,
    tokenizer_file: Path | None,
    type_: str,
    group: int | None,
    output: Path | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Import FILE, another program's model, with its tokenizer."""
    from shrew.doors import open_door
    from shrew.files import printable
    from shrew.image import image_of, write_image
    from shrew.model.parameters import Parameters
    from shrew.run import Run, RunConfig, TrainConfig, sole_writer

    if output is None and out is None:
        raise click.UsageError("say where to: -o model.bin for an image, --out FOLDER for a run, or both")
    model = open_door(file, tokenizer_file)
    for line in model.left_out:
        print_warning(f"{file}: {line}")
    config = model.config
    result: dict[str, object] = {"parameters": config.parameters}
    if out is not None:
        run_config = RunConfig(model=config, train=TrainConfig(steps=1000), data={"imported": printable(file.name)})
        with sole_writer(out):
            run = Run.create(out, run_config, overwrite=overwrite)
            model.tokenizer.save(run.tokenizer_path)
            run.save_weights(Parameters.of(config, model.parameters), {"imported": printable(file.name)})
        result["run"] = str(out)
    if output is not None:
        weight = weight_type(type_, group)
        image = image_of(model, weight)
        write_image(output, image)
        result |= {"image": str(output), "image_bytes": len(image), "type": str(weight)}
    if as_json:
        print_json(result)
        return
    click.echo(f"{file}: {config.layers} layers of {config.dim}, {config.parameters:,} parameters")
    if output is not None:
        click.echo(f"{output}: {human_bytes(len(image))}, {weight}; self-test passed")
    if out is not None:
        click.echo(f"{out}: run folder")
