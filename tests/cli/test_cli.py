"""The commands as users see them: results on stdout, one line for an error, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def shrew(*arguments: object, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from shrew.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "facts.txt"
    facts = {"colour": "The lamp is red.", "size": "It is small.", "name": "I am Shrew.", "speed": "It is fast."}
    blocks = [
        f"Q: What is the {key}?\nQ: Tell me the {key}.\nQ: {key}?\nTest: what {key}\nA: {answer}"
        for key, answer in facts.items()
    ]
    path.write_text("\n\n".join([*blocks, "Q: Turn it on.\nQ: on please\nTest: switch on\nDo: led on"]))
    return path


@pytest.fixture(scope="module")
def run_folder(corpus: Path) -> Path:
    out = corpus.parent / "run"
    shrew("train", "--data", corpus, "--out", out, "--preset", "nano", "--steps", 150,
          "--set", "model.vocab=300", "--set", "train.batch=2", "--set", "train.eval_every=50")  # fmt: skip
    return out


@pytest.fixture(scope="module")
def image(run_folder: Path) -> Path:
    path = run_folder.parent / "model.bin"
    shrew("quantize", run_folder, "-o", path)
    return path


def test_the_list_of_commands_loads_no_engine() -> None:
    code = "import sys; from shrew.cli import shrew; shrew(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "shrew.cli.chat" in loaded
    assert "shrew.engine" not in loaded


def test_training_leaves_a_whole_run_folder(run_folder: Path) -> None:
    names = {path.name for path in run_folder.iterdir()}
    assert names >= {"config.toml", "tokenizer.json", "model.safetensors", "checkpoint.safetensors", "log.jsonl"}
    records = [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]
    assert records[-1]["loss"] < 0.5 * records[0]["loss"]


def test_quantize_prints_size_errors_and_losses(run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.bin"
    result = json.loads(shrew("quantize", run_folder, "-o", out, "--tensor", "*.down.*=f32", "--json").stdout)
    assert result["image_bytes"] == out.stat().st_size
    assert {t["type"] for t in result["tensors"]} == {"q8", "f32"}
    assert result["loss_after"] == pytest.approx(result["loss_before"], rel=0.05)
    assert all(t["relative_error"] < 0.02 for t in result["tensors"])
    text = shrew("quantize", run_folder, "-o", out).stdout
    assert "held-out tokens" in text
    assert f"{out.stat().st_size:,} bytes" in text


def test_inspect_shows_every_section(image: Path) -> None:
    contents = json.loads(shrew("inspect", image, "--json").stdout)
    assert contents["image_bytes"] == image.stat().st_size
    assert contents["selftest"]["passed"]
    text = shrew("inspect", image).stdout
    for section in contents["sections"]:
        assert section["name"] in text
    assert "self-test passed" in text


def test_eval_text_and_data(image: Path, corpus: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("What is the colour?\n<|endoftext|>\nThe lamp is red.\n")
    result = json.loads(shrew("eval", image, "--text", text, "--json").stdout)
    assert result.keys() == {"nats", "tokens", "nats_per_token", "bytes", "bits_per_byte", "perplexity"}
    assert result["bytes"] == len("What is the colour?The lamp is red.")
    one = json.loads(shrew("eval", image, "--text", text, "--separator", "newline", "--limit", 1, "--json").stdout)
    assert one["bytes"] == len("What is the colour?")
    trained = json.loads(shrew("eval", image, "--data", corpus, "--split", "train", "--json").stdout)
    assert trained["asked"] == 14
    assert trained["accuracy"] > 0.5
    held_out = json.loads(shrew("eval", image, "--data", corpus, "--json").stdout)
    assert held_out["asked"] == 5


def test_generate_and_chat(image: Path) -> None:
    first = json.loads(shrew("generate", image, "What is the name?", "--temperature", 1, "--seed", 4, "--json").stdout)
    again = json.loads(shrew("generate", image, "What is the name?", "--temperature", 1, "--seed", 4, "--json").stdout)
    assert first["digest"] == again["digest"]
    assert first["text"] == again["text"]
    plain = shrew("generate", image, "What is the name?").stdout
    assert (
        shrew("chat", image, stdin="What is the name?\n\nTell me the size.\n").stdout.splitlines()[0] == plain.strip()
    )
    short = json.loads(shrew("generate", image, "What is the name?", "--max-tokens", 2, "--json").stdout)
    assert (short["tokens"], short["finish"]) == (2, "length")


def test_resume_goes_on(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--preset", "nano", "--set", "model.vocab=280", "--set", "train.batch=2"]
    shrew("train", "--data", corpus, "--out", out, "--steps", 4, *options)
    assert json.loads(shrew("train", "--out", out, "--resume", "--json").stdout)["steps"] == 4
    assert "holds a run already" in shrew("train", "--data", corpus, "--out", out, *options, code=1).stderr
    shrew("train", "--data", corpus, "--out", out, "--steps", 2, "--overwrite", *options)


@pytest.mark.parametrize("preset", ["microgpt", "nano", "desk", "stories260k", "tiny"])
def test_every_preset_trains_as_it_is(preset: str, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(["anna", "bernd", "carla", "zoë", "dora", "emil", "丌"] * 20))
    out = tmp_path / "run"
    shrew("train", "--data", names, "--separator", "newline", "--out", out, "--preset", preset, "--steps", 1,
          "--drop-duplicates")  # fmt: skip
    shrew("quantize", out, "-o", tmp_path / "m.bin")


def test_training_goes_on_from_another_run(run_folder: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shrew(
        "train", "--data", corpus, "--from", run_folder, "--out", out, "--steps", 1, "--set", "train.learning_rate=1e-9"
    )
    first = json.loads((out / "log.jsonl").read_text().splitlines()[0])
    assert first["loss"] < 0.6  # where the other run had arrived
    assert "takes the model" in shrew("train", "--data", corpus, "--from", run_folder, "--out", tmp_path / "x",
                                      "--steps", 1, "--set", "model.layers=1", code=1).stderr  # fmt: skip


def test_resume_refuses_other_data(tmp_path: Path) -> None:
    data, out = tmp_path / "a.txt", tmp_path / "run"
    text = "\n\n".join(f"Q: What is {i}?\nA: Number {i}." for i in range(30))
    data.write_text(text)
    shrew("train", "--data", data, "--out", out, "--preset", "nano", "--steps", 2)
    data.write_text(text.replace("Number 7", "Number 8"))
    assert "the data has changed" in shrew("train", "--out", out, "--resume", code=1).stderr


def test_a_folder_named_as_a_built_in_corpus_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shrew("train", "--data", "names", "--out", "names", "--preset", "microgpt", "--steps", 1)
    shrew("train", "--data", "names", "--out", "names", "--preset", "microgpt", "--steps", 1, "--overwrite")
    assert json.loads(shrew("train", "--out", "names", "--resume", "--json").stdout)["steps"] == 1


def test_output_goes_through_links_and_not_over_devices(run_folder: Path, tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target.bin", tmp_path / "link.bin", tmp_path / "pipe"
    target.write_bytes(b"old")
    link.symlink_to(target)
    os.mkfifo(pipe)
    shrew("quantize", run_folder, "-o", link)
    assert link.is_symlink()
    assert target.read_bytes()[:4] == b"SHRW"
    assert "not a regular file" in shrew("quantize", run_folder, "-o", pipe, code=1).stderr
    assert pipe.is_fifo()


def test_corpus_and_tokenizer(corpus: Path, tmp_path: Path) -> None:
    info = json.loads(shrew("corpus", "info", corpus, "--json").stdout)
    assert (info["documents"], info["train"], info["held_out"], info["command"]) == (19, 14, 5, 3)
    exported = tmp_path / "facts.jsonl"
    shrew("corpus", "export", corpus, "-o", exported)
    assert json.loads(shrew("corpus", "info", exported, "--json").stdout) == info
    tokenizer = tmp_path / "tokenizer.json"
    trained = json.loads(shrew("tokenizer", "train", corpus, "--vocab", 300, "-o", tokenizer, "--json").stdout)
    assert trained["vocab"] == 300
    assert trained["unicode_bytes"] == 0  # the corpus is ASCII
    cut = json.loads(shrew("tokenizer", "encode", tokenizer, "The lamp is red.", "--json").stdout)
    assert "".join(cut["pieces"]) == "The lamp is red."


def test_import(shared_data: Path, tmp_path: Path) -> None:
    image, run = tmp_path / "s.bin", tmp_path / "run"
    result = json.loads(
        shrew("import", shared_data / "stories260K.bin", "--tokenizer", shared_data / "tok512.bin",
              "--type", "q8", "--group", 32, "-o", image, "--out", run, "--json").stdout
    )  # fmt: skip
    assert result["image_bytes"] == image.stat().st_size
    again = tmp_path / "again.bin"
    shrew("quantize", run, "-o", again, "--group", 32)
    story = shrew("generate", again, "", "--max-tokens", 20).stdout
    assert story.startswith("Once upon a time")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere.bin"], "nowhere.bin"),
        (["chat", "README.md"], "README.md: not a Shrew model image"),
        (["quantize", "nowhere", "-o", "x.bin"], "nowhere"),
        (["train", "--data", "nowhere.txt", "--out", "r"], "nowhere.txt"),
        (["train", "--data", "desk", "--out", "r", "--preset", "huge"], "there is no preset 'huge'"),
        (["train", "--data", "desk", "--out", "r", "--set", "model.colour=red"], "--set model.colour=red"),
        (["train", "--data", "desk", "--out", "r", "--set", "train.batch=many"], "batch"),
        (["train", "--data", "desk", "--out", "r", "--set", "model.layers=many"], "layers"),
        (["import", "README.md", "--tokenizer", "README.md", "-o", "x.bin"], "README.md"),
        (["eval", "nowhere.bin", "--text", "README.md"], "nowhere.bin"),
    ],
)
def test_mistakes_get_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "README.md").write_text("# Not a model, but long enough to hold a header of sixty-four bytes.\n" * 4)
    monkeypatch.chdir(tmp_path)
    error = shrew(*arguments, code=1).stderr.strip()
    assert error.startswith("shrew: ")
    assert message in error
    assert "\n" not in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md"], "something half-made was left behind"


@pytest.mark.parametrize(
    "arguments", [[], ["train"], ["frobnicate"], ["eval", "x.bin"], ["import", "a", "--tokenizer", "b"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    shrew(*arguments, code=2)


def test_the_documented_command_line_is_the_real_one(tmp_path: Path) -> None:
    fresh = tmp_path / "cli.md"
    subprocess.run([sys.executable, str(ROOT / "tools" / "cli_docs.py"), str(fresh)], check=True)
    assert (ROOT / "docs" / "cli.md").read_text() == fresh.read_text(), "run tools/cli_docs.py"
