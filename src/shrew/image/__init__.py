"""Model images: what one is made from, reading what one contains, and the only caller of the engine's writer."""

from shrew.image.commands import Commands
from shrew.image.contents import describe, model_config, read_commands, read_parameters, stored_memory
from shrew.image.source import Source, image_of, open_float_image, source_of
from shrew.image.writer import WeightType, build_image, weight_bytes, write_image

__all__ = [
    "Commands",
    "Source",
    "WeightType",
    "build_image",
    "describe",
    "image_of",
    "model_config",
    "open_float_image",
    "read_commands",
    "read_parameters",
    "source_of",
    "stored_memory",
    "weight_bytes",
    "write_image",
]
