"""Flashing, with a boot loader emulated behind a pseudo-terminal."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from board.conftest import Run
from board.console import Firmware
from board.emulated import Board
from board.flashes import ROOM, SLOTS, TABLE, Device, boot_loader, build_folder
from engine.models import random_image

from shrew.board import bootloader, start
from shrew.board.partitions import TABLE_OFFSET
from shrew.board.slots import SECTOR
from shrew.shipped import FOLDER


def flash_of(board: Board, label: str, size: int) -> bytes:
    start_of = SLOTS[label] + SECTOR
    return bytes(board.flash.bytes[start_of : start_of + size])


@pytest.mark.parametrize("loader", ["--stub", "--no-stub"])
@pytest.mark.parametrize("chip", ["ESP32", "ESP32-S3", "ESP32-C3"])
def test_a_flashed_model_is_the_one_that_the_device_starts_with(
    chip: str, loader: str, models: list[Path], run: Run
) -> None:
    with Board(chip) as board:
        board.flash.put(TABLE_OFFSET, TABLE)
        board.console = Firmware(board.flash)
        result = json.loads(run("flash", models[0], "--port", board.device, loader, "--json"))
    assert (result["chip"], result["flash_bytes"], result["slot"]) == (chip, 4 << 20, 0)
    assert result["info"]["model"]["name"] == "desk"
    assert flash_of(board, "model_a", result["bytes"]) == models[0].read_bytes()
    assert Device(board.flash).boot() == "desk"


def test_a_model_that_comes_with_shrew_may_be_named(board: Board, run: Run) -> None:
    result = json.loads(run("flash", "desk", "--port", board.device, "--json"))
    assert flash_of(board, "model_a", result["bytes"]) == (FOLDER / "desk.bin").read_bytes()
    assert Device(board.flash).boot() == "desk"


def test_models_take_turns_in_the_slots_and_the_newest_but_one_stays(
    board: Board, models: list[Path], run: Run
) -> None:
    results = [json.loads(run("flash", path, "--port", board.device, "--json")) for path in models]
    assert [result["slot"] for result in results] == [0, 1, 0]
    assert [(result["replaced"], result["kept"]) for result in results] == [
        (None, None), (None, "desk"), ("desk", "story")
    ]  # fmt: skip
    assert Device(board.flash).boot() == "lamp"
    assert Device(board.flash).boot("story") == "story"


def test_a_model_that_was_uploaded_over_the_air_is_seen(board: Board, models: list[Path], run: Run) -> None:
    device = Device(board.flash)
    device.upload("aired", models[0].read_bytes())
    result = json.loads(run("flash", models[1], "--port", board.device, "--name", "w" * 32, "--json"))
    assert (result["slot"], result["kept"]) == (1, "aired")
    assert Device(board.flash).boot() == "w" * 32


def test_a_board_that_was_told_to_load_another_model_is_told_to_load_this_one(
    board: Board, models: list[Path], run: Run
) -> None:
    run("flash", models[0], "--port", board.device)
    board.console = Firmware(board.flash, keeps_to="desk")
    assert "answers with story, self-test passed" in run("flash", models[1], "--port", board.device)


def test_a_chosen_slot_is_written_to(board: Board, models: list[Path], run: Run) -> None:
    run("flash", models[0], "--port", board.device, "--slot", 1)
    assert flash_of(board, "model_b", 64) == models[0].read_bytes()[:64]


def test_what_is_too_large_is_refused_by_how_much_and_nothing_is_erased(board: Board, tmp_path: Path, run: Run) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(random_image(dim=128, ffn=1024, layers=1, context=512))
    size = large.stat().st_size
    assert size > ROOM
    line = run("flash", large, "--port", board.device, code=1)
    assert f"large has {size:,} bytes" in line
    assert f"room for {ROOM:,}: {size - ROOM:,} too many" in line
    assert not board.flash.erased


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_pulled_cable_leaves_the_newest_model_and_the_command_can_be_repeated(
    share: float, board: Board, models: list[Path], run: Run
) -> None:
    for path in models[:2]:
        run("flash", path, "--port", board.device)
    board.cut_at = board.written + 64 + round(share * models[2].stat().st_size)
    line = run("flash", models[2], "--port", board.device, code=1)
    assert line.endswith("the connection was lost; see to the cable and repeat; the board still has story")
    assert Device(board.flash).boot("desk") == "story"
    with Board() as again:
        again.flash.put(0, bytes(board.flash.bytes))
        again.console = Firmware(again.flash)
        run("flash", models[2], "--port", again.device)
    assert Device(again.flash).boot() == "lamp"


def test_a_header_cut_off_is_no_header(board: Board, models: list[Path], run: Run) -> None:
    """The header is written last. Whatever part of it was written, the device loads the old model or the new one."""
    run("flash", models[0], "--port", board.device)
    before = bytes(board.flash.bytes)
    for cut in random.Random(0).sample(range(64), 4):
        with Board() as other:
            other.flash.put(0, before)
            other.cut_at = 64 + models[1].stat().st_size + cut
            run("flash", models[1], "--port", other.device, code=1)
        assert Device(other.flash).boot() == "desk"


def test_what_reads_back_wrong_never_becomes_a_model(board: Board, models: list[Path], run: Run) -> None:
    run("flash", models[0], "--port", board.device)
    board.damages = True
    line = run("flash", models[1], "--port", board.device, code=1)
    assert "MD5 of file does not match data in flash" in line
    assert Device(board.flash).boot() == "desk"


def test_a_bad_image_is_refused_before_the_board_is_touched(
    board: Board, models: list[Path], tmp_path: Path, run: Run
) -> None:
    bad = bytearray(models[0].read_bytes())
    bad[len(bad) // 2] ^= 1
    (tmp_path / "bad.bin").write_bytes(bad)
    assert "the image is damaged" in run("flash", tmp_path / "bad.bin", "--port", board.device, code=1)
    assert not board.is_stub


def test_a_file_whose_name_is_no_models_name_needs_one(
    board: Board, models: list[Path], tmp_path: Path, run: Run
) -> None:
    odd = tmp_path / "mein Modell.bin"
    odd.write_bytes(models[0].read_bytes())
    assert "--name" in run("flash", odd, "--port", board.device, code=1)
    run("flash", odd, "--port", board.device, "--name", "mein-modell")
    assert Device(board.flash).boot() == "mein-modell"


# Firmware


def test_firmware_and_a_model_go_onto_an_empty_chip(models: list[Path], tmp_path: Path, run: Run) -> None:
    folder = build_folder(tmp_path)
    with Board() as board:
        board.console = Firmware(board.flash)
        result = json.loads(run("flash", models[0], "--firmware", folder, "--port", board.device, "--json"))
    assert [part["offset"] for part in result["firmware"]] == [0, 0x8000, 0x10000]
    app = (folder / "shrew.bin").read_bytes()
    assert bytes(board.flash.bytes[0x10000 : 0x10000 + len(app)]) == app
    assert Device(board.flash).boot() == "desk"


def test_new_firmware_leaves_models_where_they_are(board: Board, models: list[Path], tmp_path: Path, run: Run) -> None:
    run("flash", models[0], "--port", board.device)
    said = run("flash", "--firmware", build_folder(tmp_path), "--port", board.device)
    assert "answers with desk" in said
    assert Device(board.flash).boot() == "desk"


def test_a_merged_binary_is_firmware(models: list[Path], tmp_path: Path, run: Run) -> None:
    merged = tmp_path / "merged.bin"
    merged.write_bytes(boot_loader("ESP32-C3").ljust(0x8000, b"\xff") + TABLE.ljust(0x8000, b"\xff") + b"application")
    with Board("ESP32-C3") as board:
        board.console = Firmware(board.flash)
        run("flash", models[0], "--firmware", merged, "--port", board.device)
    assert bytes(board.flash.bytes[: merged.stat().st_size]) == merged.read_bytes()


def test_firmware_for_another_chip_or_a_larger_flash_is_refused(board: Board, tmp_path: Path, run: Run) -> None:
    other = build_folder(tmp_path / "c3", "ESP32-C3")
    line = run("flash", "--firmware", other, "--port", board.device, code=1)
    assert line.endswith("made for the ESP32-C3, and the board has an ESP32-S3")
    larger = build_folder(tmp_path / "8mb", flash_bytes=8 << 20)
    line = run("flash", "--firmware", larger, "--port", board.device, code=1)
    assert f"made for {8 << 20:,} bytes of flash, and the board has {4 << 20:,}: {4 << 20:,} too few" in line
    assert not board.flash.erased


def test_what_is_no_whole_firmware_is_refused(tmp_path: Path, run: Run) -> None:
    (tmp_path / "app.bin").write_bytes(boot_loader())
    assert "not a whole firmware" in run("flash", "--firmware", tmp_path / "app.bin", code=1)
    assert "flasher_args.json" in run("flash", "--firmware", tmp_path, code=1)
    (tmp_path / "flasher_args.json").write_text('{"flash_files": {"0x0": "gone.bin"}}')
    assert "gone.bin: No such file" in run("flash", "--firmware", tmp_path, code=1)
    (tmp_path / "flasher_args.json").write_text('["nothing"]')
    assert "not what ESP-IDF writes" in run("flash", "--firmware", tmp_path, code=1)


# The partition table on the board


def test_a_board_without_a_table_or_with_a_damaged_one_is_refused(models: list[Path], run: Run) -> None:
    damaged = bytearray(TABLE)
    damaged[70] ^= 1
    for table, what in ((b"\xff" * 0xC00, "there is no partition table"), (damaged, "the partition table is damaged")):
        with Board() as board:
            board.flash.put(TABLE_OFFSET, bytes(table))
            line = run("flash", models[0], "--port", board.device, code=1)
        assert what in line
        assert "--firmware" in line
        assert not board.flash.erased


def test_a_table_without_model_slots_is_refused(models: list[Path], run: Run) -> None:
    with Board() as board:
        board.flash.put(TABLE_OFFSET, TABLE[: 3 * 32])
        assert "no model partition (model_a, model_b" in run("flash", models[0], "--port", board.device, code=1)


def test_slots_beyond_the_end_of_the_flash_are_refused(models: list[Path], run: Run) -> None:
    with Board(flash_bytes=2 << 20) as board:
        board.flash.put(TABLE_OFFSET, TABLE)
        line = run("flash", models[0], "--port", board.device, "--slot", 1, code=1)
    assert "model_b ends at 4,128,768, and the board's flash at 2,097,152" in line


def test_an_encrypted_flash_is_left_alone(board: Board, models: list[Path], run: Run) -> None:
    board.registers[0x60007034] = 1 << 18  # an odd number of bits in SPI_BOOT_CRYPT_CNT
    assert "locked or encrypted" in run("flash", models[0], "--port", board.device, code=1)
    assert not board.flash.erased


# Failures of the connection


def test_a_boot_loader_that_does_not_answer(
    board: Board, models: list[Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootloader, "ATTEMPTS", 1)
    board.deaf = True
    assert "hold the board's BOOT button" in run("flash", models[0], "--port", board.device, code=1)


def test_a_board_that_is_silent_after_flashing_is_told_of(
    board: Board, models: list[Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "BOOT_SECONDS", 0.5)
    board.console = lambda line: []
    assert "has not answered yet: press its RESET" in run("flash", models[0], "--port", board.device)
    assert Device(board.flash).boot() == "desk"
