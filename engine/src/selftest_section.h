#ifndef SHREW_SELFTEST_SECTION_H
#define SHREW_SELFTEST_SECTION_H

#include "shrew.h"

/* Checks a self-test section against the configuration. */
int shrew_selftest_check(const shrew_config *config, const uint8_t *section, uint32_t bytes);

#endif
