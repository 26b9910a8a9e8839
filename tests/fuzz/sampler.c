/* Arbitrary logits and sampling options: the result is a token that the options allow, by the same rules in double, or
 * an error code. sampler-N.bin are models with N tokens. */
#include <math.h>

#include "harness.h"
#include "session.h"

enum { MODELS = 5, MOST = 257 };

static shrew_model models[MODELS];

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    const int vocabs[MODELS] = {1, 2, 7, 32, MOST};
    for (int i = 0; i < MODELS; i++) {
        char name[32];
        size_t bytes;
        snprintf(name, sizeof name, "sampler-%d.bin", vocabs[i]);
        const uint8_t *image = read_beside((*argv)[0], name, &bytes);
        MUST(!shrew_model_open(&models[i], image, bytes));
    }
    return 0;
}

static void take_logits(input *in, float *logits, uint32_t vocab) {
    const uint32_t way = take_u8(in);
    for (uint32_t i = 0; i < vocab; i++)
        logits[i] = way % 4 == 0   ? take_float(in)
                    : way % 4 == 1 ? (float)(take_u8(in) % 4)
                    : way % 4 == 2 ? ((float)take_u8(in) - 128.0f) * 0.25f
                                   : ((float)take_u8(in) - 128.0f) * ldexpf(1.0f, (int)(way / 4) - 32);
}

/* An arbitrary float, or one from a range. */
static float take_option(input *in, float least, float most) {
    const uint32_t way = take_u8(in);
    return way == 255 ? take_float(in) : least + (most - least) * (float)(way % 101) / 100.0f;
}

static shrew_sampling take_sampling(input *in) {
    shrew_sampling s = shrew_sampling_default;
    s.temperature = take_option(in, 0.0f, 2.0f);
    s.top_p = take_option(in, 0.01f, 1.0f);
    s.min_p = take_option(in, 0.0f, 1.0f);
    s.repetition_penalty = take_option(in, 0.5f, 1.5f);
    const uint32_t top_k = take_u8(in);
    s.top_k = top_k == 255 ? take_u32(in) : top_k % 64;
    return s;
}

static int in_range(const shrew_sampling *s) {
    return s->temperature >= 0.0f && s->temperature <= 100.0f && s->top_p > 0.0f && s->top_p <= 1.0f &&
           s->min_p >= 0.0f && s->min_p <= 1.0f && s->repetition_penalty >= 0.01f && s->repetition_penalty <= 100.0f;
}

static int descending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Checks that the options allow the token: fewer than top_k tokens are certainly likelier, together they reach less
 * than top_p of what top_k keeps, and the token is likely enough for min_p. */
static void check_choice(const float *logits, uint32_t vocab, const uint16_t *held, uint32_t held_count,
                         const shrew_sampling *s, uint32_t chosen) {
    double weight[MOST], most = -INFINITY, total = 0.0, before = 0.0;
    for (uint32_t i = 0; i < vocab; i++)
        weight[i] = logits[i];
    for (uint32_t i = 0; i < held_count; i++) {
        const double logit = logits[held[i]];
        weight[held[i]] = logit > 0.0 ? logit / (double)s->repetition_penalty : logit * (double)s->repetition_penalty;
    }
    for (uint32_t i = 0; i < vocab; i++)
        most = weight[i] > most ? weight[i] : most;
    if (s->temperature < 0.001f) {
        MUST(weight[chosen] >= most - fabs(most) * 1e-6 - 3e-45); /* a penalty rounds, more coarsely below 2^-126 */
        for (uint32_t i = 0; i < chosen; i++) /* the lowest id among equals, unless a penalty rounds */
            MUST(held_count || weight[i] < most);
        return;
    }
    /* Tolerance for rounding in binary32: of sums, the penalty, and e^x for x far from 0. */
    const double slack = 1e-4 + 1e-6 * (fabs(most) / (double)s->temperature + 100.0);
    if (slack > 0.1)
        return;
    for (uint32_t i = 0; i < vocab; i++)
        weight[i] = exp((weight[i] - most) / (double)s->temperature);
    double sorted[MOST];
    memcpy(sorted, weight, vocab * sizeof *sorted);
    qsort(sorted, vocab, sizeof *sorted, descending);
    for (uint32_t i = 0; i < (s->top_k && s->top_k < vocab ? s->top_k : vocab); i++)
        total += sorted[i];
    uint32_t likelier = 0;
    for (uint32_t i = 0; i < vocab; i++)
        if (weight[i] > weight[chosen] * (1.0 + slack)) {
            likelier++;
            before += weight[i];
        }
    MUST(!s->top_k || likelier < s->top_k);
    MUST(!likelier || before < (double)s->top_p * total * (1.0 + slack));
    MUST(!likelier || weight[chosen] >= (double)s->min_p * (1.0 - slack));
    MUST(weight[chosen] > 0.0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    const shrew_model *model = &models[take_u8(&in) % MODELS];
    const uint32_t vocab = model->config.vocab, seed = take_u8(&in);
    const shrew_sampling sampling = take_sampling(&in);
    uint16_t held[8];
    const uint32_t held_count = 1 + take_u8(&in) % 8;
    for (uint32_t i = 0; i < held_count; i++)
        held[i] = (uint16_t)(take_u8(&in) % vocab);
    float logits[MOST];
    take_logits(&in, logits, vocab);
    int finite = 1;
    for (uint32_t i = 0; i < vocab; i++)
        finite &= isfinite(logits[i]) != 0;

    uint32_t choices[2][4] = {{0}};
    for (int run = 0; run < 2; run++) {
        size_t bytes, used;
        MUST(!shrew_session_bytes(model, NULL, &bytes));
        uint8_t *memory = new_block(bytes, run ? 0x5A : 0xA5);
        shrew_session *session;
        MUST(!shrew_session_open(&session, model, NULL, memory, bytes));
        MUST(!shrew_session_feed(session, held, held_count, &used) && used == held_count);
        memcpy(session->logits, logits, vocab * sizeof *logits);
        shrew_session_seed(session, seed);
        for (int i = 0; i < 4; i++) {
            uint32_t id = UINT32_MAX;
            const int status = shrew_session_sample(session, &sampling, &id);
            MUST((status == SHREW_E_ARGUMENT) == !in_range(&sampling));
            MUST(!status || status == SHREW_E_ARGUMENT || status == SHREW_E_NUMBER);
            choices[run][i] = status ? (uint32_t)status : id;
            if (status)
                continue;
            if (run == 0 && i == 0)
                reached();
            MUST(id < vocab);
            const uint32_t penalized = sampling.repetition_penalty == 1.0f ? 0 : held_count;
            if (finite && run == 0)
                check_choice(logits, vocab, held, penalized, &sampling, id);
        }
        MUST(!memcmp(shrew_session_logits(session), logits, vocab * sizeof *logits));
        free(memory);
    }
    MUST(!memcmp(choices[0], choices[1], sizeof choices[0]));
    return 0;
}
