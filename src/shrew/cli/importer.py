"""``shrew import``: llama2.c checkpoints into an image or a run."""

from __future__ import annotations

from pathlib import Path

import click

from shrew.cli.options import human_bytes, json_option, print_json, weight_type, weight_type_options


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--tokenizer", "tokenizer_file", required=True, type=click.Path(path_type=Path), help="Its tokenizer.bin."
)
@weight_type_options()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write an image here.")
@click.option("--out", type=click.Path(path_type=Path), help="Write a run folder here, to quantise or to train from.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@json_option
def import_(
    file: Path,
    tokenizer_file: Path,
    type_: str,
    group: int | None,
    output: Path | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Import FILE, a llama2.c checkpoint (version 0, float, or version 2, int8), with its tokenizer."""
    from shrew.image import build_image, import_llama2c, write_image
    from shrew.model.parameters import Parameters
    from shrew.tokenizer import import_llama2c as import_tokenizer
    from shrew.train.config import RunConfig, TrainConfig
    from shrew.train.run import Run

    if output is None and out is None:
        raise click.UsageError("say where to: -o model.bin for an image, --out FOLDER for a run, or both")
    config, parameters = import_llama2c(file)
    tokenizer = import_tokenizer(tokenizer_file, vocab=config.vocab)
    result: dict[str, object] = {"parameters": config.parameters}
    if out is not None:
        run_config = RunConfig(model=config, train=TrainConfig(steps=1000), data={"imported": file.name})
        run = Run.create(out, run_config, overwrite=overwrite)
        tokenizer.save(run.tokenizer_path)
        run.save_weights(Parameters.of(config, parameters), {"imported": file.name})
        result["run"] = str(out)
    if output is not None:
        weight = weight_type(type_, group)
        metadata = [("name", file.stem), ("provenance", f"imported from llama2.c checkpoint {file.name}")]
        image = build_image(config, parameters, tokenizer, types=weight, metadata=metadata)
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
