"""The engine's sources are clean C99 for every compiler here, need no libc, and give the same bits in every build."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from engine.models import BYTES, random_parameters, tiny_config
from engine.objects import objects, run

from shrew.engine import Model
from shrew.engine.binding import lib
from shrew.image import WeightType, build_image
from shrew.tokenizer import train_bpe

ENGINE = Path(__file__).parents[2] / "engine"
RUNTIME = sorted(ENGINE.glob("src/**/*.c"))
SOURCES = sorted([*RUNTIME, *ENGINE.glob("learn/**/*.c"), *ENGINE.glob("write/*.c")])
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffp-contract=off"]
INCLUDES = [f"-I{ENGINE / 'include'}", f"-I{ENGINE / 'src'}"]
#: Parts of learn/operators/unit.h, which each unit of the operators compiles once.
TEMPLATES = {"activation.h", "attention.h", "loss.h", "matrices.h", "optimizer.h", "products.h", "rows.h", "tiles.h"}
TEMPLATES |= {"unit.h", "vector.h"}
BARE = ["-ffreestanding", "-fno-pie"]


def find_clang() -> str | None:
    return next((name for name in ("clang", "clang-22", "clang-19", "clang-14") if shutil.which(name)), None)


COMPILERS = {"gcc": shutil.which("gcc") and "gcc", "clang": find_clang()}


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest) -> str:
    if COMPILERS[request.param] is None:
        pytest.skip(f"{request.param} is not installed")
    return str(COMPILERS[request.param])


def build(compiler: str, output: Path, *flags: str, sources: Iterable[Path], link: Sequence[str] = ()) -> None:
    """A program, or with ``link=["-shared"]`` a library."""
    made = objects(compiler, [*STRICT, *flags, *INCLUDES], sources)
    run(compiler, *flags, *link, *map(str, made), "-o", str(output))


def test_meson_builds_every_source() -> None:
    listed = re.findall(r"'((?:src|learn|write)/[^']+\.c)'", (ENGINE / "meson.build").read_text())
    assert sorted(listed) == sorted(str(source.relative_to(ENGINE)) for source in SOURCES)


@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
def test_compiles_without_a_warning_and_needs_only_memcpy_and_memset(compiler: str, level: str, tmp_path: Path) -> None:
    linked = tmp_path / "engine.o"
    made = objects(compiler, [*STRICT, level, *BARE, *INCLUDES], SOURCES)
    subprocess.run(["ld", "-r", "-o", str(linked), *map(str, made)], check=True)
    symbols = subprocess.run(["nm", str(linked)], check=True, capture_output=True, text=True).stdout.splitlines()
    undefined = {line.split()[-1] for line in symbols if " U " in line}
    assert undefined <= {"memcpy", "memset"}
    defined = {line.split()[-1] for line in symbols if re.search(r" [TDBR] ", line)}
    assert all(name.startswith("shrew_") for name in defined), "a symbol that may collide with the caller's"
    assert not [line for line in symbols if re.search(r" [DdBbC] ", line)], "a mutable global"


@pytest.fixture
def translation_unit(tmp_path: Path) -> Path:
    """All sources in one file, with the learning operators of only one unit, as they are a template."""
    whole = tmp_path / "engine.c"
    parts = [source for source in SOURCES if source.parent.name != "operators" or source.stem == "portable"]
    whole.write_text("".join(f'#include "{source}"\n' for source in parts))
    return whole


def test_no_two_files_share_a_private_name(compiler: str, translation_unit: Path) -> None:
    run(compiler, *STRICT, *INCLUDES, "-fsyntax-only", str(translation_unit))
    run(compiler, *STRICT, *INCLUDES, "-DSHREW_PIE", "-fsyntax-only", str(translation_unit))


@pytest.mark.parametrize(
    ("target", "unit", "port"), [("wasm32", "-msimd128", "wasm"), ("xtensa", "", "emulator/xtensa")]
)
def test_nor_do_they_where_other_kernels_are(target: str, unit: str, port: str, translation_unit: Path) -> None:
    if shutil.which("clang-22") is None:
        pytest.skip("clang-22 is not installed")
    machine = [f"--target={target}", *unit.split(), "-nostdlibinc", "-isystem", str(ENGINE.parent / "ports" / port)]
    run("clang-22", *STRICT, *BARE, *machine, *INCLUDES, "-fsyntax-only", str(translation_unit))


def test_types_that_files_share_carry_the_prefix() -> None:
    headers = [path for path in ENGINE.glob("**/*.h") if path.name not in TEMPLATES]
    for header in headers:
        names = re.findall(r"^(?:typedef )?(?:struct|union|enum) (\w+) \{|^} (\w+);", header.read_text(), re.MULTILINE)
        assert all(name.startswith("shrew_") for pair in names for name in pair if name), header


def test_no_variable_is_named_like_its_type() -> None:
    for path in [*SOURCES, *ENGINE.glob("**/*.h")]:
        code = re.sub(r"/\*.*?\*/|^typedef struct \w+ \w+;", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        assert not re.findall(r"(?<![\w.>])(\w+) +(?:\*|const |restrict )*\1(?=\s*[;,=)[])", code), path


def test_no_allocation_and_no_stdio_in_the_sources() -> None:
    for source in [*SOURCES, *ENGINE.glob("**/*.h")]:
        text = source.read_text()
        headers = {"float.h", "stddef.h", "stdint.h", "string.h"}
        if source.parent.name in ("kernels", "operators"):  # headers of compilers, for vector units
            headers |= {"cpuid.h", "immintrin.h", "wasm_simd128.h"}
        assert set(re.findall(r"#include <([^>]+)>", text)) <= headers, source
        assert not re.search(r"\b(malloc|calloc|realloc|free|alloca|printf|exit|abort|double)\b\s*[(*]", text), source


def test_every_build_gives_the_same_bits(tmp_path: Path) -> None:
    """Unoptimised, optimised, for this processor's vector units, by either compiler: equal logits to the last bit."""
    config = tiny_config(dim=40, heads=4, kv_heads=2, ffn=56)
    parameters = random_parameters(config)
    ids = np.random.default_rng(0).integers(0, config.vocab, 40).astype(np.uint16)
    driver = Path(__file__).with_name("logits.c")
    for types in (WeightType("f32"), WeightType("q8", 16), WeightType("q8"), WeightType("q4"), WeightType("ternary")):
        image = build_image(config, parameters, BYTES, types=types)
        expected = Model.from_bytes(image).session().feed_all(ids)
        for compiler in filter(None, COMPILERS.values()):
            for flags in (["-O0"], ["-O3", "-march=native"], ["-Os", "-funroll-loops"]):
                library = tmp_path / f"{compiler}{'_'.join(flags)}.so"
                if not library.exists():
                    build(compiler, library, *flags, "-fPIC", sources=[*RUNTIME, driver], link=["-shared"])
                logits = np.empty_like(expected)
                pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (ids, logits)]
                status = ctypes.CDLL(str(library)).logits(image, len(image), pointers[0], len(ids), pointers[1])
                assert status == 0
                assert np.array_equal(logits.view(np.uint32), expected.view(np.uint32)), (compiler, flags, str(types))


def test_a_build_without_unicode_refuses_only_what_needs_it(compiler: str, tmp_path: Path) -> None:
    config = tiny_config()
    ascii_image = build_image(config, random_parameters(config), BYTES)
    unicode = train_bpe([], vocab=259, unicode=True)
    unicode_image = build_image(config, random_parameters(config), unicode)
    library = tmp_path / "engine.so"
    sources = [*RUNTIME, Path(__file__).with_name("logits.c")]
    build(compiler, library, "-O0", "-fPIC", "-DSHREW_NO_UNICODE", sources=sources, link=["-shared"])
    run = ctypes.CDLL(str(library)).logits
    assert run(ascii_image, len(ascii_image), None, 0, None) == 0
    assert run(unicode_image, len(unicode_image), None, 0, None) == lib.SHREW_E_UNICODE
    assert Model.from_bytes(unicode_image).selftest()


def test_the_headers_are_c_plus_plus_too(tmp_path: Path) -> None:
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    source = tmp_path / "a.cpp"
    includes = "".join(f'#include "{header.name}"\n' for header in sorted((ENGINE / "include").iterdir()))
    source.write_text(includes + "int main() { return shrew_status_text(0) == 0; }\n")
    command = [
        "g++",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        f"-I{ENGINE / 'include'}",
        "-fsyntax-only",
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
