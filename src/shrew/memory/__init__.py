"""The memory of an image: answers to questions that it recognises, before the model reads a word.

In the order of reading: ``section`` is what an image stores.
"""

from shrew.memory.section import REFUSAL, Memory, read_memory

__all__ = ["REFUSAL", "Memory", "read_memory"]
