#include "selftest_section.h"

#include "bytes.h"
#include "format.h"

int shrew_selftest_check(const shrew_config *config, const uint8_t *section, uint32_t bytes) {
    if (bytes < SELFTEST_HEADER_BYTES)
        return SHREW_E_SELFTEST_SECTION;
    const uint32_t prompt = aligned_u32(section), generate = aligned_u32(section + 4);
    if (aligned_u32(section + 12))
        return SHREW_E_RESERVED;
    if (prompt < 1 || prompt > config->context || generate < 1 || generate > config->context - prompt)
        return SHREW_E_SELFTEST_SECTION;
    const uint32_t end = SELFTEST_HEADER_BYTES + 2 * prompt;
    if (bytes != ((end + 3) & ~3u))
        return SHREW_E_SELFTEST_SECTION;
    for (uint32_t i = 0; i < prompt; i++)
        if (aligned_u16(section + SELFTEST_HEADER_BYTES + 2 * i) >= config->vocab)
            return SHREW_E_SELFTEST_SECTION;
    return all_zero(section + end, bytes - end) ? SHREW_OK : SHREW_E_RESERVED;
}
