/* Stop strings and whole characters. The model generates what the input scripts, in tokens whose bytes the input gives.
 * The result is compared with the same rules applied to the whole text at once. Two turns; scripted.bin is the
 * model. */
#include "harness.h"
#include "utf8.h"

enum { CONTEXT = 32, MAX_TEXT = 256 * CONTEXT, MAX_STOPS = 4, BOS = 0, EOS = 1 };

static uint8_t *image;
static size_t image_bytes;
static shrew_model model;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    image = read_beside((*argv)[0], "scripted.bin", &image_bytes);
    MUST(!shrew_model_open(&model, image, image_bytes) && model.config.context == CONTEXT);
    return 0;
}

/* ---- The model's text ----------------------------------------------------------------------------------------- */

static uint16_t script[CONTEXT]; /* the model's token at each position */

/* Weights and pieces are used in place, so changing the image's bytes changes the model. */
static void rewrite_model(input *in) {
    shrew_tensor head;
    MUST(!shrew_model_tensor(&model, SHREW_HEAD, 0, &head) && head.type == SHREW_F32);
    uint8_t *weights = image + ((const uint8_t *)head.data - image);
    memset(weights, 0, (size_t)head.rows * head.stride);
    const uint32_t length = take_u8(in) % (CONTEXT + 1);
    for (uint32_t i = 0; i < CONTEXT; i++) {
        script[i] = (uint16_t)(i < length ? take_u8(in) % model.config.vocab : EOS);
        ((float *)(void *)(weights + script[i] * head.stride))[i] = 10.0f;
    }
    for (uint32_t i = 0; i < CONTEXT; i++) { /* the bytes of each token, in the order of generation */
        const uint8_t *piece;
        size_t bytes;
        int seen = 0;
        for (uint32_t j = 0; j < i; j++)
            seen |= script[j] == script[i];
        MUST(!shrew_token_bytes(&model.tokenizer, script[i], &piece, &bytes));
        if (!seen)
            take(in, image + (piece - image), bytes);
    }
}

static char image_stop[4];

/* The image has one stop string of three bytes. Changing its key disables it. */
static void rewrite_image_stop(input *in, int present) {
    const char *key, *value;
    size_t key_bytes, value_bytes;
    MUST(!shrew_model_metadata(&model, 0, &key, &key_bytes, &value, &value_bytes) && value_bytes == 3);
    take(in, image_stop, 3);
    memcpy(image + ((const uint8_t *)key - image), present ? "stop" : "skip", 4);
    memcpy(image + ((const uint8_t *)value - image), image_stop, 3);
}

/* ---- The rules ------------------------------------------------------------------------------------------------ */

typedef struct stop {
    char bytes[SHREW_MAX_STOP_BYTES + 1];
    size_t length;
} stop;

/* Length of the text that one U+FFFD replaces: the longest prefix of a character. */
static size_t broken(const uint8_t *text, size_t count) {
    for (size_t length = 4; length >= 2; length--)
        for (size_t kept = length - 1; kept >= 2; kept--) {
            uint8_t whole[4] = {0x80, 0x80, 0x80, 0x80};
            uint32_t code_point;
            if (kept > count)
                continue;
            memcpy(whole, text, kept);
            if (shrew_read_character(whole, length, &code_point) == length)
                return kept;
        }
    return 1;
}

static size_t to_characters(const uint8_t *text, size_t count, uint8_t *out) {
    size_t written = 0;
    for (size_t at = 0; at < count;) {
        uint32_t code_point;
        const size_t length = shrew_read_character(text + at, count - at, &code_point);
        if (code_point != NOT_UTF8) {
            memcpy(out + written, text + at, length);
            written += length;
            at += length;
        } else {
            memcpy(out + written, "\xEF\xBF\xBD", 3);
            written += 3;
            at += broken(text + at, count - at);
        }
    }
    return written;
}

/* The start of the earliest stop string, or count. */
static size_t earliest(const uint8_t *text, size_t count, const stop *stops, size_t stop_count) {
    for (size_t at = 0; at < count; at++)
        for (size_t i = 0; i < stop_count; i++)
            if (stops[i].length <= count - at && !memcmp(text + at, stops[i].bytes, stops[i].length))
                return at;
    return count;
}

typedef struct answer {
    uint8_t text[3 * MAX_TEXT];
    size_t bytes;
    uint32_t finish, tokens;
    uint32_t chosen; /* tokens, and the end of the text */
} answer;

/* The expected answer of a turn that begins at a position: searches the whole text so far after every token. */
static void expect(answer *expected, uint32_t position, uint32_t most, const stop *stops, size_t stop_count) {
    static uint8_t said[MAX_TEXT];
    size_t bytes = 0;
    uint32_t before = BOS;
    expected->tokens = expected->chosen = expected->finish = 0;
    while (!expected->finish) {
        if (position == CONTEXT) {
            expected->finish = SHREW_FINISH_CONTEXT;
            break;
        }
        const uint32_t id = script[position++];
        expected->chosen++;
        if (id == EOS) {
            expected->finish = SHREW_FINISH_END;
            break;
        }
        const uint8_t *piece;
        size_t length;
        MUST(!shrew_token_bytes(&model.tokenizer, id, &piece, &length));
        const size_t lost = before == BOS && length && *piece == ' '; /* the space that encoding would have added */
        memcpy(said + bytes, piece + lost, length - lost);
        bytes += length - lost;
        before = id;
        expected->tokens++;
        if (expected->tokens == most)
            expected->finish = SHREW_FINISH_LENGTH;
        const size_t cut = earliest(said, bytes, stops, stop_count);
        if (cut < bytes) {
            expected->finish = SHREW_FINISH_STOP;
            bytes = cut;
        }
    }
    expected->bytes = to_characters(said, bytes, expected->text);
}

/* ---- One turn ------------------------------------------------------------------------------------------------- */

static void check_turn(shrew_session *session, const shrew_request *request, const answer *expected) {
    uint8_t *out = new_block(SHREW_TEXT_BYTES, 0);
    shrew_progress progress = {0};
    size_t bytes = 0;
    do {
        MUST(!shrew_session_next(session, out, SHREW_TEXT_BYTES, &progress));
        MUST(progress.text_bytes <= SHREW_TEXT_BYTES);
        for (size_t at = 0; at < progress.text_bytes;) {
            uint32_t code_point;
            at += shrew_read_character(out + at, progress.text_bytes - at, &code_point);
            MUST(code_point != NOT_UTF8);
        }
        MUST(bytes + progress.text_bytes <= expected->bytes);
        MUST(!memcmp(expected->text + bytes, out, progress.text_bytes));
        bytes += progress.text_bytes;
    } while (!progress.finish);
    MUST(bytes == expected->bytes && progress.finish == expected->finish && progress.tokens == expected->tokens);
    MUST(!request->max_tokens || progress.tokens <= request->max_tokens);
    MUST(shrew_session_next(session, out, SHREW_TEXT_BYTES, &progress) == SHREW_E_STATE);
    free(out);
}

/* A stop string: bytes of the input, or bytes of a token and the next ones, so that it occurs in the text. */
static stop take_stop(input *in) {
    stop taken;
    const uint32_t way = take_u8(in);
    const size_t most = 1 + way % SHREW_MAX_STOP_BYTES;
    memset(&taken, 0, sizeof taken);
    if (way & 0x80) {
        const uint32_t from = take_u8(in), skip = take_u8(in);
        size_t count = 0;
        for (uint32_t i = from % CONTEXT; i < CONTEXT && count < most; i++) {
            const uint8_t *piece;
            size_t length;
            MUST(!shrew_token_bytes(&model.tokenizer, script[i], &piece, &length));
            for (size_t j = i == from % CONTEXT && length ? skip % length : 0; j < length && count < most; j++)
                taken.bytes[count++] = (char)piece[j];
        }
    } else {
        take(in, taken.bytes, most);
    }
    taken.length = strlen(taken.bytes);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static answer expected;
    input in = {data, size};
    const uint32_t options = take_u8(&in), most = take_u8(&in) % 16, block = take_u8(&in) % (SHREW_MAX_BLOCK + 1);
    const int own_stop = options >> 2 & 1;
    stop stops[MAX_STOPS];
    const char *list[MAX_STOPS];
    size_t count = 0;
    rewrite_image_stop(&in, own_stop);
    rewrite_model(&in);
    for (uint32_t i = 0; i < options % MAX_STOPS; i++) {
        stops[count] = take_stop(&in);
        count += stops[count].length > 0; /* empty ones are refused */
    }
    for (size_t i = 0; i < count; i++)
        list[i] = stops[i].bytes;

    const shrew_session_options session_options = {.block = block, .draft = options >> 3 & 7};
    size_t bytes;
    MUST(!shrew_session_bytes(&model, &session_options, &bytes));
    uint8_t *memory = new_block(bytes, 0xA5);
    shrew_session *session;
    MUST(!shrew_session_open(&session, &model, &session_options, memory, bytes));
    shrew_request request = {NULL, 0, 0, 0, most, 0, {0.0f, 1.0f, 0.0f, 1.0f, 0}, list, (uint32_t)count};
    if (own_stop) { /* the rules treat it like any other */
        memcpy(stops[count].bytes, image_stop, 3);
        stops[count++].length = 3;
    }
    reached();
    uint32_t held = 0;
    for (int turn = 0; turn < 2; turn++) {
        const int status = shrew_session_begin(session, &request);
        MUST(status == (held + 1 > CONTEXT ? SHREW_E_CONTEXT : SHREW_OK));
        if (status)
            break;
        expect(&expected, held, most, stops, count);
        check_turn(session, &request, &expected);
        held += 1 + expected.chosen;
        request.keep = 1;
    }
    free(memory);
    return 0;
}
