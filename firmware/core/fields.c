#include "fields.h"

#include <string.h>

static const char *name_of(const fields *found, uint32_t field) {
    return field < OPTIONS ? fw_option_name((option)field) : found->names[field - OPTIONS];
}

/* The field with a name; name_count + OPTIONS if there is none. */
static uint32_t field_named(const fields *found, const json_string *name) {
    uint32_t field = fw_option_named(name->bytes, name->count);
    while (field >= OPTIONS && field < OPTIONS + found->name_count &&
           !fw_text_equal(found->names[field - OPTIONS], name->bytes, name->count))
        field++;
    return field;
}

void fw_fields_read(fields *found, json_reader *reader, const char *const *names, uint32_t name_count,
                    int null_is_absent) {
    json_string name;
    memset(found, 0, sizeof *found);
    found->names = names;
    found->name_count = name_count;
    fw_json_enter(reader);
    while (fw_json_member(reader, &name)) {
        const uint32_t field = field_named(found, &name);
        if (field == OPTIONS + name_count) {
            if (!found->unknown.bytes)
                found->unknown = name;
        } else if (!null_is_absent || fw_json_kind_of(reader) != JSON_NULL) {
            found->repeated |= found->present & (uint32_t)1 << field;
            found->present |= (uint32_t)1 << field;
            found->values[field] = *reader;
        }
        fw_json_skip(reader);
    }
}

int fw_fields_has(const fields *found, uint32_t field) {
    return found->present >> field & 1;
}

static protocol_code fail_quoted(const char *before, const void *name, size_t bytes, const char *after,
                                 protocol_error *error) {
    char line[PROTOCOL_LINE_BYTES];
    text out = fw_text_in(line, sizeof line);
    fw_text_add(&out, before);
    fw_text_add_quoted(&out, name, bytes);
    fw_text_add(&out, after);
    return fw_protocol_fail(error, PROTOCOL_MESSAGE, line);
}

protocol_code fw_fields_refuse_others(const fields *found, uint32_t allowed, protocol_error *error) {
    if (found->unknown.bytes)
        return fail_quoted("unknown field ", found->unknown.bytes, found->unknown.count, "", error);
    for (uint32_t field = 0; field < OPTIONS + found->name_count; field++) {
        const char *name = name_of(found, field);
        if (found->present >> field & ~(allowed >> field) & 1)
            return fail_quoted("field ", name, fw_text_length(name), " does not belong here", error);
        if (found->repeated >> field & 1)
            return fail_quoted("field ", name, fw_text_length(name), " is there twice", error);
    }
    return PROTOCOL_OK;
}

protocol_code fw_fields_fail(const fields *found, uint32_t field, protocol_code code, const char *what,
                             protocol_error *error) {
    char line[PROTOCOL_LINE_BYTES];
    text out = fw_text_in(line, sizeof line);
    fw_text_add(&out, name_of(found, field));
    fw_text_add(&out, " must be ");
    fw_text_add(&out, what);
    return fw_protocol_fail(error, code, line);
}

/* Checks that a field is present and of a kind. */
static protocol_code require(const fields *found, uint32_t field, json_kind kind, const char *what,
                             protocol_error *error) {
    if (fw_fields_has(found, field) && fw_json_kind_of(&found->values[field]) == kind)
        return PROTOCOL_OK;
    return fw_fields_fail(found, field, PROTOCOL_MESSAGE, what, error);
}

protocol_code fw_fields_text(const fields *found, uint32_t field, json_string *value, protocol_error *error) {
    const protocol_code code = require(found, field, JSON_STRING, "there, as text", error);
    if (code)
        return code;
    json_reader reader = found->values[field];
    *value = fw_json_read_string(&reader);
    return PROTOCOL_OK;
}

protocol_code fw_fields_boolean(const fields *found, uint32_t field, uint32_t *value, protocol_error *error) {
    const json_kind kind = fw_fields_has(found, field) ? fw_json_kind_of(&found->values[field]) : JSON_NULL;
    if (kind != JSON_TRUE && kind != JSON_FALSE)
        return fw_fields_fail(found, field, PROTOCOL_MESSAGE, "true or false", error);
    *value = kind == JSON_TRUE;
    return PROTOCOL_OK;
}

protocol_code fw_fields_integer(const fields *found, uint32_t field, uint64_t least, uint64_t most, uint64_t *value,
                                protocol_error *error) {
    const protocol_code code = require(found, field, JSON_NUMBER, "there, as an integer", error);
    if (code)
        return code;
    json_reader reader = found->values[field];
    const decimal number = fw_json_read_number(&reader);
    if (!number.is_integer)
        return fw_fields_fail(found, field, PROTOCOL_MESSAGE, "an integer, without fraction and exponent", error);
    *value = number.integer;
    if (number.integer >= least && number.integer <= most && !(number.is_negative && number.integer))
        return PROTOCOL_OK;
    char range[48];
    text out = fw_text_in(range, sizeof range);
    fw_text_add_integer(&out, (int64_t)least);
    fw_text_add(&out, " to ");
    fw_text_add_integer(&out, (int64_t)most);
    return fw_fields_fail(found, field, PROTOCOL_VALUE, range, error);
}

protocol_code fw_fields_options(const fields *found, options *changed, protocol_error *error) {
    for (uint32_t field = 0; field < OPTIONS; field++) {
        if (!fw_fields_has(found, field))
            continue;
        const protocol_code code = require(found, field, JSON_NUMBER, "a number", error);
        if (code)
            return code;
        json_reader reader = found->values[field];
        const decimal number = fw_json_read_number(&reader);
        switch (fw_option_set(changed, (option)field, &number)) {
        case OPTION_FITS: break;
        case OPTION_NOT_INTEGER: return fw_fields_fail(found, field, PROTOCOL_MESSAGE, "an integer", error);
        case OPTION_OUT_OF_RANGE:
            return fw_fields_fail(found, field, PROTOCOL_VALUE, fw_option_range((option)field), error);
        }
    }
    return PROTOCOL_OK;
}
