#ifndef SHREW_METADATA_H
#define SHREW_METADATA_H

#include <stdint.h>

/* Checks a metadata section and the lengths of its stop strings. */
int shrew_metadata_check(const uint8_t *bytes, uint32_t size);

#endif
