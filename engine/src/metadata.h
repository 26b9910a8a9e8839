#ifndef SHREW_METADATA_H
#define SHREW_METADATA_H

#include "bytes.h"
#include "shrew.h"

enum { MAX_METADATA = 256 };

/* Whether a pair has a key, and a value that can be a stop string if the key says that it is. */
static inline int shrew_pair_is_valid(const void *key, size_t key_bytes, size_t value_bytes) {
    const int is_stop = key_bytes == 4 && bytes_equal(key, "stop", 4);
    return key_bytes >= 1 && !(is_stop && (value_bytes < 1 || value_bytes > SHREW_MAX_STOP_BYTES));
}

/* Checks a metadata section and the lengths of its stop strings. */
int shrew_metadata_check(const uint8_t *bytes, uint32_t size);

#endif
