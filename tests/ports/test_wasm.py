"""WebAssembly under Node: the committed module is what its sources make, and shrew.js says what the engine says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from engine.models import random_image, says

from shrew.engine import Model, TensorSpec
from shrew.engine.shape import engine_config
from shrew.errors import ToolsMissingError
from shrew.image import Commands, WeightType
from shrew.model.config import ModelConfig, stored_tensors
from shrew.model.presets import PRESETS
from shrew.ports.target import FULL, Variant
from shrew.ports.vectors import differences, load
from shrew.ports.wasm import WASM, WASM_SCALAR, Wasm

PORT = Path(__file__).parents[2] / "ports/wasm"
MODULE = PORT / "shrew.wasm"

PREAMBLE = f"""
import {{ readFileSync }} from "node:fs";
import {{ load, Model, shape, ShrewError }} from "{PORT}/shrew.js";
const module = await load(readFileSync("{MODULE}"));
const open = (path) => Model.open(module, readFileSync(path));
const say = (value) => console.log(JSON.stringify(value));
const failure = async (action) => {{
  try {{ await action(); }} catch (error) {{ return [error.name, error.message, error.status ?? null]; }}
}};
"""


@pytest.fixture(scope="module")
def node() -> str:
    path = shutil.which("node")
    if path is None:
        pytest.skip("node is not installed")
    return path


def javascript(node: str, script: str, *arguments: object) -> list[Any]:
    """The output of a script. Its arguments are in ``process.argv`` from index 1."""
    command = [node, "--input-type=module", "-e", PREAMBLE + script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(random_image(types=WeightType("q8")))
    return path


def test_the_committed_module_is_what_the_sources_make() -> None:
    try:
        WASM.require_tools()
    except ToolsMissingError as error:
        pytest.skip(str(error))
    made = WASM.program().read_bytes()
    compilers = [re.search(rb"processed-by.*", data, re.DOTALL) for data in (MODULE.read_bytes(), made)]
    if compilers[0] and compilers[1] and compilers[0][0] != compilers[1][0]:
        pytest.skip("the committed module was made by another version of clang-22")
    assert MODULE.read_bytes() == made, "the engine or the port changed: run make wasm"


@dataclass(frozen=True)
class Shipped(Wasm):
    """The committed module itself, for which Node is enough."""

    name: str = "shipped"
    tools = {"node": "nodejs"}  # noqa: RUF012  # as in Target

    def program(self, variant: Variant = FULL) -> Path:
        return MODULE


@pytest.mark.parametrize("target", [Shipped(), WASM, WASM_SCALAR], ids=lambda target: target.name)
def test_vectors_are_identical(target: Wasm) -> None:
    try:
        target.require_tools()
    except ToolsMissingError as error:
        pytest.skip(str(error))
    assert differences(target, load()) == []


@pytest.mark.parametrize(
    ("javascript_options", "options"),
    [
        ("{ raw: true }", {"raw": True}),
        ("{ raw: true, maxTokens: 7 }", {"raw": True, "max_tokens": 7}),
        (
            "{ temperature: 1, topP: 0.9, minP: 0.01, topK: 50, repetitionPenalty: 1.1, seed: 2n ** 63n + 1n }",
            {
                "temperature": 1.0,
                "top_p": 0.9,
                "min_p": 0.01,
                "top_k": 50,
                "repetition_penalty": 1.1,
                "seed": 2**63 + 1,
            },
        ),
    ],
)
def test_generates_what_python_does(node: str, image: Path, javascript_options: str, options: dict[str, Any]) -> None:
    script = f"""
    const steps = [];
    let heard = "";
    const options = {{ ...{javascript_options}, onText: (text) => (heard += text) }};
    for await (const step of (await open(process.argv[1])).session().generate("héllo", options)) steps.push(step);
    say([steps, heard]);
    """
    ((steps, heard),) = javascript(node, script, image)
    expected = list(Model.open(image).session().generate("héllo", **options))
    assert [step["text"] for step in steps] == [step.text for step in expected]
    assert [step["token"] for step in steps] == [step.token for step in expected]
    assert [step["promptTokens"] for step in steps] == [step.prompt_tokens for step in expected]
    assert (steps[-1]["finish"], steps[-1]["digest"]) == (expected[-1].finish, expected[-1].digest)
    assert steps[-1]["tokensPerSecond"] > 0
    assert heard == "".join(step.text for step in expected)


def test_session_options(node: str, image: Path) -> None:
    """Drafts change no token, the cache's type changes the memory, and both match the engine."""
    script = """
    const model = await open(process.argv[1]);
    const say_of = async (options) => {
      const { tokens, digest, drafted, accepted } = await model.session(options).answer("abab", { raw: true });
      say([model.sessionBytes(options), { tokens, digest, drafted, accepted }]);
    };
    await say_of({ cache: "f32" });
    await say_of({ cache: "int8" });
    await say_of({ cache: "int8", draft: 4, context: 40, block: 5 });
    """
    (floats, exact), (integers, plain), (_, drafted) = javascript(node, script, image)
    assert floats > integers
    settings = [{"cache": "f32"}, {"cache": "int8"}, {"cache": "int8", "draft": 4, "context": 40, "block": 5}]
    for options, said in zip(settings, (exact, plain, drafted), strict=True):
        *_, last = Model.open(image).session(**options).generate("abab", raw=True)
        assert said == {name: getattr(last, name) for name in said}


def test_stop_strings(node: str, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(says(b"one two three four").image())
    script = """
    const session = (await open(process.argv[1])).session();
    const { text, finish } = await session.answer("x", { raw: true, stop: ["zebra", " three"] });
    say([text, finish]);
    """
    assert javascript(node, script, path) == [["one two", "stop"]]


def test_commands(node: str, tmp_path: Path) -> None:
    path = tmp_path / "lamp.bin"
    said = []
    for answer in (b"Do: led off", b"Do: led onward", b"Does it?"):
        model = says(answer, commands=Commands.of(["led (on|off)"]), metadata=[("refusal", "No.")])
        path.write_bytes(bytes(model.image())[: model.image_bytes])
        last = list(model.session().generate(""))[-1]
        script = """
        let last;
        for await (last of (await open(process.argv[1])).session().generate(""));
        say([last.text, last.finish, last.command, last.confidence]);
        """
        (found,) = javascript(node, script, path)
        assert found == [last.text, last.finish, last.command, pytest.approx(last.confidence, rel=1e-7)]
        said.append(found[:3])
    assert said == [["Do: led off", "end", "led off"], ["No.", "refused", "led on"], ["", "end", None]]


def test_model_says_what_it_is(node: str, image: Path) -> None:
    script = """
    const model = await open(process.argv[1]);
    say([model.config, model.metadata, model.session().selftest()]);
    """
    ((config, metadata, selftest),) = javascript(node, script, image)
    model = Model.open(image)
    fields = model.config_fields()
    for name in ("dim", "layers", "heads", "ffn", "vocab", "context"):
        assert config[name] == fields[name]
    assert (config["kvHeads"], config["headDim"]) == (fields["kv_heads"], fields["head_dim"])
    assert [tuple(pair) for pair in metadata] == model.metadata()
    assert selftest is True


#: The numbers of a configuration as JavaScript calls them and C does.
CONFIG = {name: name for name in ("dim", "layers", "heads", "ffn", "vocab", "context", "norm", "position", "mlp")}
CONFIG |= {"kvHeads": "kv_heads", "headDim": "head_dim", "flags": "flags"}


def test_shape_is_that_of_python(node: str) -> None:
    configs = [preset.model for preset in PRESETS.values()]
    deep = ModelConfig(dim=6, layers=64, heads=3, vocab=9, context=5, ffn=7, tied_head=False, bias_mlp=True)
    configs += [deep, replace(deep, norm="layer", embed_norm=True, position="learned", mlp="gelu", final_norm=False)]
    script = """
    const configs = JSON.parse(process.argv[1]);
    for (const config of configs) say(await shape(module, config));
    say(await failure(() => shape(module, { ...configs[0], dim: 0 })));
    say(await failure(() => shape(module, {})));
    """
    given = [{js: int(getattr(asked, c)) for js, c in CONFIG.items()} for asked in map(engine_config, configs)]
    *shapes, refused, missing = javascript(node, script, json.dumps(given))
    assert len(shapes) == len(configs)
    for config, found in zip(configs, shapes, strict=True):
        assert [TensorSpec(*tensor.values()) for tensor in found] == stored_tensors(config)
    assert refused == ["ShrewError", "model: the configuration is out of range or contradicts itself", -29]
    assert missing == ["RangeError", "dim is undefined, must be an integer of at least 0", None]


def test_refuses_hostile_images_and_says_why(node: str) -> None:
    folder = Path(__file__).parents[1] / "hostile"
    paths = sorted(folder.glob("*.bin"))
    script = "for (const path of process.argv.slice(1)) say(await failure(() => open(path)));"
    for path, failure in zip(paths, javascript(node, script, *paths), strict=True):
        with pytest.raises(Exception) as refused:  # noqa: PT011  # each file has an error of its own
            Model.open(path)
        assert failure[0] == "ShrewError"
        assert failure[1] == str(refused.value).replace(str(path), "model image")


def test_wrong_use_is_an_error(node: str, image: Path) -> None:
    script = """
    const model = await open(process.argv[1]);
    say(await failure(() => model.session({ context: 1e6 })));
    say(await failure(() => model.session({ context: -1 })));
    say(await failure(() => model.session({ cache: "int4" })));
    say(await failure(() => model.session().answer("x", { topP: 7 })));
    say(await failure(() => model.session().answer("x".repeat(2000))));
    say(await failure(() => model.session().answer("x", { maxTokens: 1.5 })));
    say(await failure(() => model.session().answer("x", { signal: AbortSignal.abort() })));
    """
    failures = javascript(node, script, image)
    assert failures[0] == ["ShrewError", "session: an argument is missing or out of range", -1]
    assert failures[1] == ["RangeError", "context is -1, must be an integer of at least 0", None]
    assert failures[2] == ["RangeError", "cache is int4, must be one of auto, f32, int8", None]
    assert failures[3] == ["ShrewError", "prompt: an argument is missing or out of range", -1]
    assert failures[4] == ["ShrewError", "prompt: the context has no room for these tokens", -4]
    assert failures[5] == ["RangeError", "maxTokens is 1.5, must be an integer of at least 0", None]
    assert failures[6][0] == "AbortError"


def test_stopping_early_and_using_a_session_again(node: str, image: Path) -> None:
    script = """
    const session = (await open(process.argv[1])).session();
    const options = { raw: true, temperature: 1, seed: 3 };
    const whole = await session.answer("abc", options);
    for await (const step of session.generate("other", { raw: true })) if (step.tokens === 3) break;
    const controller = new AbortController();
    const onText = () => controller.abort();
    const aborted = await failure(() => session.answer("abc", { ...options, onText, signal: controller.signal }));
    const interrupted = await failure(async () => {
      for await (const step of session.generate("abc", options)) if (step.tokens === 3) session.reset();
    });
    const again = await session.answer("abc", options);
    const more = await session.answer("def", { raw: true, keep: true, maxTokens: 1 }).catch((error) => error.status);
    say([whole.digest === again.digest, whole.text === again.text, aborted[0], interrupted[1], more]);
    """
    assert javascript(node, script, image) == [
        [True, True, "AbortError", "the session was used for something else", -4]
    ]


def test_freed_memory_serves_again(node: str, image: Path) -> None:
    """A thousand sessions fit in the memory of a few, and do not disturb those in use."""
    script = """
    const model = await open(process.argv[1]);
    const kept = model.session();
    const expected = (await kept.answer("abc", { raw: true })).digest;
    const before = process.memoryUsage().arrayBuffers;
    let same = true;
    for (let i = 0; i < 1000; i++) {
      const session = model.session({ context: 40 + (i % 9) });
      same &&= (await session.answer("abc", { raw: true, maxTokens: 2 })).tokens === 2;
      session.free();
      session.free();
    }
    const grown = process.memoryUsage().arrayBuffers - before;
    const freed = model.session();
    freed.free();
    const used = await failure(() => freed.answer("x"));
    same &&= (await kept.answer("abc", { raw: true })).digest === expected;
    say([same, grown < 10 * model.sessionBytes(), used[1]]);
    """
    assert javascript(node, script, image) == [[True, True, "this session has been freed"]]
