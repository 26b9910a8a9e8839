"""The whole network: gradients against differences for every switch, packing, weights, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from gradient_checks import numerical_gradient, pack_lengths, random_parameters

from shrew.corpus.packed import PackedRows
from shrew.model.config import ModelConfig
from shrew.model.documents import split_into_blocks
from shrew.model.gradients import evaluate, loss_and_gradients
from shrew.model.parameters import Parameters, init_parameters
from shrew.model.transformer import forward

BASE = ModelConfig(dim=6, layers=2, heads=4, kv_heads=2, head_dim=2, vocab=7, context=9, ffn=5)
ALL_BIASES = {"bias_qkv": True, "bias_out": True, "bias_mlp": True}
VARIANTS = {
    "llama": BASE,
    "no-gqa": replace(BASE, kv_heads=4),
    "gpt2": replace(BASE, norm="layer", position="learned", mlp="gelu", **ALL_BIASES),
    "microgpt": replace(
        BASE, norm="rms-plain", position="learned", mlp="relu", tied_head=False, embed_norm=True, final_norm=False
    ),
    "biases": replace(BASE, **ALL_BIASES, tied_head=False),
    "qkv-bias": replace(BASE, bias_qkv=True, norm="layer", embed_norm=True, mlp="relu"),
    "out-bias": replace(BASE, bias_out=True, norm="rms-plain", mlp="gelu"),
    "mlp-bias": replace(BASE, bias_mlp=True, embed_norm=True, final_norm=False, layers=1),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_equal_differences(name):
    config = VARIANTS[name]
    parameters = random_parameters(config)
    rows = pack_lengths([[5, 3], [9], [1, 4, 2]], 9, config.vocab)
    loss, weight, gradients = loss_and_gradients(config, parameters, rows)
    assert weight == rows.weights.sum()
    numerical = numerical_gradient(lambda: evaluate(config, parameters, rows)[0], parameters.flat)
    np.testing.assert_allclose(gradients.flat, numerical, rtol=1e-6, atol=1e-7)
    assert all(gradient.any() for gradient in gradients.values())
    assert evaluate(config, parameters, rows) == (loss, weight)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_document_does_not_see_its_neighbours(name):
    config = VARIANTS[name]
    parameters = random_parameters(config)
    rows = pack_lengths([[4, 5], [3, 2, 1]], 9, config.vocab)
    logits = forward(config, parameters, rows.inputs, documents=rows.documents, positions=rows.positions)
    for r, lengths in enumerate([[4, 5], [3, 2, 1]]):
        start = 0
        for length in lengths:
            alone = forward(config, parameters, rows.inputs[r : r + 1, start : start + length])
            np.testing.assert_allclose(logits[r, start : start + length], alone[0], rtol=1e-10, atol=1e-12)
            start += length
        assert not logits[r, start:].any()


def test_logits_do_not_depend_on_later_tokens():
    parameters = random_parameters(BASE)
    ids = np.array([[1, 2, 3, 4, 5]])
    changed = np.array([[1, 2, 3, 6, 0]])
    before, after = (forward(BASE, parameters, x) for x in (ids, changed))
    np.testing.assert_allclose(before[:, :3], after[:, :3], rtol=1e-12)
    assert np.abs(before[:, 3:] - after[:, 3:]).min() > 0


def test_targets_without_weight_are_not_learned():
    parameters = random_parameters(BASE)
    rows = pack_lengths([[5, 3], [9]], 9, BASE.vocab)
    other = replace_targets(rows, np.where(rows.weights > 0, rows.targets, (rows.targets + 1) % BASE.vocab))
    first, second = (loss_and_gradients(BASE, parameters, x) for x in (rows, other))
    assert first[0] == second[0]
    assert np.array_equal(first[2].flat, second[2].flat)


def replace_targets(rows, targets):
    return PackedRows(rows.inputs, targets.astype(np.uint16), rows.weights, rows.documents, rows.positions)


def test_loss_is_that_of_the_logits():
    parameters = random_parameters(BASE)
    rows = pack_lengths([[5, 3], [9], [2]], 9, BASE.vocab)
    logits = forward(BASE, parameters, rows.inputs, documents=rows.documents, positions=rows.positions)
    log_sum = np.log(np.exp(logits).sum(axis=2))
    chosen = np.take_along_axis(logits, rows.targets.astype(int)[..., None], axis=2)[..., 0]
    assert evaluate(BASE, parameters, rows)[0] == pytest.approx(((log_sum - chosen) * rows.weights).sum(), rel=1e-12)


def test_nothing_to_learn():
    rows = pack_lengths([[3]], 9, BASE.vocab, prompt=1.0)
    loss, weight, gradients = loss_and_gradients(BASE, init_parameters(BASE, 0), rows)
    assert (loss, weight, gradients.flat.any()) == (0.0, 0.0, False)


def test_threads_change_no_bit():
    config = replace(BASE, context=64)
    parameters = init_parameters(config, 0)
    rng = np.random.default_rng(0)
    rows = pack_lengths([list(rng.integers(5, 16, 4)) for _ in range(70)], 64, config.vocab)
    assert len(split_into_blocks(rows)) == 4
    alone = loss_and_gradients(config, parameters, rows)
    for threads in (1, 2, 3):
        with ThreadPoolExecutor(threads) as executor:
            for _ in range(3):
                shared = loss_and_gradients(config, parameters, rows, executor=executor)
                assert shared[:2] == alone[:2]
                assert np.array_equal(shared[2].flat, alone[2].flat)
            assert evaluate(config, parameters, rows, executor=executor) == evaluate(config, parameters, rows)


def test_float32_work_stays_float32():
    parameters = init_parameters(BASE, 0)
    rows = pack_lengths([[5, 3]], 9, BASE.vocab)
    assert forward(BASE, parameters, rows.inputs).dtype == np.float32
    assert loss_and_gradients(BASE, parameters, rows)[2].flat.dtype == np.float32


def test_a_plain_dictionary_will_do():
    parameters = init_parameters(BASE, 0)
    ids = np.array([[1, 2, 3]], np.uint16)
    copies = {name: tensor.copy() for name, tensor in parameters.items()}
    assert np.array_equal(forward(BASE, copies, ids), forward(BASE, parameters, ids))


# ---- Blocks ----------------------------------------------------------------------------------------------------


def test_blocks_hold_every_learned_token_once():
    rng = np.random.default_rng(2)
    rows = pack_lengths([list(rng.integers(1, 20, 3)) for _ in range(50)], 60, 99)
    blocks = split_into_blocks(rows, block_tokens=100)
    assert len(blocks) > 5
    seen = np.concatenate([block.source[block.source >= 0] for block in blocks])
    assert sorted(seen) == sorted(np.flatnonzero(rows.documents >= 0))
    for block in blocks:
        real = block.source >= 0
        assert real[:, 0].all()
        assert block.weights[~real].sum() == 0
        for name in ("inputs", "targets", "weights", "positions"):
            flat = getattr(rows, name).reshape(-1)
            assert np.array_equal(getattr(block, name)[real], flat[block.source[real]])
    sizes = [block.source.size for block in blocks]
    assert len(blocks) % 2 == 0
    assert max(sizes) <= 160  # 100 tokens and what fills short documents up
    assert sum(sizes) < 1.2 * len(seen)  # little is wasted on padding


def test_blocks_without_anything_to_learn_are_left_out():
    assert split_into_blocks(pack_lengths([[5]], 9, 7, prompt=1.0)) == []
    assert split_into_blocks(pack_lengths([[]], 9, 7)) == []


def test_a_document_ends_with_its_row():
    """Equal indices in neighbouring rows are two documents."""
    rows = pack_lengths([[9], [9]], 9, 7)
    assert sum(len(block.inputs) for block in split_into_blocks(rows)) == 2


# ---- Parameters --------------------------------------------------------------------------------------------------


def test_gradients_have_the_names_and_shapes_of_parameters():
    parameters = init_parameters(BASE, 0)
    gradients = loss_and_gradients(BASE, parameters, pack_lengths([[5]], 9, BASE.vocab))[2]
    assert {n: x.shape for n, x in gradients.items()} == {n: x.shape for n, x in parameters.items()}
    assert parameters["layers.1.key.weight"].base is not None  # views of one buffer
    parameters.flat[:] = 7
    assert all((tensor == 7).all() for tensor in parameters.values())


def test_init_is_seeded_and_starts_near_a_uniform_guess():
    config = ModelConfig(dim=64, layers=4, heads=4, vocab=512, context=32, ffn=160)
    parameters = init_parameters(config, 5)
    assert np.array_equal(parameters.flat, init_parameters(config, 5).flat)
    assert not np.array_equal(parameters.flat, init_parameters(config, 6).flat)
    loss, weight = evaluate(config, parameters, pack_lengths([[32]] * 4, 32, 512))
    assert loss / weight == pytest.approx(np.log(512), rel=0.05)


def test_parameters_of_checks_names_and_shapes():
    tensors = dict(init_parameters(BASE, 0).items())
    wrong = tensors | {"layers.0.out.weight": np.zeros((1, 1), np.float32)}
    with pytest.raises(Exception, match=r"layers\.0\.out\.weight is \(1, 1\), must be \(6, 8\)"):
        Parameters.of(BASE, wrong)
    with pytest.raises(Exception, match="extra does not belong"):
        Parameters.of(BASE, tensors | {"extra": np.zeros(1)})
    del tensors["final_norm.weight"]
    with pytest.raises(Exception, match=r"final_norm\.weight is missing"):
        Parameters.of(BASE, tensors)
