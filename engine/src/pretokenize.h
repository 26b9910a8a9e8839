/* Splits text into pre-tokens by the rule of GPT-2. Byte-level BPE merges within pre-tokens only. */
#ifndef SHREW_PRETOKENIZE_H
#define SHREW_PRETOKENIZE_H

#include <stddef.h>
#include <stdint.h>

#include "unicode.h"

typedef struct shrew_pretokenizer {
    const uint8_t *unicode; /* checked character classes, or NULL: ASCII rules */
    shrew_class_run run;    /* the last run found in the table: text rarely changes its script. Initially zeros */
} shrew_pretokenizer;

/* Length in bytes of the first pre-token of text[0 .. bytes). bytes >= 1. */
size_t shrew_pretoken(shrew_pretokenizer *cut, const uint8_t *text, size_t bytes);

#endif
