"""The corpus room: from files to rows of tokens for training.

A corpus consists of documents. A document is a text, learnt as a whole, or a prompt with its response, of which only
the response is learnt. They are processed in these steps::

    corpus = load_corpus("desk")                       # or files, folders: Corpus(train, held_out)
    documents = drop_duplicates(corpus.train)          # optional; find_duplicates only reports
    encoded = encode_documents(documents, tokenizer)   # ids, and which of them are learnt
    rows, report = pack(encoded, context=128)          # PackedRows: no document that fits is cut

``docs/corpus.md`` describes the file formats.
"""

from shrew.corpus.alternatives import RowFilling, compare_packing
from shrew.corpus.builtin import BUILTIN_NAMES, HELD_OUT, BuiltinName, builtin_corpus, load_corpus
from shrew.corpus.confusable import Questions
from shrew.corpus.documents import COMMAND_PREFIX, Document, Kind, commands_of, response_document, text_document
from shrew.corpus.duplicates import DuplicateReport, drop_duplicates, find_duplicates
from shrew.corpus.encode import EncodedDocument, Encoder, encode_document, encode_documents
from shrew.corpus.jsonl import format_jsonl
from shrew.corpus.others import other_questions
from shrew.corpus.packed import PackedRows
from shrew.corpus.packing import PackingReport, pack
from shrew.corpus.readers import END_OF_TEXT, NEWLINE, Format, parse_corpus, read_corpus
from shrew.corpus.split import Corpus, split_corpus
from shrew.corpus.variants import Variation, vary, with_typo

__all__ = [
    "BUILTIN_NAMES",
    "COMMAND_PREFIX",
    "END_OF_TEXT",
    "HELD_OUT",
    "NEWLINE",
    "BuiltinName",
    "Corpus",
    "Document",
    "DuplicateReport",
    "EncodedDocument",
    "Encoder",
    "Format",
    "Kind",
    "PackedRows",
    "PackingReport",
    "Questions",
    "RowFilling",
    "Variation",
    "builtin_corpus",
    "commands_of",
    "compare_packing",
    "drop_duplicates",
    "encode_document",
    "encode_documents",
    "find_duplicates",
    "format_jsonl",
    "load_corpus",
    "other_questions",
    "pack",
    "parse_corpus",
    "read_corpus",
    "response_document",
    "split_corpus",
    "text_document",
    "vary",
    "with_typo",
]
