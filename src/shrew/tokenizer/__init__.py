"""Text to tokens and back. The C engine does the encoding; this package makes tokenizers and stores them in files."""

from shrew.tokenizer.prompt_form import PromptForm, Prompts
from shrew.tokenizer.tokenizer import Tokenizer
from shrew.tokenizer.training import train_bpe, train_character, train_for_corpus

__all__ = ["PromptForm", "Prompts", "Tokenizer", "train_bpe", "train_character", "train_for_corpus"]
