/* Shrew: learning. The engine's rules hold here too: all memory is the caller's, nothing is allocated, printed or kept
 * between calls, and every function returns SHREW_OK or a negative shrew_status. */
#ifndef SHREW_LEARN_H
#define SHREW_LEARN_H

#include "shrew.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Learning a byte-level BPE vocabulary: count the words of a corpus, then merge their most frequent pairs --- */

/* A word is one distinct pre-token of a corpus (docs/FORMAT.md, byte-level BPE). */
typedef struct shrew_word {
    uint32_t start; /* where it first occurs: text[start .. start + bytes) */
    uint32_t bytes;
    uint32_t count; /* how often it occurs */
} shrew_word;

/* Bytes of memory that counting the words of text_bytes bytes may need: for the worst of texts; what an ordinary text
 * does not need is never touched. SIZE_MAX: more than this machine can address. */
size_t shrew_count_words_bytes(size_t text_bytes);

/* The words of `texts` texts that lie one after the other, text i ending before text[ends[i]]; pre-tokens do not cross
 * an end. ends[texts - 1] is the total, below 4 GiB. unicode: character classes (section 7), or NULL for ASCII rules.
 * *words, in the order in which they first occur, lie at the start of memory, which is aligned to 4. */
int shrew_count_words(const void *text, const uint32_t *ends, size_t texts, const void *unicode, size_t unicode_bytes,
                      void *memory, size_t memory_bytes, const shrew_word **words, size_t *count);

/* Which of several equally frequent pairs is merged first. */
typedef enum shrew_ties {
    SHREW_TIES_BYTES = 0, /* the pair whose left, then right token is greater as bytes */
    SHREW_TIES_IDS = 1    /* the pair whose left, then right token has the lower id, as the tokenizers library does */
} shrew_ties;

typedef struct shrew_bpe_options {
    const uint16_t *byte_ids; /* [256] token of each single byte, all different and below first */
    uint32_t first;           /* id of the first token to learn; the others follow */
    uint32_t vocab;           /* ids end before this one; at most SHREW_MAX_VOCAB */
    uint32_t min_count;       /* rarer pairs are not merged; 0 is taken as 1 */
    uint32_t ties;            /* shrew_ties */
} shrew_bpe_options;

/* Bytes of memory for learning `vocab` tokens from `count` words. SIZE_MAX: more than this machine can address. */
size_t shrew_bpe_train_bytes(const shrew_word *words, size_t count, uint32_t vocab);

/* Learns merges in order of priority: merge i, of the tokens merges[2i] and merges[2i + 1], makes token first + i. There
 * is room for vocab - first of them; *merge_count is smaller where no pair is left. No token is longer than 255 bytes.
 * memory is aligned to 4. */
int shrew_bpe_train(const shrew_bpe_options *options, const void *text, size_t text_bytes, const shrew_word *words,
                    size_t count, void *memory, size_t memory_bytes, uint16_t *merges, size_t *merge_count);

#ifdef __cplusplus
}
#endif
#endif
