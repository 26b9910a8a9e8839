/* Untrusted input of a device: WebSocket messages, OpenAI requests, settings, headers, and console lines. Accepted
 * input keeps every limit in docs/PROTOCOL.md and stays in its buffer. Refused input has a code and a line. All replies
 * are valid JSON. */
#include "console.h"
#include "harness.h"
#include "host_check.h"
#include "openai.h"
#include "queue.h"
#include "settings.h"
#include "utf8.h"

enum { PROMPT_BYTES = 64 };

static char out_bytes[1 << 16];

static void must_be_json(const text *out) {
    MUST(!out->full && out->bytes == out_bytes && fw_json_check(out->bytes, out->used));
}

/* ---- JSON: reading and writing a text again gives the same text -------------------------------------------------- */

static void copy_value(json_reader *from, text *to, int depth) {
    json_string name;
    MUST(depth <= JSON_DEPTH + 1); /* a scalar in the deepest array */
    switch (fw_json_kind_of(from)) {
    case JSON_OBJECT:
        fw_json_open(to, '{');
        for (fw_json_enter(from); fw_json_member(from, &name); copy_value(from, to, depth + 1)) {
            MUST(!name.bytes[name.count]);
            fw_json_write_text(to, name.bytes, name.count);
            fw_text_add(to, ":");
        }
        fw_json_close(to, '}');
        break;
    case JSON_ARRAY:
        fw_json_open(to, '[');
        for (fw_json_enter(from); fw_json_element(from);)
            copy_value(from, to, depth + 1);
        fw_json_close(to, ']');
        break;
    case JSON_STRING: {
        const json_string string = fw_json_read_string(from);
        MUST(!string.bytes[string.count]);
        fw_json_write_text(to, string.bytes, string.count);
        break;
    }
    case JSON_NUMBER: {
        const decimal number = fw_json_read_number(from);
        MUST(number.value == number.value && (number.value < 0 ? number.is_negative : 1));
        if (number.is_integer && number.integer <= DECIMAL_MOST_INTEGER)
            fw_json_write_integer(to, number.is_negative ? -(int64_t)number.integer : (int64_t)number.integer);
        else
            fw_json_write_number(to, number.value > 3e38 || number.value < -3e38 ? 0.0f : (float)number.value);
        break;
    }
    case JSON_NULL: fw_json_skip(from), fw_json_write_null(to); break;
    case JSON_FALSE: fw_json_skip(from), fw_json_write_boolean(to, 0); break;
    case JSON_TRUE: fw_json_skip(from), fw_json_write_boolean(to, 1); break;
    }
}

static void check_json(const uint8_t *data, size_t size) {
    static char written[1 << 16];
    uint8_t *block = copy_block(data, size);
    if (fw_json_check((char *)block, size)) {
        text once = fw_text_in(written, sizeof written), again = fw_text_in(out_bytes, sizeof out_bytes);
        json_reader reader = fw_json_read((char *)block);
        copy_value(&reader, &once, 1);
        MUST(!once.full && fw_json_check(once.bytes, once.used));
        uint8_t *copy = copy_block(once.bytes, once.used);
        reader = fw_json_read((char *)copy);
        copy_value(&reader, &again, 1);
        must_be_json(&again);
        MUST(once.used == again.used && !memcmp(once.bytes, again.bytes, again.used));
        free(copy);
        reached();
    }
    free(block);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static protocol_rules rules_of(uint8_t choice) {
    const protocol_rules rules = {fw_options_default(), UINT64_MAX, choice & 1 ? PROTOCOL_PROMPT_BYTES : PROMPT_BYTES};
    return rules;
}

static int lies_in(const void *bytes, size_t count, const uint8_t *block, size_t size) {
    const uint8_t *from = bytes;
    return from >= block && count <= size && from + count <= block + size;
}

static void check_request(const protocol_request *request, const protocol_rules *rules, const uint8_t *block,
                          size_t size) {
    MUST(fw_options_are_valid(&request->options) && request->seed <= DECIMAL_MOST_INTEGER && request->raw <= 1);
    MUST(request->prompt_bytes >= 1 && request->prompt_bytes <= rules->prompt_bytes);
    MUST(lies_in(request->prompt, request->prompt_bytes, block, size) && request->stop_count <= PROTOCOL_STOPS);
    for (size_t at = 0; at < request->prompt_bytes;) {
        uint32_t code_point;
        at += shrew_read_character((const uint8_t *)request->prompt + at, request->prompt_bytes - at, &code_point);
        MUST(code_point != NOT_UTF8);
    }
    for (uint32_t i = 0; i < request->stop_count; i++) {
        const size_t bytes = fw_text_length(request->stops[i]);
        MUST(bytes >= 1 && bytes <= SHREW_MAX_STOP_BYTES && lies_in(request->stops[i], bytes + 1, block, size));
    }
}

/* An accepted request fits a queue that has room for what the protocol allows, and comes out unchanged. */
static void check_queue(const protocol_request *request) {
    queue_connection connections[1];
    queue_entry entries[1];
    queue waiting;
    uint32_t ahead;
    char *texts = (char *)new_block(PROTOCOL_PROMPT_BYTES + QUEUE_STOP_BYTES, 0);
    const queue_memory memory = {connections, 1, entries, 1, texts, PROTOCOL_PROMPT_BYTES + QUEUE_STOP_BYTES, 1, 1};
    fw_queue_open(&waiting, &memory);
    const uint32_t connection = fw_queue_connect(&waiting);
    MUST(!fw_queue_push(&waiting, connection, request, 0, &ahead) && !ahead);
    const queue_entry *taken = fw_queue_take(&waiting);
    MUST(taken && taken->request.prompt_bytes == request->prompt_bytes && taken->request.seed == request->seed);
    MUST(!memcmp(taken->request.prompt, request->prompt, request->prompt_bytes));
    for (uint32_t i = 0; i < request->stop_count; i++)
        MUST(!strcmp(taken->request.stops[i], request->stops[i]));
    free(texts);
}

static void check_error(protocol_code code, const protocol_error *error, const uint32_t *id) {
    text out = fw_text_in(out_bytes, PROTOCOL_OUT_BYTES);
    MUST(code == error->code && code < PROTOCOL_CODES && fw_protocol_http_status(code) >= 400);
    MUST(error->line[0] && fw_text_length(error->line) < PROTOCOL_LINE_BYTES && !strchr(error->line, '\n'));
    fw_protocol_write_error(&out, id, error);
    must_be_json(&out);
    out = fw_text_in(out_bytes, PROTOCOL_OUT_BYTES);
    fw_protocol_write_http_error(&out, error);
    must_be_json(&out);
    if (code != PROTOCOL_JSON)
        reached();
}

static void check_message(uint8_t choice, const uint8_t *data, size_t size) {
    const protocol_rules rules = rules_of(choice);
    protocol_message message;
    protocol_error error;
    uint8_t *block = copy_block(data, size);
    const protocol_code code = fw_protocol_read(&message, (char *)block, size, &rules, &error);
    if (code) {
        check_error(code, &error, message.has_id ? &message.request.id : NULL);
    } else if (message.type == PROTOCOL_GENERATE) {
        MUST(message.has_id && !message.request.stop_count);
        check_request(&message.request, &rules, block, size);
        check_queue(&message.request);
        reached();
    }
    free(block);
}

static void check_openai(uint8_t choice, const uint8_t *data, size_t size) {
    static const char *const others[] = {"desk", ""};
    const protocol_rules rules = rules_of(choice);
    openai_request request;
    protocol_error error;
    uint8_t *block = copy_block(data, size);
    const protocol_code code = fw_openai_read(&request, (char *)block, size, &rules, others, 2, &error);
    if (code) {
        check_error(code, &error, NULL);
    } else {
        MUST(request.stream <= 1 && request.include_usage <= 1);
        check_request(&request.request, &rules, block, size);
        check_queue(&request.request);
        reached();
    }
    free(block);
}

/* ---- Settings, headers, the console ------------------------------------------------------------------------------ */

static void check_settings(uint8_t choice, const uint8_t *data, size_t size) {
    uint8_t random[SETTINGS_RANDOM_BYTES] = {0}, packed[SETTINGS_PACKED_BYTES];
    settings kept, read;
    protocol_error error;
    uint8_t *block = copy_block(data, size);
    fw_settings_make(&kept, random);
    if (fw_settings_unpack(&read, block, size))
        kept = read;
    const protocol_code code = choice & 1 ? fw_settings_change(&kept, (char *)block, size, &error)
                                          : fw_settings_change_wifi(&kept, (char *)block, size, &error);
    if (code)
        check_error(code, &error, NULL);
    else
        reached();
    fw_settings_pack(&kept, packed);
    MUST(fw_settings_unpack(&read, packed, sizeof packed) && !strcmp(read.ssid, kept.ssid));
    free(block);
}

static void check_headers(uint8_t choice, const uint8_t *data, size_t size) {
    static const char *const names[] = {"localhost", "shrew.local"};
    char *first = (char *)new_block(size + 1, 0);
    if (size)
        memcpy(first, data, size);
    const char *second = first + fw_text_length(first) + (fw_text_length(first) < size); /* after a NUL in the input */
    if (fw_origin_is_allowed(first, second) | fw_host_is_allowed(second, names, choice & 3 ? 2 : 0))
        reached();
    MUST(fw_token_is_right(first, second) ==
         (!strncasecmp(first, "Bearer ", 7) && *second && !strcmp(first + 7, second)));
    free(first);
}

static void check_console(const uint8_t *data, size_t size) {
    console_command command;
    text error = fw_text_in(out_bytes, PROTOCOL_LINE_BYTES);
    char *line = (char *)new_block(size + 1, 0xA5);
    if (size)
        memcpy(line, data, size);
    const int refused = fw_console_read(&command, line, size, &error);
    MUST(!refused == !error.used && !error.full);
    if (!refused && command.text) {
        MUST(lies_in(command.text, command.text_bytes + 1, (uint8_t *)line, size + 1));
        MUST(!command.text[command.text_bytes]);
    }
    if (!refused && command.verb == CONSOLE_SET) {
        options changed = fw_options_default();
        MUST(fw_option_set(&changed, command.option, &command.value) == OPTION_FITS && fw_options_are_valid(&changed));
    }
    if (!refused)
        reached();
    free(line);
}

/* ---- Mutations that leave most of a JSON text unchanged ---------------------------------------------------------- */

static const char *const values[] = {
    "null", "true", "false", "0", "-0", "1", "1.5", "1e400", "4294967295", "9007199254740992", "18446744073709551616",
    "\"\"", "\"x\"", "\"user\"", "\"text\"", "\"generate\"", "\"\\u0000\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "[]",
    "{}", "[\"a\",\"b\"]", "[{\"type\":\"text\",\"text\":\"\"}]", "{\"include_usage\":null}", "\"max_tokens\":2",
    "\"id\":3",
};

enum { VALUES = sizeof values / sizeof *values };

static int is_one_of(uint8_t byte, const char *bytes) {
    return byte && strchr(bytes, byte);
}

/* Replaces a value: from after one of ":[,{" up to one of ",]}". */
static size_t replace_value(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size_t from = 1 + seed / VALUES % size;
    while (from < size && !is_one_of(data[from - 1], ":[,{"))
        from++;
    size_t to = from;
    while (to < size && !is_one_of(data[to], ",]}"))
        to++;
    const char *value = values[seed % VALUES];
    const size_t bytes = strlen(value);
    if (to == size || size - (to - from) + bytes > most)
        return LLVMFuzzerMutate(data, size, most);
    memmove(data + from + bytes, data + to, size - to);
    memcpy(data + from, value, bytes);
    return size - (to - from) + bytes;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    return size < 3 || seed % 4 == 0 ? LLVMFuzzerMutate(data, size, most) : replace_value(data, size, most, seed / 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    const uint8_t choice = data[0] >> 4;
    data++, size--;
    switch (data[-1] & 7) {
    case 0: check_json(data, size); break;
    case 1: check_openai(choice, data, size); break;
    case 2: check_settings(choice, data, size); break;
    case 3: check_headers(choice, data, size); break;
    case 4: check_console(data, size); break;
    default: check_message(choice, data, size);
    }
    return 0;
}
