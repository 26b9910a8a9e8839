/* Images in memory: a place for the writer's bytes, and the digest that is known only once the image is open. */
#include "bytes.h"
#include "crc32.h"
#include "format.h"
#include "shrew_write.h"

#include <string.h>

int shrew_emit_to_memory(void *context, uint64_t offset, const void *bytes, size_t count) {
    const shrew_memory *memory = context;
    if (!memory || offset > memory->capacity || count > memory->capacity - offset)
        return SHREW_E_BUFFER;
    memcpy(memory->bytes + offset, bytes, count);
    return SHREW_OK;
}

int shrew_write_digest(void *image, size_t bytes, uint32_t digest) {
    uint8_t *file = image;
    if (!file)
        return SHREW_E_ARGUMENT;
    if (bytes < IMAGE_HEADER_BYTES)
        return SHREW_E_TRUNCATED;
    const uint32_t sections = read_u32(file + 16);
    for (uint32_t i = 0; i < sections && i < (bytes - IMAGE_HEADER_BYTES) / SECTION_ENTRY_BYTES; i++) {
        const uint8_t *entry = file + IMAGE_HEADER_BYTES + (size_t)i * SECTION_ENTRY_BYTES;
        const uint32_t offset = read_u32(entry + 8);
        if (read_u32(entry) != SHREW_SECTION_SELFTEST)
            continue;
        if (offset > bytes || bytes - offset < SELFTEST_HEADER_BYTES)
            return SHREW_E_SECTION;
        memcpy(file + offset + SELFTEST_DIGEST_OFFSET, &digest, sizeof digest);
        memset(file + CRC_OFFSET, 0, 4);
        const uint32_t crc = shrew_crc32(0, file, bytes);
        memcpy(file + CRC_OFFSET, &crc, sizeof crc);
        return SHREW_OK;
    }
    return SHREW_E_MISSING;
}
