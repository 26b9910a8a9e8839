"""Text to tokens and back. The engine (C) does the encoding; this package makes tokenizers and keeps them in files."""

from shrew.tokenizer.prompt_form import PromptForm, Prompts
from shrew.tokenizer.tokenizer import Tokenizer
from shrew.tokenizer.training import train_bpe, train_character, train_for_corpus

__all__ = ["PromptForm", "Prompts", "Tokenizer", "train_bpe", "train_character", "train_for_corpus"]
