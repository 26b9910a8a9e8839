"""Model images: the only writer of ``model.bin``, what is in one, and importers of other formats."""

from shrew.image.commands import Commands
from shrew.image.contents import describe, model_config, read_commands, read_parameters
from shrew.image.llama2c import import_llama2c
from shrew.image.writer import GROUPS, WeightType, build_image, stored_tensors, weight_bytes, write_image

__all__ = [
    "GROUPS",
    "Commands",
    "WeightType",
    "build_image",
    "describe",
    "import_llama2c",
    "model_config",
    "read_commands",
    "read_parameters",
    "stored_tensors",
    "weight_bytes",
    "write_image",
]
