/* From clients: one message of the WebSocket. */
#include <string.h>

#include "fields.h"

enum { TYPE = OPTIONS, ID, PROMPT, SEED, RAW };

static const char *const names[] = {"type", "id", "prompt", "seed", "raw"};

enum { NAMES = sizeof names / sizeof *names };

static const struct type {
    const char *name;
    uint32_t fields; /* allowed fields, one bit each */
} types[] = {
    [PROTOCOL_GENERATE] = {"generate", (1 << (OPTIONS + NAMES)) - 1},
    [PROTOCOL_CANCEL] = {"cancel", 1 << TYPE | 1 << ID},
    [PROTOCOL_INFO] = {"info", 1 << TYPE},
};

enum { TYPES = sizeof types / sizeof *types };

static protocol_code read_type(const fields *found, protocol_type *type, protocol_error *error) {
    json_string name;
    const protocol_code code = fw_fields_text(found, TYPE, &name, error);
    if (code)
        return code;
    for (int i = 0; i < TYPES; i++)
        if (fw_text_equal(types[i].name, name.bytes, name.count)) {
            *type = (protocol_type)i;
            return PROTOCOL_OK;
        }
    char line[PROTOCOL_LINE_BYTES];
    text out = fw_text_in(line, sizeof line);
    fw_text_add(&out, "unknown type ");
    fw_text_add_quoted(&out, name.bytes, name.count);
    return fw_protocol_fail(error, PROTOCOL_MESSAGE, line);
}

protocol_code fw_protocol_check_prompt(size_t bytes, const protocol_rules *rules, protocol_error *error) {
    char line[PROTOCOL_LINE_BYTES];
    text out = fw_text_in(line, sizeof line);
    if (!bytes)
        return fw_protocol_fail(error, PROTOCOL_PROMPT, "the prompt is empty");
    if (bytes <= rules->prompt_bytes)
        return PROTOCOL_OK;
    fw_text_add(&out, "the prompt has ");
    fw_text_add_integer(&out, (int64_t)bytes);
    fw_text_add(&out, " bytes; ");
    fw_text_add_integer(&out, (int64_t)rules->prompt_bytes);
    fw_text_add(&out, " fit");
    return fw_protocol_fail(error, PROTOCOL_PROMPT, line);
}

void fw_protocol_begin_request(protocol_request *request, const protocol_rules *rules) {
    memset(request, 0, sizeof *request);
    request->options = rules->defaults;
    request->seed = rules->seed & DECIMAL_MOST_INTEGER;
}

static protocol_code read_generate(const fields *found, protocol_request *request, const protocol_rules *rules,
                                   protocol_error *error) {
    uint64_t tokens;
    json_string prompt;
    protocol_code code = fw_fields_text(found, PROMPT, &prompt, error);
    if (!code && fw_fields_has(found, OPTION_MAX_TOKENS)) /* 0 is allowed only in the defaults */
        code = fw_fields_integer(found, OPTION_MAX_TOKENS, 1, PROTOCOL_MAX_TOKENS, &tokens, error);
    if (!code)
        code = fw_fields_options(found, &request->options, error);
    if (!code && fw_fields_has(found, SEED))
        code = fw_fields_integer(found, SEED, 0, DECIMAL_MOST_INTEGER, &request->seed, error);
    if (!code && fw_fields_has(found, RAW))
        code = fw_fields_boolean(found, RAW, &request->raw, error);
    if (code)
        return code;
    request->prompt = prompt.bytes;
    request->prompt_bytes = prompt.count;
    return fw_protocol_check_prompt(prompt.count, rules, error);
}

protocol_code fw_protocol_read(protocol_message *message, char *text, size_t bytes, const protocol_rules *rules,
                               protocol_error *error) {
    fields found;
    protocol_error ignored;
    uint64_t id = 0;
    memset(message, 0, sizeof *message);
    fw_protocol_begin_request(&message->request, rules);
    if (!fw_json_check(text, bytes))
        return fw_protocol_fail(error, PROTOCOL_JSON, NULL);
    json_reader reader = fw_json_read(text);
    fw_fields_read(&found, &reader, names, NAMES, 0);
    message->has_id = !fw_fields_integer(&found, ID, 0, UINT32_MAX, &id, &ignored);
    message->request.id = message->has_id ? (uint32_t)id : 0;

    protocol_code code = read_type(&found, &message->type, error);
    if (!code && message->type != PROTOCOL_INFO)
        code = fw_fields_integer(&found, ID, 0, UINT32_MAX, &id, error);
    if (!code)
        code = fw_fields_refuse_others(&found, types[message->type].fields, error);
    if (!code && message->type == PROTOCOL_GENERATE)
        code = read_generate(&found, &message->request, rules, error);
    return code;
}
