/* For test_build.py: computes all logits of a token sequence, with memory from a static buffer. */
#include <string.h>

#include "shrew.h"

int logits(const void *image, size_t image_bytes, const uint16_t *ids, size_t count, float *out);

int logits(const void *image, size_t image_bytes, const uint16_t *ids, size_t count, float *out) {
    static union {
        long double align;
        uint8_t bytes[1 << 22];
    } image_room, session_room;
    shrew_model model;
    shrew_session *session;
    memcpy(image_room.bytes, image, image_bytes);
    int status = shrew_model_open(&model, image_room.bytes, image_bytes);
    if (!status)
        status = shrew_session_open(&session, &model, NULL, session_room.bytes, sizeof session_room.bytes);
    while (!status && count) {
        size_t used;
        status = shrew_session_feed_logits(session, ids, count, out, &used);
        ids += used;
        out += used * model.config.vocab;
        count -= used;
    }
    return status;
}
