#include "recall.h"

#include "bytes.h"
#include "numbers.h"
#include "question.h"

enum { MEMORY_HEADER_BYTES = 48, MOST_BUCKETS = 1 << 20, MOST_KEYS = 1 << 24, MOST_DIM = 256, LARGEST_ITEM = 511 };

/* Arrays where the image has them. */
typedef struct memory_view {
    uint32_t buckets, dim, bits, keys, answers, ids;
    float accept, refuse, clear, key_scale;
    const uint8_t *bucket;  /* [buckets][dim] of bits bits */
    const int8_t *key;      /* [keys][dim] */
    const uint16_t *answer; /* [keys]; answers: a refusal */
    const uint32_t *start;  /* [answers] of an answer's ids */
    const uint16_t *id;     /* [ids] */
} memory_view;

static size_t whole_words(size_t bytes) {
    return (bytes + 3) & ~(size_t)3;
}

/* Without the arrays, whose sizes may be wrong. */
static memory_view view_header(const uint8_t *section) {
    memory_view m = {0};
    m.buckets = aligned_u32(section);
    m.dim = aligned_u16(section + 4);
    m.bits = aligned_u16(section + 6);
    m.keys = aligned_u32(section + 8);
    m.answers = aligned_u32(section + 12);
    m.ids = aligned_u32(section + 16);
    m.accept = bits_float(aligned_u32(section + 20));
    m.refuse = bits_float(aligned_u32(section + 24));
    m.clear = bits_float(aligned_u32(section + 28));
    m.key_scale = bits_float(aligned_u32(section + 32));
    return m;
}

static memory_view view_memory(const uint8_t *section) {
    memory_view m = view_header(section);
    m.bucket = section + MEMORY_HEADER_BYTES;
    m.key = (const int8_t *)m.bucket + (size_t)m.buckets * m.dim * m.bits / 8;
    m.answer = (const void *)(m.key + (size_t)m.keys * m.dim);
    m.start = (const void *)((const uint8_t *)m.answer + whole_words(2 * (size_t)m.keys));
    m.id = (const void *)(m.start + m.answers);
    return m;
}

static int is_share(float value) {
    return float_bits(value) <= float_bits(1.0f);
}

int shrew_recall_check(const uint8_t *section, uint32_t size, const shrew_tokenizer *tokenizer) {
    if (size < MEMORY_HEADER_BYTES)
        return SHREW_E_MEMORY_SECTION;
    memory_view m = view_header(section);
    if (m.buckets < 16 || m.buckets > MOST_BUCKETS || m.buckets & (m.buckets - 1) || m.dim < 16 || m.dim > MOST_DIM ||
        m.dim % 16 || (m.bits != 4 && m.bits != 8) || m.keys < 1 || m.keys > MOST_KEYS || m.answers < 1 ||
        m.answers > 0xFFFF || m.ids < m.answers || m.ids > size / 2 || !is_share(m.accept) || !is_share(m.refuse) ||
        m.refuse > m.accept || !is_share(m.clear) || !is_share(m.key_scale) || m.key_scale < 1e-9f)
        return SHREW_E_MEMORY_SECTION;
    if (!all_zero(section + 36, MEMORY_HEADER_BYTES - 36))
        return SHREW_E_RESERVED;
    const uint64_t bytes = MEMORY_HEADER_BYTES + (uint64_t)m.buckets * m.dim * m.bits / 8 + (uint64_t)m.keys * m.dim +
                           whole_words(2 * (size_t)m.keys) + 4 * (uint64_t)m.answers + whole_words(2 * (size_t)m.ids);
    if (bytes != size)
        return SHREW_E_MEMORY_SECTION;
    m = view_memory(section);
    for (uint32_t i = 0; i < m.keys; i++)
        if (m.answer[i] > m.answers)
            return SHREW_E_MEMORY_SECTION;
    for (uint32_t i = 0; i < m.answers; i++)
        if (i ? m.start[i] <= m.start[i - 1] || m.start[i] >= m.ids : m.start[i])
            return SHREW_E_MEMORY_SECTION;
    for (uint32_t i = 0; i < m.ids; i++)
        if (m.id[i] >= tokenizer->vocab || m.id[i] == tokenizer->eos)
            return SHREW_E_MEMORY_SECTION;
    if ((m.keys & 1 && m.answer[m.keys]) || (m.ids & 1 && m.id[m.ids]))
        return SHREW_E_RESERVED;
    return SHREW_OK;
}

size_t shrew_recall_bytes(const uint8_t *section) {
    return 4 * (size_t)view_memory(section).dim;
}

/* A question as the sum of the buckets of its features. */
typedef struct question_sum {
    const memory_view *memory;
    int32_t *sum; /* [dim] */
} question_sum;

static void add_bucket(void *context, uint32_t feature) {
    const question_sum *question = context;
    const memory_view *m = question->memory;
    const uint8_t *row = m->bucket + (size_t)(feature & (m->buckets - 1)) * (m->dim * m->bits / 8);
    int32_t *sum = question->sum;
    if (m->bits == 8) {
        for (uint32_t i = 0; i < m->dim; i++)
            sum[i] += (int8_t)row[i];
        return;
    }
    for (uint32_t i = 0; i < m->dim; i += 2) {
        sum[i] += (row[i / 2] & 15) - 8;
        sum[i + 1] += (row[i / 2] >> 4) - 8;
    }
}

/* Rounds to integers of at most LARGEST_ITEM. Returns 1 / length, or 0 for a question without features. */
static float round_question(int32_t *sum, uint32_t dim) {
    int32_t largest = 0, squares = 0;
    for (uint32_t i = 0; i < dim; i++) {
        const int32_t magnitude = sum[i] < 0 ? -sum[i] : sum[i];
        largest = magnitude > largest ? magnitude : largest;
    }
    if (!largest)
        return 0.0f;
    const float scale = (float)LARGEST_ITEM * shrew_reciprocal((float)largest);
    for (uint32_t i = 0; i < dim; i++) {
        sum[i] = shrew_round_product((float)sum[i], scale);
        squares += sum[i] * sum[i];
    }
    return shrew_rsqrt((float)squares);
}

/* dim is a multiple of 16. Most of the time of a lookup passes here. */
static int32_t key_product(const int8_t *key, const int32_t *question, uint32_t dim) {
    int32_t sum = 0;
    for (const int8_t *const end = key + dim; key < end; key += 8, question += 8)
        sum += key[0] * question[0] + key[1] * question[1] + key[2] * question[2] + key[3] * question[3] +
               key[4] * question[4] + key[5] * question[5] + key[6] * question[6] + key[7] * question[7];
    return sum;
}

shrew_recollection shrew_recall(const uint8_t *section, const uint8_t *text, size_t bytes, void *work) {
    const memory_view m = view_memory(section);
    int32_t *const question = work;
    for (uint32_t i = 0; i < m.dim; i++)
        question[i] = 0;
    question_sum sum = {&m, question};
    shrew_each_feature(text, bytes, add_bucket, &sum);
    const float scale = round_question(question, m.dim) * m.key_scale;
    int32_t best = INT32_MIN, next = INT32_MIN; /* products with the nearest key, and of those of other answers */
    uint32_t answer = m.answers;
    for (uint32_t i = 0; i < m.keys; i++) {
        const int32_t now = key_product(m.key + (size_t)i * m.dim, question, m.dim);
        if (m.answer[i] == answer) {
            best = now > best ? now : best;
        } else if (now > best) {
            next = best;
            best = now;
            answer = m.answer[i];
        } else if (now > next) {
            next = now;
        }
    }
    shrew_recollection found = {RECALL_NOTHING, NULL, 0, 0.0f};
    const float nearness = (float)best * scale;
    if (float_rank(nearness) > 0)
        found.confidence = nearness > 1.0f ? 1.0f : nearness;
    if (answer == m.answers || found.confidence < m.refuse) {
        found.verdict = RECALL_REFUSAL;
    } else if (found.confidence >= m.accept &&
               (next == INT32_MIN || nearness - (float)next * scale >= m.clear)) {
        found.verdict = RECALL_ANSWER;
        found.ids = m.id + m.start[answer];
        found.ids_count = (answer + 1 < m.answers ? m.start[answer + 1] : m.ids) - m.start[answer];
    }
    return found;
}
