"""Which door recognises a file, and what it imports."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.test_cli import shrew

from shrew import doors
from shrew.doors import DOORS, open_door
from shrew.doors.llama2c import read_checkpoint, read_tokenizer
from shrew.engine import Model
from shrew.errors import ImportFileError
from shrew.image import WeightType, build_image, image_of


def test_every_door_is_listed() -> None:
    modules = {path.stem for path in Path(str(doors.__file__)).parent.glob("*.py")} - {"__init__", "door"}
    names: list[Any] = list(DOORS)
    assert {door.__name__.rpartition(".")[2] for door in names} == modules
    assert all(door.TAKES for door in DOORS)


def test_what_comes_through_is_a_source(shared_data: Path) -> None:
    source = open_door(shared_data / "stories260K.bin", shared_data / "tok512.bin")
    config, parameters = read_checkpoint(shared_data / "stories260K.bin")
    assert source.config == config
    assert all(np.array_equal(source.parameters[name], tensor) for name, tensor in parameters.items())
    assert source.tokenizer == read_tokenizer(shared_data / "tok512.bin", vocab=config.vocab)
    assert (source.quantized, source.commands, source.left_out) == ({}, None, ())
    model = Model.from_bytes(image_of(source, WeightType("q8")), "imported")
    assert dict(model.metadata())["provenance"] == "imported from llama2.c checkpoint stories260K.bin"


@pytest.mark.parametrize("content", [b"", b"# Some text, and no model at all.\n" * 9, b"\0" * 100, b"PK\3\4" * 64])
def test_no_door_opens_for_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(ImportFileError, match=r"other\.bin: not a file that Shrew imports; it takes llama2\.c"):
        open_door(path)
    with pytest.raises(ImportFileError, match="not a file that Shrew imports"):
        open_door(tmp_path)
    with pytest.raises(ImportFileError, match="none: no such file"):
        open_door(tmp_path / "none")


def test_a_door_says_what_is_wrong_with_its_own_files(tmp_path: Path, shared_data: Path) -> None:
    path, tokenizer = tmp_path / "m.bin", shared_data / "tok512.bin"
    for fields, message in (((64, 172, 5, 8, 4, 512, 512), "cut short"), ((8192, 1, 5, 8, 4, 9, 9), "dim is 8192")):
        path.write_bytes(struct.pack("<7i", *fields))
        with pytest.raises(ImportFileError, match=message):
            open_door(path, tokenizer)
    with pytest.raises(ImportFileError, match=r"holds no tokenizer; give its tokenizer\.bin"):
        open_door(shared_data / "stories260K.bin")
    error = shrew("import", shared_data / "stories260K.bin", "-o", tmp_path / "x.bin", code=1).stderr
    assert error.startswith("shrew: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "x.bin").exists()


def test_an_int8_checkpoint_arrives(shared_data: Path) -> None:
    """Its groups of 64 are rounded again to our scales: an error below one percent, and the same story."""
    path = shared_data / "stories3M-q80.bin"
    config, parameters = read_checkpoint(path)
    tokenizer = read_tokenizer(shared_data / "tok4096.bin", vocab=config.vocab)
    model = Model.from_bytes(build_image(config, parameters, tokenizer, types=WeightType("q8", 64)))
    exact = parameters["token_embedding.weight"]
    assert np.sqrt(np.mean((model.tensor(0).values() - exact) ** 2)) < 0.01 * exact.std()
    story = "".join(s.text for s in model.session().generate("", raw=True, max_tokens=30))
    assert story.startswith("Once upon a time, there was a little girl named Lily.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too few"),
        (b"\0" * 100, "not a llama2.c checkpoint"),
        (struct.pack("<7i", 64, 172, 5, 8, 4, 512, 512), "cut short"),
        (struct.pack("<7i", 64, 172, 5, 8, 3, 512, 512), "not a llama2.c checkpoint"),
        (struct.pack("<Ii", 0x616B3432, 1) + bytes(248), "version 1"),
        (struct.pack("<Ii", 0x616B3432, 2), "cut short|too few"),
        (struct.pack("<Ii7iBi", 0x616B3432, 2, 64, 172, 5, 8, 4, 512, 512, 1, 7) + bytes(256), "group size 7"),
    ],
)
def test_bad_checkpoints_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.bin"
    path.write_bytes(content)
    with pytest.raises(ImportFileError, match=message):
        read_checkpoint(path)


def test_a_checkpoint_with_bytes_left_over_is_refused(tmp_path: Path, shared_data: Path) -> None:
    path = tmp_path / "long.bin"
    path.write_bytes((shared_data / "stories260K.bin").read_bytes() + bytes(4))
    with pytest.raises(ImportFileError, match="left over"):
        read_checkpoint(path)
