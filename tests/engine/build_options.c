/* For test_build_options.py: feeds ids to a model and samples tokens, with memory from static buffers. */
#include <string.h>

#include "shrew.h"

typedef struct request {
    uint32_t cache, draft, marks, top_k;
    float temperature, top_p, min_p, repetition_penalty;
} request;

int feed_and_sample(const void *image, size_t image_bytes, const uint16_t *ids, size_t count, const request *request,
                    float *logits, uint32_t *id);

static void ignore(void *context, shrew_phase phase, uint32_t layer, uint32_t tokens) {
    (void)context, (void)phase, (void)layer, (void)tokens;
}

int feed_and_sample(const void *image, size_t image_bytes, const uint16_t *ids, size_t count, const request *request,
                    float *logits, uint32_t *id) {
    static union {
        long double align;
        uint8_t bytes[1 << 20];
    } image_room, session_room;
    const shrew_session_options options = {
        .cache = request->cache, .draft = request->draft, .mark = request->marks ? ignore : NULL};
    shrew_sampling sampling = shrew_sampling_default;
    sampling.temperature = request->temperature;
    sampling.top_p = request->top_p;
    sampling.min_p = request->min_p;
    sampling.repetition_penalty = request->repetition_penalty;
    sampling.top_k = request->top_k;
    shrew_model model;
    shrew_session *session;
    memcpy(image_room.bytes, image, image_bytes);
    int status = shrew_model_open(&model, image_room.bytes, image_bytes);
    if (!status)
        status = shrew_session_open(&session, &model, &options, session_room.bytes, sizeof session_room.bytes);
    if (!status)
        status = shrew_session_feed(session, ids, count, NULL);
    if (!status)
        memcpy(logits, shrew_session_logits(session), sizeof *logits * model.config.vocab);
    return status ? status : shrew_session_sample(session, &sampling, id);
}
