"""A small corpus, and images with a memory."""

from __future__ import annotations

from dataclasses import replace

from engine.models import BYTES, random_parameters, tiny_config

from shrew.engine import Model
from shrew.image import build_image
from shrew.memory import Memory
from shrew.tokenizer import PromptForm

REFUSAL = "I do not know that."
FORM = PromptForm()

#: Answers with their questions, the last of which training does not see.
ASKED = {
    "Do: lamp on": ["turn on the lamp", "switch the lamp on", "lamp on", "make it bright", "please turn the lamp on"],
    "Do: lamp off": [
        "turn off the lamp",
        "switch the lamp off",
        "lamp off",
        "make it dark",
        "please turn the lamp off",
    ],
    "Do: timer 5": ["set a timer for 5 minutes", "timer 5 minutes", "wake me in 5 minutes", "start a 5 minute timer"],
    "Do: timer 10": ["set a timer for 10 minutes", "timer 10 minutes", "wake me in 10 minutes", "10 minute timer"],
    "It is 20 degrees.": ["how warm is it", "what is the temperature", "temperature please", "what temperature is it"],
    "It is noon.": ["what time is it", "what is the time", "tell me the time", "can you tell me the time"],
    "I am a lamp.": ["who are you", "what are you", "what is this thing", "what kind of thing are you"],
    "Press the red button.": ["how do i reset you", "how to reset", "reset the device how", "how can i reset you"],
    "It has 4 MB.": ["how much flash is there", "what is the flash size", "flash size", "size of the flash"],
    REFUSAL: ["who won the world cup", "what is the capital of france", "tell me a joke", "do you love me"],
}
PAIRS = [(question, answer) for answer, asked in ASKED.items() for question in asked[:-1]]
HELD_OUT = [(asked[-1], answer) for answer, asked in ASKED.items() if answer != REFUSAL]


def encode(answer: str) -> list[int]:
    return [int(token) for token in BYTES.encode(answer)]


def model_with(memory: Memory) -> Model:
    config = tiny_config(context=400)
    tokenizer = replace(BYTES, prompt_form=FORM)
    metadata = [("refusal", REFUSAL)]
    return Model.from_bytes(build_image(config, random_parameters(config), tokenizer, metadata=metadata, memory=memory))
