/* A whole model image: an image that opens goes through everything that a caller may do. Inputs are model.bin files.
 * The mutator changes one section at a time and then corrects offsets, size and checksum. */
#include "crc32.h"
#include "harness.h"
#include "kernels/kernels.h"
#include "utf8.h"

enum { HEADER_BYTES = 64, ENTRY_BYTES = 16, MAX_SECTIONS = 32, MAX_IMAGE = 1 << 17 };
enum { CONFIG = 1, DIRECTORY = 3, WEIGHTS = 4 };

/* ---- Mutation ------------------------------------------------------------------------------------------------- */

typedef struct section {
    uint32_t kind, flags;
    const uint8_t *bytes;
    uint32_t size;
} section;

static uint32_t get_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static void put_u32(uint8_t *at, uint32_t value) {
    memcpy(at, &value, sizeof value);
}

static void set_checksum(uint8_t *image, size_t size) {
    put_u32(image + 12, 0);
    put_u32(image + 12, shrew_crc32(0, image, size));
}

/* Finds the sections of an image. Returns their number; 0 if the section table is unusable. */
static uint32_t take_apart(const uint8_t *image, size_t size, section sections[MAX_SECTIONS]) {
    const uint32_t count = size < HEADER_BYTES ? 0 : get_u32(image + 16);
    if (count < 1 || count > MAX_SECTIONS || size < HEADER_BYTES + count * ENTRY_BYTES)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = image + HEADER_BYTES + i * ENTRY_BYTES;
        const uint32_t offset = get_u32(entry + 8), bytes = get_u32(entry + 12);
        if (offset > size || bytes > size - offset)
            return 0;
        sections[i] = (section){get_u32(entry), get_u32(entry + 4), image + offset, bytes};
    }
    return count;
}

/* Writes an image with a correct table and checksum to out. Returns its size; 0 if it does not fit. */
static size_t put_together(const section *sections, uint32_t count, uint8_t *out, size_t most) {
    static uint8_t image[MAX_IMAGE];
    size_t end = HEADER_BYTES + count * ENTRY_BYTES;
    memset(image, 0, sizeof image);
    memcpy(image, "SHRW", 4);
    put_u32(image + 4, SHREW_FORMAT_VERSION);
    put_u32(image + 16, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *entry = image + HEADER_BYTES + i * ENTRY_BYTES;
        const size_t start = (end + 63) / 64 * 64;
        if (start > sizeof image || sections[i].size > sizeof image - start)
            return 0;
        put_u32(entry, sections[i].kind);
        put_u32(entry + 4, sections[i].flags);
        put_u32(entry + 8, (uint32_t)start);
        put_u32(entry + 12, sections[i].size);
        memcpy(image + start, sections[i].bytes, sections[i].size);
        end = start + sections[i].size;
    }
    put_u32(image + 8, (uint32_t)end);
    set_checksum(image, end);
    if (end > most)
        return 0;
    memcpy(out, image, end);
    return end;
}

/* Numbers that break careless arithmetic: NaN, infinities, the largest and the smallest floats. */
static const uint32_t edges[] = {0x7FC00000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x71800000,
                                 0x0D7FFFFF, 0x00000001, 0x80000001, 0x80000000, 0,          0xFFFFFFFF};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    static uint8_t changed[MAX_IMAGE];
    section sections[MAX_SECTIONS];
    const uint32_t count = take_apart(data, size, sections), way = seed % 16, which = seed / 16;
    if (!count || way == 0)
        return LLVMFuzzerMutate(data, size, most);
    if (way == 1) {
        LLVMFuzzerMutate(data, HEADER_BYTES + count * ENTRY_BYTES, HEADER_BYTES + count * ENTRY_BYTES);
        set_checksum(data, size);
        return size;
    }
    section *target = &sections[which % count];
    if (way < 8)
        for (uint32_t i = 0; i < count; i++)
            target = sections[i].kind == WEIGHTS ? &sections[i] : target;
    if (target->size < 4 || target->size > sizeof changed / 2)
        return LLVMFuzzerMutate(data, size, most);
    memcpy(changed, target->bytes, target->size);
    if (way < 8) {
        put_u32(changed + which % (target->size / 4) * 4, edges[seed / 7 % (sizeof edges / sizeof *edges)]);
    } else {
        const size_t room = target->kind == WEIGHTS ? target->size : sizeof changed / 2;
        const size_t left = LLVMFuzzerMutate(changed, target->size, room);
        if (target->kind != WEIGHTS) /* the directory determines their size */
            target->size = (uint32_t)left;
    }
    target->bytes = changed;
    const size_t made = put_together(sections, count, data, most);
    return made ? made : size;
}

/* Combines sections of two images; configuration, directory and weights stay together. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out,
                                 size_t most, unsigned seed) {
    section ours[MAX_SECTIONS], theirs[MAX_SECTIONS];
    const uint32_t count = take_apart(a, a_size, ours), other = take_apart(b, b_size, theirs);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < other; j++) {
            const uint32_t kind = ours[i].kind == DIRECTORY || ours[i].kind == WEIGHTS ? CONFIG : ours[i].kind;
            if (ours[i].kind == theirs[j].kind && seed >> kind % 32 & 1)
                ours[i] = theirs[j];
        }
    return count ? put_together(ours, count, out, most) : 0;
}

/* ---- Use ------------------------------------------------------------------------------------------------------ */

static uint32_t touch(const void *bytes, size_t count) {
    return shrew_crc32(0, bytes, count);
}

static uint32_t read_everything(const shrew_model *model) {
    const char *key, *value;
    size_t key_bytes, value_bytes, count;
    uint32_t sum = 0;
    for (uint32_t i = 0; !shrew_model_metadata(model, i, &key, &key_bytes, &value, &value_bytes); i++)
        sum ^= touch(key, key_bytes) ^ touch(value, value_bytes);
    for (uint32_t id = 0; id <= model->config.vocab; id++) {
        const uint8_t *piece;
        const int status = shrew_token_bytes(&model->tokenizer, id, &piece, &count);
        MUST(status == (id < model->config.vocab ? SHREW_OK : SHREW_E_ARGUMENT));
        sum ^= status ? 0 : touch(piece, count);
    }
    for (uint32_t role = 0; role <= SHREW_ROLES; role++)
        for (uint32_t layer = 0; layer <= model->config.layers; layer++) {
            shrew_tensor tensor;
            if (shrew_model_tensor(model, (shrew_role)role, layer, &tensor))
                continue;
            const uint32_t per_byte = shrew_rows_per_byte(tensor.type);
            sum ^= touch(tensor.data, (size_t)((tensor.rows + per_byte - 1) / per_byte) * tensor.stride);
            if (tensor.row_scales)
                sum ^= touch(tensor.row_scales, tensor.rows * sizeof *tensor.row_scales);
            if (tensor.multipliers)
                sum ^= touch(tensor.multipliers, (size_t)tensor.rows * tensor.groups);
        }
    return sum;
}

/* The output of a conversation, and the result of each call. */
typedef struct transcript {
    uint32_t digest;
    int failed;
} transcript;

static void note(transcript *said, const void *bytes, size_t count) {
    said->digest = shrew_crc32(said->digest, bytes, count);
}

static int is_known(int status) {
    return status <= SHREW_OK && strcmp(shrew_status_text(status), "unknown status");
}

/* Returns 1 if the conversation can continue. */
static int note_status(transcript *said, int status) {
    MUST(is_known(status));
    note(said, &status, sizeof status);
    said->failed |= status;
    return status == SHREW_OK;
}

static void note_text(transcript *said, const uint8_t *text, size_t bytes) {
    note(said, text, bytes);
    while (bytes) {
        uint32_t code_point;
        const size_t length = shrew_read_character(text, bytes, &code_point);
        MUST(code_point != NOT_UTF8);
        text += length;
        bytes -= length;
    }
}

/* The command of the last generation, if there is one, in a buffer that ends where its room does. */
static void note_command(shrew_session *session, transcript *said) {
    uint8_t *command = new_block(SHREW_MAX_COMMAND_BYTES, 0);
    size_t bytes = 0;
    const int status = shrew_session_command(session, command, SHREW_MAX_COMMAND_BYTES, &bytes);
    MUST(status == SHREW_OK || status == SHREW_E_STATE);
    note(said, &status, sizeof status);
    if (!status)
        note(said, command, bytes);
    free(command);
}

static void generate(shrew_session *session, const shrew_request *request, transcript *said) {
    uint8_t *text = new_block(SHREW_TEXT_BYTES, 0);
    shrew_progress progress = {0};
    int going = note_status(said, shrew_session_begin(session, request));
    while (going && !progress.finish) {
        const int status = shrew_session_next(session, text, SHREW_TEXT_BYTES, &progress);
        if (status) {
            note_status(said, status);
            break;
        }
        note_text(said, text, progress.text_bytes);
        if (progress.token != SHREW_NO_TOKEN)
            note(said, &progress.token, sizeof progress.token);
    }
    note(said, &progress.finish, sizeof progress.finish);
    note_command(session, said);
    free(text);
}

static void check_reset(shrew_session *session) {
    uint32_t id;
    MUST(!shrew_session_reset(session) && shrew_session_position(session) == 0 && !shrew_session_logits(session));
    MUST(shrew_session_sample(session, &shrew_sampling_default, &id) == SHREW_E_STATE);
}

static void feed(shrew_session *session, uint32_t vocab, uint32_t context, transcript *said) {
    const uint16_t ids[] = {0, (uint16_t)(vocab - 1), (uint16_t)(vocab / 2), (uint16_t)vocab};
    float *logits = (float *)(void *)new_block(3 * vocab * sizeof *logits, 0);
    size_t used, taken = 0;
    int status = SHREW_OK;
    MUST(shrew_session_feed(session, ids + 3, 1, &used) == (context ? SHREW_E_ARGUMENT : SHREW_E_CONTEXT));
    for (; taken < 3 && !status; taken += status ? 0 : used) {
        status = shrew_session_feed_logits(session, ids + taken, 3 - taken, logits + taken * vocab, &used);
        MUST(status || (used >= 1 && used <= 3 - taken));
    }
    if (note_status(said, status))
        note(said, logits, 3 * vocab * sizeof *logits);
    MUST(shrew_session_position(session) <= context);
    free(logits);
}

/* Memory is filled with `fill` before; the output must not depend on it. */
static transcript converse(const shrew_model *model, const shrew_session_options *options, uint32_t choice, int fill) {
    static const char text[] = "Hello w\xC3\xB6rld \xF0\x9F\x98\x80 123  \n\t it's \xFF\xC0 "
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const char *const stops[] = {"a", "zz top"};
    transcript said = {0, 0};
    size_t bytes;
    MUST(!shrew_session_bytes(model, options, &bytes));
    if (bytes > 16u << 20)
        return said;
    uint8_t *memory = new_block(bytes, fill);
    shrew_session *session;
    MUST(!shrew_session_open(&session, model, options, memory, bytes));
    shrew_sampling sampling = shrew_sampling_default;
    sampling.temperature = sampling.top_p = 0.9f;
    sampling.min_p = 0.05f;
    sampling.repetition_penalty = 1.1f;
    sampling.top_k = 40;
    shrew_request request = {text, (choice >> 6) % sizeof text, choice >> 13 & 1, 0, 6, 1, sampling, stops, 2};
    if (choice >> 14 & 1)
        request.sampling.temperature = 0.0f;
    generate(session, &request, &said);
    if (!said.failed) {
        request.prompt_bytes = choice >> 15 & 15;
        request.keep = 1;
        generate(session, &request, &said);
    }
    const uint16_t first_id = 0; /* which may take the place of an answer from memory */
    if (!said.failed)
        note_status(&said, shrew_session_feed(session, &first_id, 1, NULL));
    note_command(session, &said);
    check_reset(session);
    feed(session, model->config.vocab, options->context, &said);
    int present;
    const int status = shrew_session_selftest(session, &present);
    MUST(status != SHREW_E_ARGUMENT);
    note_status(&said, status);
    note(&said, &present, sizeof present);
    free(memory);
    return said;
}

static void last_first(void *context, uint32_t count, void (*task)(void *, uint32_t), void *argument) {
    (void)context;
    while (count--)
        task(argument, count);
}

/* Compares the simplest way to compute with one that does everything in a different order. */
static void check_conversations(const shrew_model *model, uint32_t choice) {
    const uint32_t context = 1 + choice % 40, unit = choice >> 16 & 7, cache = (choice >> 19) % 3;
    shrew_session_options plain = {.block = 1, .cache = cache, .unit = SHREW_UNIT_REFERENCE};
    shrew_session_options fast = {.block = 1 + (choice >> 26), .draft = choice >> 22 & 15, .cache = cache,
                                  .unit = shrew_unit_name(unit) ? unit : SHREW_UNIT_AUTO,
                                  .parallel_for = last_first, .workers = 3, .grain = 1};
    plain.context = fast.context = context < model->config.context ? context : model->config.context;
    const transcript one = converse(model, &plain, choice, 0x5A), other = converse(model, &fast, choice, 0xA5);
    MUST(one.digest == other.digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    shrew_model model;
    uint8_t *image = copy_block(data, size);
    const int status = shrew_model_open(&model, image, size);
    MUST(is_known(status));
    if (!status) {
        reached();
        const uint32_t content = read_everything(&model);
        check_conversations(&model, get_u32(image + 12)); /* the checksum, as a reproducible random number */
        MUST(read_everything(&model) == content);
    }
    free(image);
    return 0;
}
