/* Running the self-test of an image. */
#include "bytes.h"
#include "crc32.h"
#include "format.h"
#include "selftest_section.h"
#include "session.h"

int shrew_session_selftest(shrew_session *session, int *present) {
    if (!session)
        return SHREW_E_ARGUMENT;
    const uint8_t *section = session->model->selftest;
    shrew_session_reset(session);
    if (present)
        *present = section != NULL;
    if (!section)
        return SHREW_OK;
    const uint32_t prompt = aligned_u32(section), generate = aligned_u32(section + 4);
    if (prompt + generate > session->context)
        return SHREW_E_CONTEXT;
    uint32_t digest = 0;
    int status = SHREW_OK;
    for (uint32_t i = 0; i < prompt && !status; i++) {
        const uint16_t id = (uint16_t)aligned_u16(section + SELFTEST_HEADER_BYTES + 2 * i);
        status = shrew_session_feed(session, &id, 1, NULL);
    }
    for (uint32_t i = 0; i < generate && !status; i++) {
        uint32_t id = 0;
        status = shrew_session_sample(session, &shrew_sampling_default, &id);
        if (status)
            break;
        digest = shrew_digest(digest, id);
        const uint16_t next = (uint16_t)id;
        if (i + 1 < generate)
            status = shrew_session_feed(session, &next, 1, NULL);
    }
    shrew_session_reset(session);
    if (status)
        return status;
    return digest == aligned_u32(section + 8) ? SHREW_OK : SHREW_E_SELFTEST;
}
