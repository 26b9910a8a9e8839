#include "selftest_section.h"

#include "bytes.h"
#include "format.h"

int shrew_selftest_check(const shrew_config *config, const uint8_t *section, uint32_t bytes) {
    if (bytes < SELFTEST_HEADER_BYTES)
        return SHREW_E_SELFTEST_SECTION;
    const uint32_t prompt = aligned_u32(section), generate = aligned_u32(section + 4);
    if (aligned_u32(section + 12))
        return SHREW_E_RESERVED;
    if (!shrew_selftest_fits(config, prompt, generate))
        return SHREW_E_SELFTEST_SECTION;
    const uint32_t end = SELFTEST_HEADER_BYTES + 2 * prompt;
    if (bytes != (uint32_t)shrew_aligned(end, SELFTEST_ALIGNMENT))
        return SHREW_E_SELFTEST_SECTION;
    if (!shrew_ids_exist(config, section + SELFTEST_HEADER_BYTES, prompt))
        return SHREW_E_SELFTEST_SECTION;
    return all_zero(section + end, bytes - end) ? SHREW_OK : SHREW_E_RESERVED;
}
