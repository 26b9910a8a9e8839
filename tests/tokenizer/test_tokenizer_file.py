"""tokenizer.json: saving, loading, and files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shrew.errors import RunError, TokenizerError
from shrew.tokenizer import Tokenizer, train_bpe, train_character
from shrew.tokenizer.file import file_content

BPE = train_bpe(["the shrew, the smallest mammal, eats all day and all night — é🐁"] * 3, vocab=290)


def sentencepiece() -> Tokenizer:
    return Tokenizer(
        kind="sentencepiece",
        pieces=(b"", b" ", b"a", b" a"),
        specials={"<unk>": 0},
        merges=((1, 2, 3),),
        ranks=(0,),
        unk=0,
        space_prefix=True,
    )


@pytest.mark.parametrize(
    "tokenizer",
    [BPE, train_bpe([b"\xff\xfe\xff\xfe"], vocab=260, unicode=False), train_character(["añb"]), sentencepiece()],
    ids=["bpe", "ascii", "character", "sentencepiece"],
)
def test_what_is_saved_is_loaded(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    loaded = Tokenizer.load(path)
    assert loaded == tokenizer
    assert loaded.section() == tokenizer.section()
    assert loaded.unicode_section() == tokenizer.unicode_section()
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]


def test_the_file_can_be_read_by_people() -> None:
    text = file_content(BPE).decode()
    assert ' "specials": {"<|begin|>":0,"<|end|>":1,"<|answer|>":2}' in text
    assert '\n  "all"' in text
    assert len(text.splitlines()) > 290


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere"):
        BPE.save(tmp_path / "nowhere" / "tokenizer.json")
    with pytest.raises(TokenizerError, match="nowhere"):
        Tokenizer.load(tmp_path / "nowhere" / "tokenizer.json")


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(file_content(BPE)) | changes).encode()


def without(name: str) -> bytes:
    fields = json.loads(file_content(BPE))
    del fields[name]
    return json.dumps(fields).encode()


FIELDS = json.loads(file_content(BPE))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a Shrew tokenizer"),
        (b"{", "not a Shrew tokenizer"),
        (b"\xff\xfe\x00", "not a Shrew tokenizer"),
        (b'{"model": {"vocab": {}}}', "not a Shrew tokenizer"),
        (b"[]", "not a Shrew tokenizer"),
        (file_content(BPE)[:-10], "not a Shrew tokenizer"),
        (without("merges"), "merges"),
        (changed(version=2), "version"),
        (changed(format="other"), "format"),
        (changed(kind="wordpiece"), "kind"),
        (changed(extra=1), "extra"),
        (changed(bos=-1), "bos"),
        (changed(bos=290), "tokenizer section is malformed"),
        (changed(bos=65535), "bos"),
        (changed(bos="0"), "bos"),
        (changed(pad=0), "tokenizer section is malformed"),
        (changed(specials={"<|begin|>": 290}), "special token '<|begin|>' has the id 290"),
        (changed(specials={"<|begin|>": 3}), "must be empty"),
        (changed(pieces=[]), "special token"),
        (changed(pieces=[*FIELDS["pieces"][:-1], "x" * 256]), "token 289 has 256 bytes"),
        (changed(pieces=[*FIELDS["pieces"][:-1], [256]]), "pieces"),
        (changed(pieces=[*FIELDS["pieces"][:-1], "x"]), "tokenizer section is malformed"),
        (changed(pieces=["x"] * 70_000, specials={}), "tokenizer"),
        (changed(merges=[[0, 1]]), "merges"),
        (changed(merges=[[3, 4, 290]]), "tokenizer section is malformed"),
        (changed(merges=FIELDS["merges"] * 2), "tokenizer section is malformed"),
        (changed(merges=[[3, 3, 3]] * 70_000), "tokenizer"),
        (changed(ranks=[0]), "ranks"),
        (changed(byte_ids=None), "tokenizer section is malformed"),
        (changed(byte_ids=[3]), "byte_ids"),
        (changed(prompt_prefix=[0] * 70_000), "tokenizer"),
        (changed(space_prefix=True), "tokenizer section is malformed"),
        (changed(kind="character"), "is not one character"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(TokenizerError) as error:
        Tokenizer.load(path)
    message = str(error.value)
    assert reason in message
    assert str(path) in message
    assert "\n" not in message


def test_tokens_that_do_not_exist_are_named() -> None:
    with pytest.raises(TokenizerError, match="token 290 does not exist"):
        BPE.decode([290])
    with pytest.raises(TokenizerError, match="token -1 does not exist"):
        BPE.token_bytes(-1)
