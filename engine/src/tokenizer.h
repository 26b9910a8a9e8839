/* Private to the tokenizer's own files. */
#ifndef SHREW_TOKENIZER_H
#define SHREW_TOKENIZER_H

#include "shrew.h"

enum shrew_tokenizer_flag {
    TOKENIZER_SPACE_PREFIX = 1, /* a space is put before the text (SentencePiece-style) */
    TOKENIZER_UNICODE = 2,      /* pre-tokenisation by Unicode character classes (BPE) */
    TOKENIZER_RANKS = 4,
    TOKENIZER_BYTE_IDS = 8,
    TOKENIZER_FLAGS = 15
};

/* Sizes of docs/FORMAT.md that reading and writing a section share. */
enum {
    TOKENIZER_HEADER_BYTES = 48,
    TOKENIZER_ARRAY_ALIGNMENT = 4,
    TOKENIZER_MOST_MERGES = 0xFFFF,
    PIECES_PER_START = 16,
    MERGE_BYTES = 6
};

typedef struct shrew_byte_span {
    const uint8_t *bytes;
    size_t count;
} shrew_byte_span;

/* The bytes of a token; id < vocab. */
shrew_byte_span shrew_piece(const shrew_tokenizer *tokenizer, uint32_t id);

/* The text of a token after a previous one, without the space that encoding puts before a text. */
shrew_byte_span shrew_spoken_bytes(const shrew_tokenizer *tokenizer, uint32_t previous, uint32_t id);

/* Compares two byte strings: negative, zero or positive. */
int shrew_compare_spans(shrew_byte_span a, shrew_byte_span b);

#endif
