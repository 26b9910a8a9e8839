/* Mutates images and drives whatever opens through everything that a caller may do with it.
 *
 * Build with -fsanitize=address,undefined. Usage: fuzz_image COUNT SEED IMAGE... prints how many opened; a finding is a
 * sanitizer's report and a non-zero exit. Half of the mutants get a right checksum, so that the deeper checks are
 * reached. Each mutant and each session lies in a heap block of exactly its size, so that any byte outside is seen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "shrew.h"

static uint64_t state;

static uint32_t random_below(uint32_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % limit);
}

static void put_u32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void set_checksum(uint8_t *image, size_t size) {
    if (size < 16)
        return;
    put_u32(image + 12, 0);
    put_u32(image + 12, shrew_crc32(0, image, size));
}

/* Numbers that break careless arithmetic. */
static const uint32_t edges[] = {0, 1, 2, 15, 16, 63, 64, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000u,
                                 0xFFFFFFC0u, 0xFFFFFFFFu, 0x7FC00000u, 0x7F800000u};

static size_t mutate(uint8_t *image, size_t size, size_t structure) {
    const uint32_t changes = 1 + random_below(4);
    for (uint32_t i = 0; i < changes; i++) {
        /* Most of the bytes are weights; most of the mistakes lie before them. */
        const size_t at = random_below((uint32_t)(random_below(4) ? structure : size));
        switch (random_below(5)) {
        case 0: image[at] ^= (uint8_t)(1u << random_below(8)); break;
        case 1: image[at] = (uint8_t)random_below(256); break;
        case 2:
            if (at + 4 <= size)
                put_u32(image + at / 4 * 4, edges[random_below(sizeof edges / sizeof *edges)]);
            break;
        case 3:
            if (at + 4 <= size)
                put_u32(image + at / 4 * 4, (uint32_t)(image[at] + random_below(17) - 8));
            break;
        default: {
            const size_t from = random_below((uint32_t)structure);
            const size_t count = 1 + random_below(16);
            if (from + count <= size && at + count <= size)
                memmove(image + at, image + from, count);
        }
        }
    }
    if (random_below(16) == 0)
        size = random_below((uint32_t)size) + 1;
    return size;
}

static void drive(const shrew_model *model) {
    const char *key, *value;
    size_t key_bytes, value_bytes, bytes, count;
    unsigned sum = 0;
    for (uint32_t i = 0; !shrew_model_metadata(model, i, &key, &key_bytes, &value, &value_bytes); i++)
        sum += (unsigned)(key_bytes ? key[key_bytes - 1] : 0) + (unsigned)(value_bytes ? value[value_bytes - 1] : 0);
    for (uint32_t id = 0; id < model->config.vocab; id++) {
        const uint8_t *piece;
        if (!shrew_token_bytes(&model->tokenizer, id, &piece, &count) && count)
            sum += piece[0] + piece[count - 1];
    }
    static const char text[] = "Hello w\xC3\xB6rld \xF0\x9F\x98\x80 123  \n\t it's \xFF\xC0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    uint16_t ids[sizeof text + 1];
    sum += (unsigned)shrew_encode(&model->tokenizer, text, sizeof text, ids, sizeof ids / sizeof *ids, &count, NULL, 0);
    const shrew_session_options options = {0, 1 + random_below(8)};
    if (shrew_session_bytes(model, &options, &bytes) || bytes > 64u << 20)
        return;
    void *memory = NULL;
    if (posix_memalign(&memory, SHREW_ALIGNMENT, bytes))
        return;
    shrew_session *session;
    if (!shrew_session_open(&session, model, &options, memory, bytes)) {
        static const char *const stops[] = {"ab", "zz top"};
        shrew_request request = {text, random_below(24), random_below(2), 0, 6, 1, {0.9f, 0.9f, 0.05f, 1.1f, 40}, stops, 2};
        if (random_below(2))
            request.sampling.temperature = 0.0f;
        char out[SHREW_TEXT_BYTES];
        shrew_progress progress = {0};
        if (!shrew_session_begin(session, &request))
            for (int i = 0; i < 64 && !shrew_session_next(session, out, sizeof out, &progress) && !progress.finish; i++)
                sum += progress.text_bytes ? (unsigned)out[progress.text_bytes - 1] : 0;
        shrew_session_selftest(session, NULL);
    }
    free(memory);
    if (sum == 1)
        putchar(' '); /* so that no read is optimised away */
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    const long count = atol(argv[1]);
    state = strtoull(argv[2], NULL, 10) * 2 + 1;
    long opened = 0;
    for (int file = 3; file < argc; file++) {
        FILE *input = fopen(argv[file], "rb");
        if (!input)
            return 2;
        static uint8_t original[1 << 20];
        const size_t size = fread(original, 1, sizeof original, input);
        fclose(input);
        /* Where the tensor data begins: the largest section offset. */
        size_t structure = size;
        if (size > 96) {
            const uint32_t sections = original[16];
            const uint8_t *last = original + 64 + 16 * (sections - 1) + 8;
            structure = (size_t)last[0] | (size_t)last[1] << 8 | (size_t)last[2] << 16;
        }
        for (long i = 0; i < count / (argc - 3); i++) {
            uint8_t *mutant = malloc(size);
            memcpy(mutant, original, size);
            const size_t kept = mutate(mutant, size, structure);
            void *image = NULL;
            if (posix_memalign(&image, SHREW_ALIGNMENT, kept))
                return 2;
            memcpy(image, mutant, kept);
            free(mutant);
            if (random_below(2) || i % 2) {
                if (kept >= 12)
                    put_u32((uint8_t *)image + 8, (uint32_t)kept);
                set_checksum(image, kept);
            }
            shrew_model model;
            if (!shrew_model_open(&model, image, kept)) {
                opened++;
                drive(&model);
            }
            free(image);
        }
    }
    printf("%ld mutants, %ld opened\n", count, opened);
    return 0;
}
