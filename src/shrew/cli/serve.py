"""``shrew serve``: the chat page and its protocol, served from this computer."""

from __future__ import annotations

import secrets
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shrew.cli.options import ImagePath, remarks
from shrew.errors import ConfigError
from shrew.shipped import is_shipped

if TYPE_CHECKING:
    from shrew.serve.service import Service

#: Without letters and digits that look alike, since people copy the token from a terminal to a phone.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@click.command()
@click.argument("image", metavar="[IMAGE]", required=False, type=ImagePath())
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0: all addresses.")
@click.option("--port", type=click.IntRange(0, 0xFFFF), default=8080, show_default=True, help="Port; 0: any free one.")
@click.option(
    "--sessions", type=click.IntRange(1, 64), default=2, show_default=True, help="Questions answered at once."
)
@click.option("--threads", type=click.IntRange(1, 16), default=1, show_default=True, help="Threads per answer.")
@click.option("--token", help="Token that clients need to change anything.  [default: a random one]")
@click.option(
    "--models",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for images to choose from and uploads.  [default: IMAGE's; the current one for a shipped IMAGE]",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
def serve(
    image: Path | None,
    host: str,
    port: int,
    sessions: int,
    threads: int,
    token: str | None,
    folder: Path | None,
    open_page: bool,
) -> None:
    """Serve IMAGE to browsers and programs: a chat page, a WebSocket, and an OpenAI endpoint.

    The protocol is that of a device (docs/PROTOCOL.md). Without --host, only this computer can connect. Every client
    may ask questions; clients with the token may also change settings, and upload and load models. Ctrl-C ends the
    server.
    """
    try:
        from shrew.serve.run import serve as run
        from shrew.serve.service import Options
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serve needs starlette, uvicorn and websockets ({error}): pip install 'shrew[serve]'"
        ) from None
    if image is None and folder is None:
        raise click.UsageError("give an IMAGE, a folder of --models, or both")
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token != ""):
        raise ConfigError("--token must be printable ASCII, without spaces around it")
    options = Options(
        image=image,
        folder=folder or (Path() if image is None or is_shipped(image) else image.parent),
        host=host,
        port=port,
        sessions=sessions,
        threads=threads,
        token=token or "".join(secrets.choice(ALPHABET) for _ in range(16)),
    )

    def ready(address: str, service: Service) -> None:
        page = f"{address}#token={options.token}"
        click.echo(page)
        loaded = service.answering.loaded
        what = f"{loaded.name}, {loaded.facts['bytes']:,} bytes" if loaded else "no model yet"
        remarks.print(f"{what} · token {options.token} · Ctrl-C ends", markup=False, highlight=False)
        if open_page:
            webbrowser.open(page)

    try:
        run(options, ready)
    except KeyboardInterrupt:
        remarks.print("ended")
