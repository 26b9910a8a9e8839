"""Builds the fuzz harnesses and runs one after the other: ``make fuzz MINUTES=10``.

libFuzzer is part of clang. Findings and the corpus stay in ``build/fuzz``.
"""

from __future__ import annotations

import argparse
import functools
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from engine.test_build import ENGINE
from fuzz.seeds import write_seeds

HERE = Path(__file__).parent
HOSTILE = HERE.parent / "hostile"
FOLDER = HERE.parents[1] / "build" / "fuzz"

#: Harnesses and their longest inputs, in bytes.
HARNESSES = {"image": 1 << 15, "tokenizer": 1 << 13, "stops": 1 << 11, "sampler": 1 << 11, "protocol": 1 << 11}

FLAGS = ["-std=gnu99", "-O2", "-g", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
#: A session is one block of the caller's memory: with gaps, AddressSanitizer sees one buffer run into the next.
FLAGS += ["-include", "sanitizer/asan_interface.h", "-DSHREW_GUARD=__asan_poison_memory_region"]
#: Sources that read untrusted input; training operators read none.
SOURCES = sorted(ENGINE.glob("src/**/*.c"))
#: Sources that read network input; instrumented like those in CHECKING.
CORE = ENGINE.parent / "firmware/core"
CORE_SOURCES = sorted(CORE.glob("*.c"))
#: Sources that check an input's bytes. In the others watching each comparison costs most of the time and finds nothing.
CHECKING = {
    "directory",
    "generate",
    "grammar",
    "image",
    "metadata",
    "pretokenize",
    "selftest_section",
    "shape",
    "tokenizer",
    "unicode",
}
UNWATCHED = "-fno-sanitize-coverage=trace-cmp"
#: Unrolled tiles with a check at every access take clang minutes to optimise.
UNROLLED = {"avx512_attention", "avx512_panels", "avx512_products"}


class Outcome(NamedTuple):
    status: int
    executions: int
    reached: int
    """Inputs that passed validation."""
    coverage: int
    """Edges of the program that were covered."""
    output: str


@functools.cache
def fuzzing_compiler() -> str | None:
    """A clang that links libFuzzer and both sanitizers."""
    program = b"int LLVMFuzzerTestOneInput(const char *data, unsigned long size) { return data && size > 9; }"
    for name in ("clang", "clang-22", "clang-19", "clang-16", "clang-14"):
        if shutil.which(name) is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            command = [name, *FLAGS, "-xc", "-", "-o", f"{folder}/linked"]
            if subprocess.run(command, input=program, capture_output=True).returncode == 0:
                return name
    return None


def build(folder: Path) -> None:
    """All harnesses, their seeds and models, into a folder."""
    compiler = fuzzing_compiler()
    assert compiler is not None
    objects = folder / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    write_seeds(folder)
    includes = [f"-I{ENGINE / 'include'}", f"-I{ENGINE / 'src'}", f"-I{HERE}"]
    for source in SOURCES:
        extra = [] if source.stem in CHECKING else [UNWATCHED]
        extra += ["-O0"] if source.stem in UNROLLED else []
        subprocess.run([compiler, *FLAGS, *extra, *includes, "-c", str(source)], check=True, cwd=objects)
    includes += [f"-I{CORE}"]
    for source in CORE_SOURCES:
        subprocess.run([compiler, *FLAGS, *includes, "-c", str(source)], check=True, cwd=objects)
    engine = [str(objects / f"{source.stem}.o") for source in SOURCES]
    core = [str(objects / f"{source.stem}.o") for source in CORE_SOURCES]
    for harness in HARNESSES:
        command = [compiler, *FLAGS, UNWATCHED, *includes, str(HERE / f"{harness}.c"), *engine]
        command += core if harness == "protocol" else []
        subprocess.run([*command, "-lm", "-o", str(folder / harness)], check=True)


def _outcome(command: list[str]) -> Outcome:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")

    def last(pattern: str) -> int:
        found = re.findall(pattern, done.stderr)
        return int(found[-1]) if found else 0

    return Outcome(
        done.returncode,
        last(r"stat::number_of_executed_units:\s*(\d+)"),
        last(r"stat::inputs_past_the_checks:\s*(\d+)"),
        last(r"\bcov: (\d+)"),
        done.stderr,
    )


def fuzz(harness: str, seconds: int, folder: Path) -> Outcome:
    """Runs one harness from its corpus and its seeds."""
    corpus, findings = folder / "corpus" / harness, folder / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={HARNESSES[harness]}",
        f"-artifact_prefix={findings}/{harness}-",
        "-timeout=20",
        "-use_value_profile=1",
        "-print_final_stats=1",
    ]
    return _outcome([str(folder / harness), *options, str(corpus), str(folder / "seeds" / harness)])


def past_findings(harness: str) -> list[Path]:
    """Hostile files that a harness reads: images lie at the top, other inputs in a folder of their harness."""
    return sorted(HOSTILE.glob("*.bin" if harness == "image" else f"{harness}/*"))


def replay(harness: str, folder: Path) -> Outcome:
    """Runs a harness once on each of its past findings."""
    return _outcome([str(folder / harness), "-runs=1", *map(str, past_findings(harness))])


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=1.0, help="for each harness")
    arguments.add_argument("--harness", action="append", choices=HARNESSES, help="default: all")
    chosen = arguments.parse_args()
    if fuzzing_compiler() is None:
        print("No clang here links libFuzzer; on Debian: apt-get install clang libclang-rt-14-dev", file=sys.stderr)
        return 1
    build(FOLDER)
    failed = 0
    for harness in chosen.harness or HARNESSES:
        outcome = fuzz(harness, round(chosen.minutes * 60), FOLDER)
        if outcome.status:
            print(outcome.output[-6000:], file=sys.stderr)
            failed = 1
        print(
            f"{harness:10} {outcome.executions:>10,} inputs, {outcome.reached:>10,} past the checks, "
            f"{outcome.coverage:>5,} edges: {'a finding in build/fuzz/findings' if outcome.status else 'no finding'}",
            flush=True,
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
