/* The request of POST /v1/chat/completions: reads what Shrew supports, and refuses what would change the answer. */
#include <string.h>

#include "fields.h"
#include "openai.h"

enum { MESSAGES = OPTIONS, MODEL, SEED, STOP, STREAM, STREAM_OPTIONS, N, TOOLS, FUNCTIONS, COMPLETION_TOKENS };

static const char *const names[] = {"messages",       "model", "seed",  "stop",      "stream",
                                    "stream_options", "n",     "tools", "functions", "max_completion_tokens"};

enum { NAMES = sizeof names / sizeof *names, ALL = (1 << (OPTIONS + NAMES)) - 1 };

static json_kind kind_of(const fields *found, uint32_t field) {
    return fw_json_kind_of(&found->values[field]);
}

/* ---- The prompt: the last message's text ------------------------------------------------------------------------- */

enum { ROLE = OPTIONS, CONTENT };

static const char *const message_names[] = {"role", "content"};

enum { PART_TYPE = OPTIONS, PART_TEXT };

static const char *const part_names[] = {"type", "text"};

/* Reads one part of a content and appends it to the parts before it, which are earlier in the same buffer. */
static protocol_code read_part(json_reader *reader, json_string *prompt, protocol_error *error) {
    fields part;
    json_string type, added;
    if (fw_json_kind_of(reader) != JSON_OBJECT)
        return fw_protocol_fail(error, PROTOCOL_MESSAGE, "content must be text, or a list of parts that have a type");
    fw_fields_read(&part, reader, part_names, 2, 0);
    protocol_code code = fw_fields_text(&part, PART_TYPE, &type, error);
    if (!code && !fw_text_equal("text", type.bytes, type.count))
        code = fw_protocol_fail(error, PROTOCOL_VALUE, "content may only have parts of type text");
    if (!code)
        code = fw_fields_text(&part, PART_TEXT, &added, error);
    if (code)
        return code;
    if (!prompt->bytes)
        prompt->bytes = added.bytes;
    memmove(prompt->bytes + prompt->count, added.bytes, added.count);
    prompt->count += added.count;
    return PROTOCOL_OK;
}

static protocol_code read_content(json_reader reader, json_string *prompt, protocol_error *error) {
    if (fw_json_kind_of(&reader) == JSON_STRING) {
        *prompt = fw_json_read_string(&reader);
        return PROTOCOL_OK;
    }
    if (fw_json_kind_of(&reader) != JSON_ARRAY)
        return fw_protocol_fail(error, PROTOCOL_MESSAGE, "content must be text, or a list of parts that have a type");
    protocol_code code = PROTOCOL_OK;
    fw_json_enter(&reader);
    while (!code && fw_json_element(&reader))
        code = read_part(&reader, prompt, error);
    return code;
}

static protocol_code read_prompt(const fields *found, json_string *prompt, protocol_error *error) {
    json_reader last = {NULL};
    if (fw_fields_has(found, MESSAGES) && kind_of(found, MESSAGES) == JSON_ARRAY) {
        json_reader reader = found->values[MESSAGES];
        fw_json_enter(&reader);
        while (fw_json_element(&reader)) {
            last = reader;
            fw_json_skip(&reader);
        }
    }
    if (!last.at || fw_json_kind_of(&last) != JSON_OBJECT)
        return fw_protocol_fail(error, PROTOCOL_MESSAGE, "messages must be a list of messages, at least one");
    fields message;
    json_string role;
    fw_fields_read(&message, &last, message_names, 2, 0);
    const protocol_code code = fw_fields_text(&message, ROLE, &role, error);
    if (code)
        return code;
    if (!fw_text_equal("user", role.bytes, role.count))
        return fw_protocol_fail(error, PROTOCOL_VALUE, "the last message must be a user's");
    if (!fw_fields_has(&message, CONTENT))
        return fw_fields_fail(&message, CONTENT, PROTOCOL_MESSAGE, "there, as text", error);
    return read_content(message.values[CONTENT], prompt, error);
}

/* ---- Stop strings ------------------------------------------------------------------------------------------------ */

static protocol_code read_stop(json_reader *reader, protocol_request *request, protocol_error *error) {
    if (fw_json_kind_of(reader) != JSON_STRING)
        return fw_protocol_fail(error, PROTOCOL_MESSAGE, "stop must be text or a list of texts");
    if (request->stop_count == PROTOCOL_STOPS)
        return fw_protocol_fail(error, PROTOCOL_VALUE, "stop may have at most four texts");
    const json_string stop = fw_json_read_string(reader);
    if (!stop.count || stop.count > SHREW_MAX_STOP_BYTES || fw_text_length(stop.bytes) != stop.count)
        return fw_protocol_fail(error, PROTOCOL_VALUE, "each text of stop has 1 to 64 bytes, none of them zero");
    request->stops[request->stop_count++] = stop.bytes;
    return PROTOCOL_OK;
}

static protocol_code read_stops(const fields *found, protocol_request *request, protocol_error *error) {
    json_reader reader = found->values[STOP];
    if (fw_json_kind_of(&reader) != JSON_ARRAY)
        return read_stop(&reader, request, error);
    protocol_code code = PROTOCOL_OK;
    fw_json_enter(&reader);
    while (!code && fw_json_element(&reader))
        code = read_stop(&reader, request, error);
    return code;
}

/* ---- The rest ---------------------------------------------------------------------------------------------------- */

/* Whether a field asks for something: is neither false nor an empty array. */
static int asks_for(const fields *found, uint32_t field) {
    if (!fw_fields_has(found, field) || kind_of(found, field) == JSON_FALSE)
        return 0;
    json_reader reader = found->values[field];
    if (fw_json_kind_of(&reader) != JSON_ARRAY)
        return 1;
    fw_json_enter(&reader);
    return fw_json_element(&reader);
}

static protocol_code refuse_unsupported(const fields *found, protocol_error *error) {
    uint64_t answers;
    protocol_code code = PROTOCOL_OK;
    if (fw_fields_has(found, N))
        code = fw_fields_integer(found, N, 1, 1, &answers, error);
    if (!code && (asks_for(found, TOOLS) || asks_for(found, FUNCTIONS)))
        code = fw_protocol_fail(error, PROTOCOL_VALUE, "tools and functions are not supported");
    return code;
}

static protocol_code refuse_other_model(const fields *found, const char *const *others, size_t other_count,
                                        protocol_error *error) {
    json_string name;
    const protocol_code code = fw_fields_text(found, MODEL, &name, error);
    for (size_t i = 0; !code && i < other_count; i++)
        if (fw_text_equal(others[i], name.bytes, name.count))
            return fw_protocol_fail(error, PROTOCOL_VALUE,
                                    "this model is stored, and another one answers: load it first");
    return code;
}

static protocol_code read_stream_options(const fields *found, openai_request *request, protocol_error *error) {
    static const char *const option_names[] = {"include_usage"};
    fields options;
    json_reader reader = found->values[STREAM_OPTIONS];
    if (fw_json_kind_of(&reader) != JSON_OBJECT)
        return fw_fields_fail(found, STREAM_OPTIONS, PROTOCOL_MESSAGE, "an object", error);
    fw_fields_read(&options, &reader, option_names, 1, 1);
    if (!fw_fields_has(&options, OPTIONS))
        return PROTOCOL_OK;
    return fw_fields_boolean(&options, OPTIONS, &request->include_usage, error);
}

/* max_completion_tokens is the newer name of max_tokens and takes precedence. */
static protocol_code read_tokens(const fields *found, options *changed, protocol_error *error) {
    static const uint32_t named[] = {OPTION_MAX_TOKENS, COMPLETION_TOKENS};
    protocol_code code = PROTOCOL_OK;
    for (int i = 0; !code && i < 2; i++) {
        uint64_t tokens;
        if (!fw_fields_has(found, named[i]))
            continue;
        code = fw_fields_integer(found, named[i], 1, PROTOCOL_MAX_TOKENS, &tokens, error);
        changed->max_tokens = (uint32_t)tokens;
    }
    return code;
}

protocol_code fw_openai_read(openai_request *request, char *text, size_t bytes, const protocol_rules *rules,
                             const char *const *others, size_t other_count, protocol_error *error) {
    fields found;
    json_string prompt = {NULL, 0};
    protocol_request *asked = &request->request;
    memset(request, 0, sizeof *request);
    fw_protocol_begin_request(asked, rules);
    if (!fw_json_check(text, bytes))
        return fw_protocol_fail(error, PROTOCOL_JSON, NULL);
    json_reader reader = fw_json_read(text);
    fw_fields_read(&found, &reader, names, NAMES, 1);
    found.unknown.bytes = NULL; /* OpenAI has many fields that do not change the answer here */

    protocol_code code = fw_fields_refuse_others(&found, ALL, error);
    if (!code && fw_fields_has(&found, MODEL))
        code = refuse_other_model(&found, others, other_count, error);
    if (!code)
        code = refuse_unsupported(&found, error);
    if (!code)
        code = fw_fields_options(&found, &asked->options, error);
    if (!code)
        code = read_tokens(&found, &asked->options, error);
    if (!code && fw_fields_has(&found, SEED))
        code = fw_fields_integer(&found, SEED, 0, DECIMAL_MOST_INTEGER, &asked->seed, error);
    if (!code && fw_fields_has(&found, STREAM))
        code = fw_fields_boolean(&found, STREAM, &request->stream, error);
    if (!code && fw_fields_has(&found, STREAM_OPTIONS))
        code = read_stream_options(&found, request, error);
    if (!code && fw_fields_has(&found, STOP))
        code = read_stops(&found, asked, error);
    if (!code)
        code = read_prompt(&found, &prompt, error);
    if (code)
        return code;
    asked->prompt = prompt.bytes;
    asked->prompt_bytes = prompt.count;
    return fw_protocol_check_prompt(prompt.count, rules, error);
}
