"""At least 100,000 mutated images under AddressSanitizer and UndefinedBehaviorSanitizer, without a finding."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from engine.models import random_image
from engine.test_build import COMPILERS, ENGINE, SOURCES

from shrew.image import WeightType

MUTANTS = 120_000
SMALL = {"dim": 16, "layers": 1, "ffn": 16, "context": 24}


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("fuzz") / "fuzz_image"
    if COMPILERS["gcc"] is None:
        pytest.skip("gcc is not installed")
    flags = [
        "-std=gnu99",
        "-O1",
        "-g",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-ffp-contract=off",
    ]
    includes = [f"-I{ENGINE / 'include'}", f"-I{ENGINE / 'src'}"]
    sources = [*map(str, SOURCES), str(Path(__file__).with_name("fuzz_image.c"))]
    built = subprocess.run(["gcc", *flags, *includes, *sources, "-o", str(program)], capture_output=True, text=True)
    if built.returncode and "asan" in built.stderr:
        pytest.skip("gcc's sanitizer libraries are not installed")
    assert built.returncode == 0, built.stderr
    return program


def seeds(folder: Path) -> list[str]:
    """Small images that between them have every section, norm, position, MLP, bias and tokenizer."""
    from engine.models import random_parameters, tiny_config

    from shrew.image import build_image
    from shrew.tokenizer import train_bpe, train_character

    unicode = train_bpe(["Größe über Straße", "it's 12 o'clock"] * 3, vocab=270, unicode=True)
    letters = train_character(["abcdefgh ijkl", "mnöü"], specials=("<|end|>", "<|unknown|>"), unknown="<|unknown|>")
    images = [
        random_image(types=WeightType("q8", 16), **SMALL),
        random_image(
            norm="layer", position="learned", mlp="gelu", bias_qkv=True, bias_out=True, bias_mlp=True, **SMALL
        ),
        random_image(heads=4, kv_heads=2, mlp="relu", tied_head=False, embed_norm=True, **SMALL),
    ]
    for tokenizer in (unicode, letters):
        config = tiny_config(vocab=tokenizer.vocab, **SMALL)
        metadata = [("name", "seed"), ("stop", "x"), ("stop", "no")]
        images.append(build_image(config, random_parameters(config), tokenizer, metadata=metadata))
    paths = []
    for i, image in enumerate(images):
        path = folder / f"seed{i}.bin"
        path.write_bytes(image)
        paths.append(str(path))
    return paths


def test_mutated_images(fuzzer: Path, tmp_path: Path) -> None:
    done = subprocess.run([str(fuzzer), str(MUTANTS), "1", *seeds(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    opened = int(re.search(r"(\d+) opened", done.stdout).group(1))  # type: ignore[union-attr]
    assert opened > MUTANTS // 50, "too few mutants get past the reader to say anything about what comes after"
