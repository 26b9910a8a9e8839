#ifndef SHREW_SELFTEST_SECTION_H
#define SHREW_SELFTEST_SECTION_H

#include "shrew.h"

/* u32: prompt tokens, tokens to generate, the digest of these, 0. The ids of the prompt follow. */
enum { SELFTEST_HEADER_BYTES = 16 };

/* Checks a self-test section against the configuration. */
int shrew_selftest_check(const shrew_config *config, const uint8_t *section, uint32_t bytes);

#endif
