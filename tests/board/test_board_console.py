"""Talking with a board: shrew chat --port and shrew monitor, against a console behind a pseudo-terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from board.conftest import Run
from board.console import Firmware
from board.emulated import Board, message
from board.terminal import Terminal

from shrew.board import console
from shrew.board.console import Console
from shrew.board.ports import open_port
from shrew.engine import Sampling
from shrew.errors import BoardError, DataError


@pytest.fixture
def firmware(board: Board, models: list[Path], run: Run) -> Firmware:
    """The console of a board with a model."""
    run("flash", models[0], "--port", board.device)
    board.console = Firmware(board.flash, {"hello": "Hi there, dear friend.", "größe": "Groß: „1“"})
    return board.console


@pytest.fixture
def line(board: Board, firmware: Firmware) -> Iterator[Console]:
    with Console(open_port(board.device)) as line:
        yield line


def test_an_answer_comes_in_steps_as_from_a_session(line: Console, firmware: Firmware) -> None:
    steps = list(line.generate("hello", sampling=Sampling(temperature=0.5, top_k=3), seed=7, max_tokens=9))
    assert len(steps) > 3
    assert "".join(step.text for step in steps) == "Hi there, dear friend."
    assert (steps[-1].finish, steps[-1].tokens, steps[-1].digest) == ("end", 4, 0x0BADCAFE)
    asked = firmware.asked[0]
    assert (asked["temperature"], asked["top_k"], asked["seed"], asked["max_tokens"]) == (0.5, 3, 7, 9)


def test_what_is_not_given_is_left_to_the_boards_defaults(line: Console, firmware: Firmware) -> None:
    list(line.generate("hello"))
    assert firmware.asked[0].keys() == {"type", "id", "prompt"}


def test_an_answer_that_nobody_reads_on_is_cancelled_and_the_next_is_whole(line: Console, firmware: Firmware) -> None:
    answer = line.generate("wait")
    assert next(answer).text == "once"
    answer.close()
    assert firmware.cancelled == [firmware.asked[0]["id"]]
    assert "".join(step.text for step in line.generate("hello")).startswith("Hi there")


def test_output_that_is_no_message_does_not_disturb(board: Board, firmware: Firmware) -> None:
    said: list[str] = []
    with Console(open_port(board.device), said.append) as line:
        answer = line.generate("wait")
        board.say('I (812) wifi: connected\r\n> > {"broken\r\n{"type": no JSON\r\n{"type":"done","id":1}\r\n')
        assert next(answer).text == "once"
        answer.close()
        assert list(line.generate("hello"))[-1].finish == "end"
    assert said == ["I (812) wifi: connected", '{"broken', '{"type": no JSON', '{"type":"done","id":1}']


def test_a_question_that_the_board_refuses_is_the_questions_fault(line: Console) -> None:
    with pytest.raises(DataError, match="a character has no token"):
        list(line.generate("§"))
    line.info()
    with pytest.raises(DataError, match="the board takes 4,096"):
        list(line.generate("x" * 5000))
    assert list(line.generate("hello"))


def test_a_question_that_is_garbled_on_the_line_is_not_waited_for(line: Console, board: Board) -> None:
    answer = line.generate("wait")
    assert next(answer).text == "once"
    board.say(message(type="error", id=None, code="json", message="no JSON object"))
    board.say("\r\n")
    with pytest.raises(DataError, match="no JSON object"):
        next(answer)


def test_a_board_that_restarts_or_falls_silent_in_an_answer_is_noticed(
    line: Console, firmware: Firmware, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(console, "_RESTART_SECONDS", -1e6)
    with pytest.raises(BoardError, match="restarted in the middle of an answer"):
        list(line.generate("wait"))
    board.console = lambda line: []
    with pytest.raises(BoardError, match="fallen silent"):
        list(line.generate("wait"))


# shrew chat --port


def ask(run: Run, monkeypatch: pytest.MonkeyPatch, questions: bytes, *arguments: str, code: int = 0) -> str:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(questions)))
    return run(*arguments, code=code)


def test_chat_answers_each_line_of_the_input(
    board: Board, firmware: Firmware, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ask(run, monkeypatch, "hello\n\ngröße\n".encode(), "chat", "--port", board.device)
    assert out == "Hi there, dear friend.\nGroß: „1“\n"


def test_chat_needs_an_image_or_a_port_and_what_a_board_takes(
    board: Board, models: list[Path], run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["chat"], ["chat", str(models[0]), "--port", "p"], ["chat", "--port", "p", "--draft", "2"]):
        monkeypatch.setattr(sys, "argv", ["shrew", *arguments])
        from shrew.cli import main

        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
    assert "--port of a board" in capsys.readouterr().err


def test_chat_with_a_board_that_has_no_model(board: Board, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ask(run, monkeypatch, b"hello\n", "chat", "--port", board.device, code=1)
    assert "the board has no model; write one with shrew flash MODEL" in line


# shrew monitor


def test_monitor_with_a_pipe_asks_and_commands(
    board: Board, firmware: Firmware, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ask(run, monkeypatch, b"hello\n/status\n/ask hello\n", "monitor", "--port", board.device)
    hi = "Hi there, dear friend."
    assert out.splitlines() == [hi, "shrew 0.1.0 on esp32s3", "speed    12.0 tokens/s", hi]
    assert firmware.lines == ["status"]


def test_monitor_at_a_terminal(board: Board, firmware: Firmware, tmp_path: Path) -> None:
    with Terminal("monitor", "--port", board.device, home=tmp_path) as terminal:
        terminal.wait_for("desk · ")
        terminal.wait_for("› ")
        terminal.type("hel")
        terminal.wait_for("hel")
        board.say("W (99) wifi: gone\r\n")
        shown = terminal.wait_for("› hel")
        assert "W (99) wifi: gone\r\n" in shown, "above what is being typed"
        terminal.type("lo\n")
        terminal.wait_for("Hi there, dear friend.")
        terminal.wait_for("4 tokens")
        terminal.type("wait\n")
        terminal.wait_for("once")
        terminal.type("\x03")
        terminal.wait_for("…")
        terminal.wait_for("› ")
        terminal.type("\x1b[A\x1b[A\n")  # the history
        terminal.wait_for("4 tokens")
        terminal.wait_for("› ")
        terminal.type("\x04")
        assert terminal.ends() == 0


def test_the_history_outlasts_the_monitor_but_passwords_do_not(
    board: Board, firmware: Firmware, tmp_path: Path
) -> None:
    with Terminal("monitor", "--port", board.device, home=tmp_path) as terminal:
        terminal.wait_for("› ")
        terminal.type("hello\n")
        terminal.wait_for("› ")
        terminal.type(" /WiFi join attic very-secret\n")
        terminal.wait_for("› ")
        terminal.type("\x04")
        assert terminal.ends() == 0
    assert (tmp_path / "shrew" / "history").read_text() == "hello\n"
    with Terminal("monitor", "--port", board.device, home=tmp_path) as terminal:
        terminal.wait_for("› ")
        terminal.type("\x1b[A\n")
        terminal.wait_for("Hi there, dear friend.")
        terminal.wait_for("› ")
        terminal.type("\x04")
        assert terminal.ends() == 0


def test_monitor_waits_for_a_board_that_was_unplugged(tmp_path: Path, models: list[Path]) -> None:
    port = tmp_path / "ttyUSB0"
    with Board() as board:
        board.console = Firmware(board.flash, {"hello": "Hi."})
        board.console.info = lambda: {  # type: ignore[method-assign]
            "type": "info", "version": "0.1.0", "model": None, "limits": {"message_bytes": 4096}, "uptime_s": 500
        }  # fmt: skip
        port.symlink_to(board.device)
        with Terminal("monitor", "--port", str(port), home=tmp_path) as terminal:
            terminal.wait_for("no model")
            terminal.wait_for("› ")
            port.unlink()
            board.pull()
            terminal.wait_for("the board is gone; plug it in again")
            with Board() as again:
                again.console = board.console
                port.symlink_to(again.device)
                terminal.wait_for("no model")
                terminal.type("hello\n")
                terminal.wait_for("Hi.")
                terminal.wait_for("› ")
                terminal.type("\x04")
                assert terminal.ends() == 0
