"""Memories on the command line: learnt by train, stored by quantize, extended by remember, shown by inspect."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shrew.cli import shrew
from shrew.corpus.documents import response_document
from shrew.engine import Model
from shrew.errors import ShrewError
from shrew.image import read_parameters, stored_memory
from shrew.run import refusal_of

GATE = """
Q: How do I open the gate?
Q: open the gate please
Q: What opens the gate?
Test: how can the gate be opened
A: Press the green button twice.

Q: Light on.
Q: turn on the light
Test: switch the light on
Do: light on
"""
MORE = """
Q: Where is the key?
Q: who has the key
Test: where can I find the key
A: The key hangs behind the door.
"""


def run(*arguments: object) -> str:
    done = CliRunner().invoke(shrew, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def refused(*arguments: object) -> str:
    """The one line of an error."""
    with pytest.raises(ShrewError) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two questions, and data to add."""
    folder = tmp_path_factory.mktemp("memory")
    (folder / "gate.txt").write_text(GATE)
    (folder / "more.txt").write_text(MORE)
    small = ("--preset", "nano")
    run("train", "--data", folder / "gate.txt", "--out", folder / "gate", "--steps", 2, *small)
    run("quantize", folder / "gate", "-o", folder / "gate.bin")
    return folder


def answer(image: Path, question: str) -> str:
    return Model.open(image).generate(question)


def inspected(image: Path) -> Any:
    return json.loads(run("inspect", image, "--json"))


def test_a_run_of_questions_and_answers_has_a_memory(folder: Path) -> None:
    about = json.loads((folder / "gate" / "memory.json").read_text())
    assert about["refusal"] == "I don't know that."
    image = folder / "gate.bin"
    for question in ("How do I open the gate?", "HOW CAN THE GATE BE OPENED", "open teh gate"):
        assert answer(image, question) == "Press the green button twice."
    assert answer(image, "Switch the light on!") == "Do: light on"
    assert answer(image, "Who won the world cup in 1998?") == "I don't know that."
    assert inspected(image)["memory"]["answers"] == 2
    assert "a memory of 2 answers" in run("inspect", image)


def test_text_has_none(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("Once upon a time.\n<|endoftext|>\nThe end.\n" * 9)
    run("train", "--preset", "microgpt", "--data", tmp_path / "text.txt", "--out", tmp_path / "run", "--steps", 2)
    assert not (tmp_path / "run" / "memory.bin").exists()
    run("quantize", tmp_path / "run", "-o", tmp_path / "text.bin")
    assert inspected(tmp_path / "text.bin")["memory"] is None


def test_it_can_be_left_out_or_made_smaller(folder: Path, tmp_path: Path) -> None:
    run("quantize", folder / "gate", "-o", tmp_path / "off.bin", "--memory", "off")
    alone = Model.open(tmp_path / "off.bin")
    assert stored_memory(alone) is None
    assert ("refusal", "I don't know that.") in alone.metadata()  # which its commands may need
    run("quantize", folder / "gate", "-o", tmp_path / "small.bin", "--memory", "20KB")
    memory = inspected(tmp_path / "small.bin")["memory"]
    assert memory["bytes"] <= 20_000 < inspected(folder / "gate.bin")["memory"]["bytes"]
    assert answer(tmp_path / "small.bin", "how can the gate be opened") == "Press the green button twice."


@pytest.mark.parametrize("size", ["", "small", "10", "-5KB"])
def test_a_size_that_cannot_be_is_one_line(folder: Path, tmp_path: Path, size: str) -> None:
    assert "memory" in refused("quantize", folder / "gate", "-o", tmp_path / "x.bin", "--memory", size)
    assert not (tmp_path / "x.bin").exists()


def test_its_own_refusal_is_said(folder: Path, tmp_path: Path) -> None:
    run("quantize", folder / "gate", "-o", tmp_path / "x.bin", "--refusal", "Ask me about the gate.")
    assert answer(tmp_path / "x.bin", "what is the capital of France") == "Ask me about the gate."


def test_a_memory_that_is_broken_is_named(folder: Path, tmp_path: Path) -> None:
    memory = folder / "gate" / "memory.bin"
    whole = memory.read_bytes()
    try:
        for broken in (b"", whole[:60], b"\0" * 48):
            memory.write_bytes(broken)
            assert "memory" in refused("quantize", folder / "gate", "-o", tmp_path / "x.bin")
    finally:
        memory.write_bytes(whole)


def test_remember_adds_answers_and_changes_nothing_else(folder: Path, tmp_path: Path) -> None:
    old, new = folder / "gate.bin", tmp_path / "new.bin"
    before = old.read_bytes()
    told = json.loads(
        run("remember", old, "--data", folder / "more.txt", "--check", folder / "gate.txt", "-o", new, "--json")
    )
    assert (told["added"], told["right"], told["checked"], told["changed"]) == (2, 2, 7, [])
    assert answer(new, "Where is the KEY") == "The key hangs behind the door."
    assert answer(new, "how can the gate be opened") == "Press the green button twice."
    assert old.read_bytes() == before
    models = Model.open(old), Model.open(new)
    parameters = [read_parameters(model) for model in models]
    assert all((parameters[0][name] == parameters[1][name]).all() for name in parameters[0])
    assert models[0].metadata() == models[1].metadata()
    assert "2 questions added" in run("remember", old, "--data", folder / "more.txt", "-o", new)


def test_remember_needs_a_memory_and_questions(folder: Path, tmp_path: Path) -> None:
    run("quantize", folder / "gate", "-o", tmp_path / "off.bin", "--memory", "off")
    wanted = ("-o", tmp_path / "x.bin", "--data")
    assert "no memory" in refused("remember", tmp_path / "off.bin", *wanted, folder / "more.txt")
    (tmp_path / "text.txt").write_text("Just a text.\n")
    assert "no questions" in refused("remember", folder / "gate.bin", *wanted, tmp_path / "text.txt")
    assert not (tmp_path / "x.bin").exists()


def test_a_correction_is_remembered(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.txt").write_text("Q: shut it\nDo: light on\nNot: Press the green button twice.\n")
    run("correct", folder / "gate", "--data", tmp_path / "wrong.txt", "--out", tmp_path / "better", "--steps", 2)
    run("quantize", tmp_path / "better", "-o", tmp_path / "better.bin")
    assert answer(tmp_path / "better.bin", "shut it") == "Do: light on"
    assert answer(tmp_path / "better.bin", "turn on the light") == "Do: light on"


def test_what_is_remembered_can_be_changed(folder: Path, tmp_path: Path) -> None:
    data, once, twice = tmp_path / "code.txt", tmp_path / "once.bin", tmp_path / "twice.bin"
    data.write_text("Q: what is the code\nA: One.\n")
    run("remember", folder / "gate.bin", "--data", data, "-o", once)
    data.write_text("Q: What is the code?\nA: Two.\n")
    run("remember", once, "--data", data, "-o", twice)
    assert (answer(once, "what is the code"), answer(twice, "what is the code")) == ("One.", "Two.")
    memories = [stored_memory(Model.open(image)) for image in (once, twice)]
    assert [memory and len(memory.keys) for memory in memories] == [memories[0] and len(memories[0].keys)] * 2


def test_a_command_that_the_grammar_lacks_is_not_remembered(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "horn.txt"
    data.write_text("Q: sound the horn\nDo: horn on\n")
    assert "horn on" in refused("remember", folder / "gate.bin", "--data", data, "-o", tmp_path / "x.bin")


def test_a_check_that_cannot_be_read_leaves_the_image(folder: Path, tmp_path: Path) -> None:
    image = tmp_path / "in.bin"
    image.write_bytes((folder / "gate.bin").read_bytes())
    before = image.read_bytes()
    refused("remember", image, "--data", folder / "more.txt", "--check", tmp_path / "nosuch.txt", "-o", image)
    assert image.read_bytes() == before


def test_a_corpus_s_refusal_is_a_text_that_very_many_questions_share() -> None:
    facts = [response_document(f"question {i}", f"Answer {i}.") for i in range(200)]
    light = [response_document(f"light {i}", "Do: light on") for i in range(300)]
    hello = [response_document(f"hello {i}", "Hello!") for i in range(40)]
    strange = [response_document(f"strange {i}", "I only know the gate.") for i in range(120)]
    assert refusal_of([*facts, *light, *hello]) is None
    assert refusal_of([*facts, *light, *hello, *strange]) == "I only know the gate."
    assert refusal_of([]) is None


def test_a_memory_of_another_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "gate", tmp_path / "run")
    tokenizer = tmp_path / "run" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert "another tokenizer" in refused("quantize", tmp_path / "run", "-o", tmp_path / "x.bin")
    run("quantize", tmp_path / "run", "-o", tmp_path / "x.bin", "--memory", "off")
