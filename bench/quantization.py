"""What q8 costs: perplexity of stories260K on all of tinystories.txt, as floats and with every group size.

Usage: python bench/quantization.py [--limit DOCUMENTS] [--json]. Reads the folder that SHREW_DATA names (default
../shared/data). About two minutes a row.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from shrew.corpus import read_corpus
from shrew.engine import Model
from shrew.evaluation import score_texts
from shrew.image import WeightType, build_image, import_llama2c
from shrew.tokenizer import import_llama2c as import_tokenizer

DATA = Path(os.environ.get("SHREW_DATA", Path(__file__).parents[2] / "shared" / "data"))
TYPES = [WeightType("f32"), *(WeightType("q8", group) for group in (16, 32, 64, 128))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    config, parameters = import_llama2c(DATA / "stories260K.bin")
    tokenizer = import_tokenizer(DATA / "tok512.bin", vocab=config.vocab)
    texts = [document.response for document in read_corpus(DATA / "tinystories.txt", format="text")][: options.limit]
    rows: list[dict[str, object]] = []
    exact = 0.0
    for weight in TYPES:
        image = build_image(config, parameters, tokenizer, types=weight)
        started = time.perf_counter()
        score = score_texts(Model.from_bytes(image), texts)
        exact = exact or score.perplexity
        row = {
            "type": str(weight),
            "image_bytes": len(image),
            "perplexity": score.perplexity,
            "against_f32": score.perplexity / exact - 1,
            "bits_per_byte": score.bits_per_byte,
            "tokens_per_s": score.tokens / (time.perf_counter() - started),
        }
        rows.append(row)
        if not options.json:
            print(
                f"{weight!s:8} {len(image):>10,} bytes  perplexity {score.perplexity:.4f} ({row['against_f32']:+.3%})  "
                f"{score.bits_per_byte:.4f} bits per byte  {row['tokens_per_s']:,.0f} tokens/s",
                flush=True,
            )
    if options.json:
        print(json.dumps({"documents": len(texts), "rows": rows}))


if __name__ == "__main__":
    main()
