from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from shrew.corpus import Corpus
from shrew.corpus.documents import text_document
from shrew.engine import Model
from shrew.errors import ConfigError
from shrew.image import WeightType, build_image, describe, weight_bytes
from shrew.model import presets
from shrew.model.config import tensor_specs
from shrew.model.parameters import init_parameters
from shrew.model.presets import PRESETS, preset
from shrew.run import TrainConfig, stored_types
from shrew.tokenizer import train_bpe


def test_the_two_that_are_known_by_their_size():
    assert preset("microgpt").model.parameters == 4192
    assert preset("stories260k").model.parameters == 260032


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_as_documented(name):
    documented = re.search(rf"`{name}` +([\d,]+) ", presets.__doc__)
    assert int(documented[1].replace(",", "")) == preset(name).model.parameters
    assert init_parameters(preset(name).model, 0).flat.size == preset(name).model.parameters


@pytest.mark.parametrize(("layers", "dim", "ffn"), [(18, 192, 320), (22, 128, 768), (12, 192, 768), (18, 128, 768)])
def test_question_models_are_gpt2_with_every_bias(layers, dim, ffn):
    """Counted as GPT-2 is: the head is the embedding, and every linear layer and norm has a bias."""
    vocab, context = 4096, 128
    attention = dim * 3 * dim + 3 * dim + dim * dim + dim
    mlp = dim * ffn + ffn + ffn * dim + dim
    norms = 2 * 2 * dim
    model = preset(f"qa-{layers}x{dim}").model
    assert model.parameters == (vocab + context) * dim + layers * (attention + mlp + norms) + 2 * dim
    assert (model.vocab, model.context, model.ffn, model.head_dim) == (vocab, context, ffn, 32)
    assert (model.norm, model.position, model.mlp) == ("layer", "learned", "gelu")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("microgpt", (1, 16, 4, 4, 64, 27, 16)), ("stories260k", (5, 64, 8, 4, 172, 512, 512))],
)
def test_known_models_have_their_shape(name, shape):
    m = preset(name).model
    assert (m.layers, m.dim, m.heads, m.kv_heads, m.ffn, m.vocab, m.context) == shape


@pytest.mark.parametrize("weight", ["q8", "q4"])
@pytest.mark.parametrize("name", ["microgpt", "nano", "stories260k"])
def test_listed_bytes_are_those_of_an_image(name, weight):
    model = replace(preset(name).model, vocab=259)
    tokenizer = train_bpe([], vocab=259)
    image = build_image(model, init_parameters(model, 0), tokenizer, types=WeightType(weight))
    sections = describe(Model.from_bytes(image))["sections"]
    tensors = next(section for section in sections if section["name"] == "tensor data")
    assert weight_bytes(model, WeightType(weight)) == tensors["bytes"]


@pytest.mark.parametrize(
    ("name", "most"),
    [("image-64k", 64_000), ("image-230k", 230_000), ("image-1m", 1_000_000), ("image-4m", 4_000_000)],
)
def test_presets_by_size_fill_it_and_no_more(name, most):
    """As trained, with the tokenizer of a text that has so many tokens to learn."""
    chosen, chance = preset(name), random.Random(0)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 8))) for _ in range(8000)]
    text = " ".join(chance.choices(words, k=40_000))
    tokenizer = chosen.learn_tokenizer(Corpus("words", [text_document(text, source="words", line=1)], []))
    assert tokenizer.vocab == chosen.model.vocab
    config = chosen.model_for(tokenizer.vocab)
    types = stored_types(config, TrainConfig(**chosen.train))
    assert {str(types[spec.name]) for spec in tensor_specs(config) if not spec.vector} == {"q4:32"}
    image = build_image(config, init_parameters(config, 0), tokenizer, types=types)
    assert 0.93 * most < len(image) <= most


@pytest.mark.parametrize("name", PRESETS)
def test_training_options_are_valid(name):
    TrainConfig(**preset(name).train)


def test_model_for_another_vocabulary():
    assert preset("desk").model_for(501).vocab == 501


def test_unknown_preset():
    with pytest.raises(ConfigError, match="no preset 'dask'; there are microgpt, nano, desk"):
        preset("dask")
