"""Quantisation-aware training: the model that is trained, saved, exported and run by the engine is the same."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from click.testing import CliRunner
from engine.models import BYTES
from model.gradient_checks import pack_lengths, random_parameters
from toy_rows import MODEL, toy_rows

from shrew.cli import shrew
from shrew.engine import Model
from shrew.errors import ConfigError, RunError
from shrew.evaluation import score_tokens
from shrew.image import WeightType, build_image
from shrew.model.config import ModelConfig, tensor_specs
from shrew.model.gradients import evaluate, loss_and_gradients
from shrew.model.parameters import Parameters
from shrew.quantize.rounded import Rounded, integers_of
from shrew.run import Run, RunConfig, TrainConfig, load_run, stored_types
from shrew.train.backends.rounding import SCALE_RATE
from shrew.train.loop import make_backend, train
from shrew.train.progress import SilentProgress

ROWS = toy_rows(8)

#: No group divides a width of it, and the hidden layer's is no multiple of 16.
ODD = ModelConfig(dim=40, layers=2, heads=4, kv_heads=2, head_dim=10, vocab=BYTES.vocab, context=32, ffn=52)
ODD_ROWS = pack_lengths([[20, 11], [31], [9, 9, 13], [30]], ODD.context, ODD.vocab, prompt=0.1)

TYPES = {
    "q8": {"weights": "q8"},
    "q8-groups": {"weights": "q8:32"},
    "q4": {"weights": "q4"},
    "q4-rows": {"weights": "q4:0"},
    "ternary": {"weights": "ternary:16"},
    "mixed": {"weights": "ternary", "tensors": "token_embedding.weight=q8 *.value.weight=q4:16 *.down.weight=f32"},
}


def config(**options):
    periods = {"log_every": 3, "eval_every": 7, "checkpoint_every": 5}
    return TrainConfig(**{"steps": 40, "batch": 3, "learning_rate": 0.01} | periods | options)


def make_run(path, model=MODEL, **options):
    return Run.create(path, RunConfig(model=model, train=config(**options)))


def numbers(run):
    """The log without values that depend on the clock."""
    return [{k: v for k, v in asdict(r).items() if k not in ("tokens_per_s", "seconds")} for r in run.read_log()]


def documents_of(rows):
    """As the engine scores them: the tokens of a document and which of them count."""
    for row in range(len(rows)):
        for document in range(rows.documents[row].max() + 1):
            places = rows.documents[row] == document
            ids = np.append(rows.inputs[row, places], rows.targets[row, places][-1])
            yield ids, np.append(False, rows.weights[row, places] > 0)


class InterruptAfter(SilentProgress):
    def __init__(self, step):
        self.at = step

    def step(self, step, share):
        if step == self.at:
            raise MemoryError


@pytest.fixture(scope="module", params=TYPES, ids=TYPES)
def trained(request, tmp_path_factory):
    """A run, how its training ended, and its image."""
    run = make_run(tmp_path_factory.mktemp("run") / "run", ODD, steps=60, **TYPES[request.param])
    result = train(run, ODD_ROWS, ODD_ROWS)
    BYTES.save(run.tokenizer_path)
    loaded = load_run(run.path)
    image = build_image(ODD, {**loaded.parameters, **loaded.quantized}, BYTES)
    return loaded, result, Model.from_bytes(image, "trained")


def test_the_image_holds_what_was_trained(trained):
    loaded, _, model = trained
    types = stored_types(ODD, loaded.run.config.train)
    for spec in tensor_specs(ODD):
        stored = model.tensor(spec.role, spec.layer)
        if not spec.vector:
            assert WeightType(stored.type, stored.group) == types[spec.name]
        np.testing.assert_array_equal(stored.values().reshape(spec.shape), loaded.parameters[spec.name])


def test_the_engine_loses_what_training_said(trained):
    loaded, result, model = trained
    nats, learned = evaluate(ODD, Parameters.of(ODD, loaded.parameters), ODD_ROWS)
    assert nats / learned == result.best_loss
    assert score_tokens(model, list(documents_of(ODD_ROWS))).nats_per_token == pytest.approx(result.best_loss, rel=5e-3)


def test_integers_are_those_of_the_last_step():
    """From the kept floats and scales the same integers come back as the backend had."""
    for options in TYPES.values():
        settings = config(**options)
        backend = make_backend(ODD, settings, random_parameters(ODD, np.float32))
        backend.begin_rounding()
        for _ in range(5):
            backend.step(ODD_ROWS, 0.01)
        mirror = Rounded(backend.parameters(), stored_types(ODD, settings), SCALE_RATE)
        mirror.load_state(backend.optimizer_state())
        expected = mirror.quantized(backend.parameters())
        kept = {name: tensor.copy() for name, tensor in backend.tensors().items()}
        scales = {name.removeprefix("scales."): kept.pop(name) for name in list(kept) if name.startswith("scales.")}
        found = integers_of(kept, scales, stored_types(ODD, settings))
        assert found.keys() == expected.keys()
        for name, matrix in expected.items():
            np.testing.assert_array_equal(found[name].values, matrix.values)
            np.testing.assert_array_equal(found[name].row_scales, matrix.row_scales)
            np.testing.assert_array_equal(found[name].multipliers, matrix.multipliers)
        backend.close()


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_step_moves_latents_by_the_gradient_of_the_rounded_model(backend):
    """Straight through: AdamW's first step goes by the sign of that gradient, and not at all where it is clipped."""
    if backend == "torch":
        pytest.importorskip("torch")
    settings = config(weights="q4:16", weight_decay=0.0, clip=0.0, backend=backend, threads=1)
    before = random_parameters(ODD, np.float32)
    tested = make_backend(ODD, settings, before.copy())
    tested.begin_rounding()
    seen = Parameters.of(ODD, {n: t.copy() for n, t in tested.tensors().items() if not n.startswith("scales.")})
    nats, learned, gradients = loss_and_gradients(ODD, seen, ODD_ROWS)
    rounded = Rounded(before, stored_types(ODD, settings), SCALE_RATE)
    np.testing.assert_array_equal(rounded.round(before).flat, seen.flat)
    rounded.pull_back(gradients)
    step = tested.step(ODD_ROWS, 1e-3)
    assert (step.nats, step.learned) == (pytest.approx(nats, rel=1e-5), learned)
    clear = np.abs(gradients.flat / learned) > 1e-5
    assert clear.mean() > 0.5
    moved = tested.parameters().flat - before.flat
    np.testing.assert_allclose(moved[clear], -1e-3 * np.sign(gradients.flat[clear]), rtol=0.01)
    assert not moved[gradients.flat == 0].any()
    tested.close()


@pytest.mark.parametrize("options", [{"weights": "q4", "optimizer": "muon"}, TYPES["mixed"]], ids=["q4", "mixed"])
@pytest.mark.parametrize("stop", [15, 32])
def test_a_resumed_run_has_the_same_numbers(tmp_path, options, stop):
    """Stopped before rounding begins or after it."""
    validation = toy_rows(4, seed=9)
    straight, halves = make_run(tmp_path / "straight", **options), make_run(tmp_path / "halves", **options)
    train(straight, ROWS, validation)
    with pytest.raises(MemoryError):
        train(halves, ROWS, validation, progress=InterruptAfter(stop))
    train(halves, ROWS, validation, resume=True)
    assert numbers(straight) == numbers(halves)
    assert straight.weights_path.read_bytes() == halves.weights_path.read_bytes()


def test_pytorch_goes_on_where_numpy_has_begun_to_round(tmp_path):
    pytest.importorskip("torch")
    validation = toy_rows(4, seed=9)
    straight, halves = (make_run(tmp_path / name, weights="q4:16", threads=1) for name in ("straight", "halves"))
    train(straight, ROWS, validation)
    with pytest.raises(MemoryError):
        train(halves, ROWS, validation, progress=InterruptAfter(30))
    other = Run(halves.path, replace(halves.config, train=replace(halves.config.train, backend="torch")))
    train(other, ROWS, validation, resume=True)
    assert len(straight.read_log()) == len(other.read_log())
    for one, two in zip(straight.read_log(), other.read_log(), strict=True):
        assert one.loss == pytest.approx(two.loss, rel=0.02)
    assert other.load_weights().scales.keys() == straight.load_weights().scales.keys()


HEART = {"model": replace(MODEL, dim=32, ffn=64), "steps": 400, "optimizer": "muon", "eval_every": 50}


@pytest.mark.parametrize("weights", ["q4:16", "ternary:16"])
def test_learns_by_heart_in_few_bits(tmp_path, weights):
    run = make_run(tmp_path / "run", weights=weights, **HEART)
    assert train(run, ROWS, ROWS).best_loss < 0.05


def test_without_it_ternary_forgets(tmp_path):
    run = make_run(tmp_path / "run", **HEART)
    train(run, ROWS)
    learnt, *_ = run.load_weights()
    types = dict.fromkeys(stored_types(HEART["model"], run.config.train), WeightType("ternary", 16))
    rounded = Rounded(learnt, types, SCALE_RATE)
    nats, learned = evaluate(HEART["model"], rounded.round(learnt), ROWS)
    assert nats / learned > 1


def test_the_best_of_the_floats_is_not_kept(tmp_path):
    """They have a lower loss than the rounded model ever reaches, but are not what will be stored."""
    run = make_run(tmp_path / "run", weights="ternary", steps=100, quantize_from=0.9)
    result = train(run, ROWS, ROWS)
    assert result.best_step > 90
    assert result.best_loss > min(r.validation for r in run.read_log() if r.validation is not None)
    assert run.load_weights().scales


def test_commands_train_and_export_the_types_that_were_asked_for(tmp_path):
    out, image = tmp_path / "run", tmp_path / "m.bin"
    asked = ["--type", "ternary", "--group", "16", "--tensor", "token_embedding.weight=q4"]
    shape = ["--set", "model.layers=1", "--set", "train.batch=4", "--set", "model.vocab=300"]
    done = CliRunner().invoke(
        shrew, ["train", "--data", "desk", "--preset", "nano", "--out", str(out), "--steps", "6", *asked, *shape]
    )
    assert done.exit_code == 0, done.output
    result = quantized(out, image)
    assert result["rounding"] == "trained"
    types = {tensor["name"]: tensor["type"] for tensor in result["tensors"]}
    assert types.pop("token_embedding.weight") == "q4:16"
    assert set(types.values()) == {"ternary:16"}
    assert result["loss_after"] == pytest.approx(result["loss_before"], rel=5e-3)
    assert not any(tensor["largest_error"] for tensor in result["tensors"])

    result = quantized(out, image, "--type", "q8")
    assert (result["rounding"], {tensor["type"] for tensor in result["tensors"]}) == ("nearest", {"q8"})
    assert len(Run.open(out).load_weights().scales) == len(types) + 1


def quantized(run, image, *options):
    done = CliRunner().invoke(shrew, ["quantize", str(run), "-o", str(image), "--json", *options])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    for options, message in (
        ({"weights": "q5"}, "weight type 'q5' is unknown"),
        ({"weights": "q4:many"}, "not TYPE or TYPE:GROUP"),
        ({"weights": "q4:24"}, "not a multiple of 16"),
        ({"tensors": "*.nothing=q8"}, "no matrix of this model matches"),
    ):
        with pytest.raises(ConfigError, match=message):
            stored_types(MODEL, config(**options))
    with pytest.raises(ConfigError, match="quantize_from is"):
        config(quantize_from=1.0)
    done = CliRunner().invoke(shrew, ["train", "--data", "desk", "--out", str(tmp_path / "r"), "--group", "16"])
    assert done.exit_code == 2

    run = make_run(tmp_path / "run", replace(MODEL, vocab=BYTES.vocab), weights="q4", steps=4)
    train(run, ROWS)
    BYTES.save(run.tokenizer_path)
    for weights in ("f32", "q4:16", "ternary"):
        changed = replace(run.config, train=replace(run.config.train, weights=weights))
        (run.path / "config.toml").write_text(changed.to_toml())
        with pytest.raises(RunError, match=r"model\.safetensors: does not fit config\.toml"):
            load_run(run.path)
