"""The memory of an image: answers to questions that it recognises, before the model reads a word.

In the order of reading: ``section`` is what an image stores, ``recall`` finds the nearest key of a question,
``options`` says what a memory is made of, ``encoder`` is one while it is learnt, with its gradients, ``contrasts``
makes questions that it must refuse, ``calibrate`` chooses its threshold, ``learning`` is the training, and
``remember`` puts questions into a finished one.
"""

from shrew.memory.calibrate import Calibration
from shrew.memory.learning import LearntMemory, learn, pairs_of, to_memory
from shrew.memory.options import MemoryOptions, fit_memory, memory_bytes
from shrew.memory.recall import Nearest, nearest
from shrew.memory.remember import Change, add_entries, changed_answers
from shrew.memory.section import REFUSAL, Memory, read_memory

__all__ = [
    "REFUSAL",
    "Calibration",
    "Change",
    "LearntMemory",
    "Memory",
    "MemoryOptions",
    "Nearest",
    "add_entries",
    "changed_answers",
    "fit_memory",
    "learn",
    "memory_bytes",
    "nearest",
    "pairs_of",
    "read_memory",
    "to_memory",
]
