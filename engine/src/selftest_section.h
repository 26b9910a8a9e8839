#ifndef SHREW_SELFTEST_SECTION_H
#define SHREW_SELFTEST_SECTION_H

#include "bytes.h"
#include "shrew.h"

/* Whether so many tokens of a prompt and so many generated ones make a self-test. */
static inline int shrew_selftest_fits(const shrew_config *config, uint32_t prompt, uint32_t generate) {
    return prompt >= 1 && prompt <= config->context && generate >= 1 && generate <= config->context - prompt;
}

/* Whether the vocabulary has all ids, which are u16. */
static inline int shrew_ids_exist(const shrew_config *config, const void *ids, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (aligned_u16((const uint16_t *)ids + i) >= config->vocab)
            return 0;
    return 1;
}

/* Checks a self-test section against the configuration. */
int shrew_selftest_check(const shrew_config *config, const uint8_t *section, uint32_t bytes);

#endif
