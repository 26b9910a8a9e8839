#ifndef SHREW_CRC32_H
#define SHREW_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 as in zip and PNG. Start with crc 0 and pass the result on to continue. */
uint32_t shrew_crc32(uint32_t crc, const void *bytes, size_t count);

/* The digest of a token sequence: CRC-32 over its ids as little-endian u16. */
static inline uint32_t shrew_digest(uint32_t digest, uint32_t id) {
    const uint8_t bytes[2] = {(uint8_t)id, (uint8_t)(id >> 8)};
    return shrew_crc32(digest, bytes, 2);
}

#endif
