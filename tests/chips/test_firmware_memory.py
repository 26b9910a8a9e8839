"""What a plan leaves to the firmware is what the firmware takes: the figures of its own sources."""

from __future__ import annotations

import re
from pathlib import Path

from shrew.chips.facts import FIRMWARE
from shrew.engine import MAX_STOP_BYTES

FOLDER = Path(__file__).parents[2] / "firmware"
SOURCES = {path.name: path.read_text() for path in FOLDER.glob("*/*.[ch]")}


def constant(name: str) -> int:
    """Of the enumerations of the firmware's headers."""
    texts = [text for file, text in SOURCES.items() if file.endswith(".h")]
    (found,) = {value for text in texts for value in re.findall(rf"\b{name} = (\d+(?: \* \d+)?)", text)}
    first, _, second = found.partition(" * ")
    return int(first) * int(second or 1)


def test_stacks() -> None:
    every = "\n".join(SOURCES.values())
    tasks = re.findall(r'xTaskCreate(?:PinnedToCore)?\([^,]+, "\w+", (\w+)', every) + re.findall(
        r"config\.stack_size = (\w+);", every
    )
    assert sorted(tasks) == ["BOARD_HELPER_STACK"] + 4 * ["BOARD_STACK"]
    assert FIRMWARE.tasks.value == sum(constant(name) for name in tasks)


def test_requests_without_psram() -> None:
    stop = constant("PROTOCOL_STOPS") * (MAX_STOP_BYTES + 1)
    text = constant("PROTOCOL_PROMPT_BYTES") + stop
    assert FIRMWARE.requests.value == (constant("BOARD_WAITING_SMALL") + 1) * text


def test_the_first_model_is_loaded_on_a_stack_that_is_large_enough() -> None:
    """It is the main task's, of 3,584 bytes unless somebody says more."""
    assert re.search(
        r"^CONFIG_ESP_MAIN_TASK_STACK_SIZE=(\d+)$", (FOLDER / "sdkconfig.defaults").read_text(), re.MULTILINE
    )[1] == str(constant("BOARD_STACK"))


def test_models_take_memory_when_all_else_has_it() -> None:
    started = re.findall(r"^    fw_(\w+_start)\(", SOURCES["main.c"], re.MULTILINE)
    assert started.index("models_start") > max(
        started.index(f"{one}_start") for one in ("cores", "generate", "wifi", "api", "server")
    )
