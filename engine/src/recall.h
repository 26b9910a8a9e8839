/* The memory of an image: answers to questions that it recognises. docs/FORMAT.md, section 10, says how it is stored. */
#ifndef SHREW_RECALL_H
#define SHREW_RECALL_H

#include "shrew.h"

enum { RECALL_NOTHING, RECALL_ANSWER, RECALL_REFUSAL };

/* What a memory says to a question. */
typedef struct shrew_recollection {
    uint32_t verdict;
    const uint16_t *ids; /* of the answer, ids_count of them, if the verdict is RECALL_ANSWER */
    uint32_t ids_count;
    float confidence;    /* the cosine of question and key, 0 to 1 */
} shrew_recollection;

/* Checks a section. section: aligned to 4. */
int shrew_recall_check(const uint8_t *section, uint32_t size, const shrew_tokenizer *tokenizer);

/* Bytes of work that shrew_recall needs with a checked section. */
size_t shrew_recall_bytes(const uint8_t *section);

/* Looks a question up in a checked section. work: aligned to 4. */
shrew_recollection shrew_recall(const uint8_t *section, const uint8_t *text, size_t bytes, void *work);

#endif
