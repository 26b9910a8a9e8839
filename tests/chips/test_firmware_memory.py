"""Plans reserve exactly the memory that the firmware takes, by the figures in its sources."""

from __future__ import annotations

import re
from pathlib import Path

from shrew.chips.facts import FIRMWARE
from shrew.chips.heap import LEAST_PIECE, MOST_PIECES
from shrew.engine import MAX_STOP_BYTES

FOLDER = Path(__file__).parents[2] / "firmware"
SOURCES = {path.name: path.read_text() for path in FOLDER.glob("*/*.[ch]")}


def constant(name: str) -> int:
    """A constant from the enumerations in the firmware's headers."""
    texts = [text for file, text in SOURCES.items() if file.endswith(".h")]
    (found,) = {value for text in texts for value in re.findall(rf"\b{name} = (\d+(?: \* \d+)?)", text)}
    first, _, second = found.partition(" * ")
    return int(first) * int(second or 1)


def main_stack() -> int:
    """Stack of the task that starts everything, loads the first model and reads the console; ESP-IDF's default is 3,584
    bytes."""
    settings = (FOLDER / "sdkconfig.defaults").read_text()
    return int(re.search(r"^CONFIG_ESP_MAIN_TASK_STACK_SIZE=(\d+)$", settings, re.MULTILINE)[1])


def test_stacks() -> None:
    rows = re.findall(r'\[TASK_\w+\] = \{"(\w+)", (\w+),', SOURCES["tasks.c"])
    stacks = {name: main_stack() if size.startswith("CONFIG_") else constant(size) for name, size in rows}
    assert list(stacks) == ["main", "generate", "jobs", "httpd", "helper"]
    assert FIRMWARE.helper.value == stacks.pop("helper")
    assert FIRMWARE.tasks.value == sum(stacks.values())
    every = "\n".join(SOURCES.values())
    assert len(re.findall(r"\bxTaskCreate\w*\(", every)) == 1, "a task whose stack nobody counts"


def test_what_models_leave() -> None:
    assert FIRMWARE.reserve.value == constant("BOARD_RESERVE")
    assert FIRMWARE.psram_reserve.value == constant("BOARD_PSRAM_RESERVE")
    assert constant("BOARD_ARENA_PIECES") == MOST_PIECES
    assert constant("BOARD_LEAST_PIECE") == LEAST_PIECE


def test_requests_without_psram() -> None:
    stop = constant("PROTOCOL_STOPS") * (MAX_STOP_BYTES + 1)
    text = constant("PROTOCOL_PROMPT_BYTES") + stop
    assert FIRMWARE.requests.value == (constant("BOARD_WAITING_SMALL") + 1) * text


def test_models_take_memory_when_all_else_has_it() -> None:
    started = re.findall(r"^    fw_(\w+_start)\(", SOURCES["main.c"], re.MULTILINE)
    others = ("settings", "actions", "cores", "generate", "wifi", "api", "server", "terminal")
    assert started[-2:] == ["memory_start", "models_start"]
    assert {f"{one}_start" for one in others} <= set(started)
