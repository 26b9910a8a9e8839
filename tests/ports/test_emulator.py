"""The ports run the engine bare, under QEMU, and give the bits that the reference on this machine gives."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from engine.models import random_image

from shrew.cli import shrew
from shrew.engine import units
from shrew.errors import PortError, ToolsMissingError
from shrew.image import WeightType
from shrew.ports import EMULATED, Host, Job, Target, make_bundle, parse_lines
from shrew.ports.emulator import place_literals
from shrew.ports.target import SMALL
from shrew.ports.vectors import differences, load

ROOT = Path(__file__).parents[2]
# Optimised, unrolled kernels with a check at every access take the compiler minutes.
SANITIZED = Host(name="host-sanitized", flags=("-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"))
TARGETS = {target.name: target for target in (Host(), SANITIZED, *EMULATED.values())}

HEADER_BYTES, JOB_BYTES = 16, 128
IMAGE = random_image(types=WeightType("q8", 16))
JOB = Job(image=IMAGE, prompt=[1, 2, 3], tokens=4, stops=["end"], trace=True)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    return ready(TARGETS[request.param])


@pytest.fixture(params=EMULATED)
def emulated(request: pytest.FixtureRequest) -> Target:
    return ready(EMULATED[request.param])


def ready(target: Target) -> Target:
    try:
        target.require_tools()
    except ToolsMissingError as missing:
        pytest.skip(str(missing))
    return target


def test_all_vectors_are_identical(target: Target) -> None:
    assert differences(target, load()) == []


#: SHREW_E_ARGUMENT, SHREW_E_UNKNOWN, SHREW_E_UNICODE, SHREW_E_TYPE.
REFUSALS = (-1, -27, -31, -33)


@pytest.mark.parametrize("name", ["host", *EMULATED])
def test_the_small_build_gives_the_same_bits_or_refuses(name: str) -> None:
    vectors = load()
    outcomes = ready(TARGETS[name]).run([vector.job for vector in vectors], variant=SMALL)
    run = [pair for pair in zip(vectors, outcomes, strict=True) if pair[1].result["status"] not in REFUSALS]
    assert len(run) >= len(vectors) // 3
    for vector, outcome in run:
        assert {field: outcome.result[field] for field in vector.expected} == vector.expected, vector.name


def test_the_engine_is_as_small_as_promised() -> None:
    target = ready(EMULATED["rv32imc"])
    assert target.size().code <= 44_000
    assert target.size(SMALL).code <= 20 * 1024


@pytest.mark.parametrize("unit", units().values(), ids=units())
def test_all_vectors_are_identical_with_every_kernel_of_this_processor(unit: int) -> None:
    assert differences(SANITIZED, load(), unit=unit) == []


def test_a_difference_names_the_vector_the_field_and_the_reason() -> None:
    vector = load()[0]
    wrong = msgspec.structs.replace(vector, expected={**vector.expected, "logits_digest": "deadbeef"})
    (line,) = differences(Host(), [wrong])
    assert line.startswith(f"host: {vector.name}: logits_digest is {vector.expected['logits_digest']}")
    assert vector.reason in line


def test_the_vectors_are_what_the_reference_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools/make_vectors.py", tmp_path], check=True)
    files = {path.name: path.read_bytes() for path in (ROOT / "vectors").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_instruction_counts_repeat(emulated: Target) -> None:
    first, second = emulated.run([JOB, JOB])
    (alone,) = emulated.run([JOB])
    assert first.steps == second.steps == alone.steps
    assert all((step.instructions or 0) > 1000 for step in first.steps)


def test_a_longer_context_costs_more_instructions_and_no_more_stack(emulated: Target) -> None:
    (outcome,) = emulated.run([msgspec.structs.replace(JOB, tokens=40)])
    counts = [step.instructions or 0 for step in outcome.steps[1:]]
    assert counts[-1] > counts[0]
    assert 0 < (outcome.stack_bytes or 0) < 8192


def test_the_engine_has_no_variables_and_its_code_is_known(emulated: Target) -> None:
    size = emulated.size()
    assert size.static == 0
    assert size.code > 10_000
    assert size.runtime > 0


def test_a_session_takes_no_more_memory_than_here(emulated: Target) -> None:
    (here,), (there,) = Host().run([JOB]), emulated.run([JOB])
    assert 0 < (there.session_bytes or 0) <= (here.session_bytes or 0)


def edited(offset: int, value: int) -> Callable[[], bytes]:
    """A bundle of one job with a word overwritten."""

    def make() -> bytes:
        bundle = bytearray(make_bundle([JOB]))
        struct.pack_into("<I", bundle, offset, value)
        return bytes(bundle)

    return make


def job_word(index: int) -> int:
    return HEADER_BYTES + 4 * index


HOSTILE = {
    "nothing": (lambda: b"", "there is none"),
    "another-magic": (edited(0, 0x12345678), "there is none"),
    "more-jobs-than-bytes": (edited(4, 0xFFFFFFFF), "more jobs than"),
    "larger-than-memory": (edited(8, 0xFFFFFFF0), "larger than the memory"),
    "smaller-than-its-header": (edited(8, 8), "smaller than its header"),
    "unknown-mode": (edited(job_word(0), 9), "job 0: a field has a value"),
    "image-outside": (edited(job_word(2), 0xFFFFFFF0), "job 0: its image lies outside"),
    "prompt-outside": (edited(job_word(4), 0xFFFFFFFE), "job 0: its prompt lies outside"),
    "half-an-id": (edited(job_word(5), 3), "job 0: its prompt is not a list of ids"),
    "stops-outside": (edited(job_word(7), 0xFFFFFFFF), "job 0: its stop strings lie outside"),
    "a-stop-without-end": (edited(job_word(7), 3), "job 0: its last stop string has no end"),
    "reserved-field": (edited(job_word(31), 1), "job 0: a field has a value"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_ends_in_one_clear_line(target: Target, name: str) -> None:
    make, reason = HOSTILE[name]
    with pytest.raises(PortError, match=reason):
        target.run_bundle(make(), timeout=60)


@pytest.mark.parametrize("bytes_left", [0, 12, 100, 1000])
def test_a_bundle_that_was_cut_off_is_refused(bytes_left: int) -> None:
    """An emulator cannot know how much was loaded; a file has an end."""
    with pytest.raises(PortError, match="bundle: "):
        SANITIZED.run_bundle(make_bundle([JOB])[:bytes_left])


def test_images_and_prompts_that_the_engine_refuses_are_results(target: Target) -> None:
    damaged = IMAGE[:-1] + bytes([IMAGE[-1] ^ 1])
    jobs = [
        Job(image=damaged, prompt=[1], tokens=1),
        Job(image=b"", prompt=[1], tokens=1),
        Job(image=IMAGE, prompt=[0xFFFF], tokens=1),
        Job(image=IMAGE, tokens=1, prompt=[1], temperature=float("nan")),
        Job(image=IMAGE, mode="text", raw=True, prompt="x" * 100_000),
    ]
    assert [outcome.result["status"] for outcome in target.run(jobs)] == [-24, -20, -1, -1, -4]


def test_a_program_that_does_not_end_is_stopped(emulated: Target) -> None:
    emulated.program()
    with pytest.raises(PortError, match="not done after"):
        emulated.run([JOB], timeout=0)


@pytest.mark.parametrize(
    "lines",
    [[], ["job 0 status 0"], ["job 0 status 0", "done 2"], ["error exception 00000009 at 0000265e"], ["gibberish"]],
)
def test_output_that_stops_early_is_an_error(lines: list[str]) -> None:
    with pytest.raises(PortError):
        parse_lines(lines)


def test_literals_become_aligned_sections_without_repeats() -> None:
    assembly = "\t.literal_position\n\t.literal .LCPI4_0, 65535\n\t.literal .LCPI4_1, memset\n"
    assembly += "\t.literal .LCPI4_2, 65535\n\t.text\n\tl32r\ta8, .LCPI4_2\n"
    placed = place_literals(assembly)
    assert ".literal_position" not in placed
    assert placed.count(".long 65535") == 1
    assert "l32r\ta8, .LCPI4_0" in placed
    assert placed.index(".section .literal.4") < placed.index(".p2align 2") < placed.index(".LCPI4_1:")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(IMAGE)
    return path


def test_bench_reports_every_figure_and_keeps_a_history(emulated: Target, image: Path, tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    arguments = ["bench", "--emulate", emulated.name, "--model", str(image), "--json", "--record", str(history)]
    result = CliRunner().invoke(shrew, arguments, catch_exceptions=False)
    (row,) = json.loads(result.stdout)["targets"]
    assert row["target"] == emulated.name
    assert row["vectors_identical"] is True
    assert row["static_bytes"] == 0
    figures = ("instructions_per_token", "instructions_per_prompt_token", "code_bytes", "session_bytes", "stack_bytes")
    assert all(row[figure] > 0 for figure in figures)
    assert row["at_1"] < row["instructions_per_token"]
    assert "at_64" not in row, "the model's context is 48"
    (line,) = history.read_text().splitlines()
    assert json.loads(line).items() >= row.items()


def test_bench_here_reports_speed(image: Path) -> None:
    result = CliRunner().invoke(shrew, ["bench", str(image), "--repeats", "1", "--json"], catch_exceptions=False)
    figures = json.loads(result.stdout)
    assert figures["context"] == 48
    assert all(figures[name] > 0 for name in ("decode_tok_per_s", "prompt_tok_per_s", "session_bytes"))
    for times in figures["us_per_token"].values():
        assert times["by_operator"]["qkv"] > 0
        assert len(times["by_layer"]) == 2
    table = CliRunner().invoke(shrew, ["bench", str(image), "--repeats", "1"], catch_exceptions=False).stdout
    assert {"µs", "qkv", "head", "all", "layer"} <= {line.split()[0] for line in table.splitlines() if line}


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolsMissingError, match=r"apt-get install .*gcc-riscv64-unknown-elf.*qemu-system-misc"):
        EMULATED["rv32imc"].run([JOB])


def test_an_unknown_target_is_refused_with_those_there_are(image: Path) -> None:
    with pytest.raises(PortError, match="rv32imc, rv32imafc, xtensa-lx6"):
        CliRunner().invoke(shrew, ["bench", str(image), "--emulate", "avr"], catch_exceptions=False)
