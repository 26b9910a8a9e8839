#include "fields.h"

#include <string.h>

static const char *name_of(const fields *found, uint32_t field) {
    return field < OPTIONS ? option_name((option)field) : found->names[field - OPTIONS];
}

/* Which field a name is; name_count + OPTIONS for none. */
static uint32_t field_named(const fields *found, const json_string *name) {
    uint32_t field = option_named(name->bytes, name->count);
    while (field >= OPTIONS && field < OPTIONS + found->name_count &&
           !text_equal(found->names[field - OPTIONS], name->bytes, name->count))
        field++;
    return field;
}

void fields_read(fields *found, json_reader *reader, const char *const *names, uint32_t name_count,
                 int null_is_absent) {
    json_string name;
    memset(found, 0, sizeof *found);
    found->names = names;
    found->name_count = name_count;
    json_enter(reader);
    while (json_member(reader, &name)) {
        const uint32_t field = field_named(found, &name);
        if (field == OPTIONS + name_count) {
            if (!found->unknown.bytes)
                found->unknown = name;
        } else if (!null_is_absent || json_kind_of(reader) != JSON_NULL) {
            found->repeated |= found->present & (uint32_t)1 << field;
            found->present |= (uint32_t)1 << field;
            found->values[field] = *reader;
        }
        json_skip(reader);
    }
}

int fields_has(const fields *found, uint32_t field) {
    return found->present >> field & 1;
}

static protocol_code fail_quoted(const char *before, const void *name, size_t bytes, const char *after,
                                 protocol_error *error) {
    char line[PROTOCOL_LINE_BYTES];
    text out = text_in(line, sizeof line);
    text_add(&out, before);
    text_add_quoted(&out, name, bytes);
    text_add(&out, after);
    return protocol_fail(error, PROTOCOL_MESSAGE, line);
}

protocol_code fields_refuse_others(const fields *found, uint32_t allowed, protocol_error *error) {
    if (found->unknown.bytes)
        return fail_quoted("unknown field ", found->unknown.bytes, found->unknown.count, "", error);
    for (uint32_t field = 0; field < OPTIONS + found->name_count; field++) {
        const char *name = name_of(found, field);
        if (found->present >> field & ~(allowed >> field) & 1)
            return fail_quoted("field ", name, text_length(name), " does not belong here", error);
        if (found->repeated >> field & 1)
            return fail_quoted("field ", name, text_length(name), " is there twice", error);
    }
    return PROTOCOL_OK;
}

protocol_code fields_fail(const fields *found, uint32_t field, protocol_code code, const char *what,
                          protocol_error *error) {
    char line[PROTOCOL_LINE_BYTES];
    text out = text_in(line, sizeof line);
    text_add(&out, name_of(found, field));
    text_add(&out, " must be ");
    text_add(&out, what);
    return protocol_fail(error, code, line);
}

/* Whether a field is there and of a kind; else the error. */
static protocol_code require(const fields *found, uint32_t field, json_kind kind, const char *what,
                             protocol_error *error) {
    if (fields_has(found, field) && json_kind_of(&found->values[field]) == kind)
        return PROTOCOL_OK;
    return fields_fail(found, field, PROTOCOL_MESSAGE, what, error);
}

protocol_code fields_text(const fields *found, uint32_t field, json_string *value, protocol_error *error) {
    const protocol_code code = require(found, field, JSON_STRING, "there, as text", error);
    if (code)
        return code;
    json_reader reader = found->values[field];
    *value = json_read_string(&reader);
    return PROTOCOL_OK;
}

protocol_code fields_boolean(const fields *found, uint32_t field, uint32_t *value, protocol_error *error) {
    const json_kind kind = fields_has(found, field) ? json_kind_of(&found->values[field]) : JSON_NULL;
    if (kind != JSON_TRUE && kind != JSON_FALSE)
        return fields_fail(found, field, PROTOCOL_MESSAGE, "true or false", error);
    *value = kind == JSON_TRUE;
    return PROTOCOL_OK;
}

protocol_code fields_integer(const fields *found, uint32_t field, uint64_t least, uint64_t most, uint64_t *value,
                             protocol_error *error) {
    const protocol_code code = require(found, field, JSON_NUMBER, "there, as an integer", error);
    if (code)
        return code;
    json_reader reader = found->values[field];
    const decimal number = json_read_number(&reader);
    if (!number.is_integer)
        return fields_fail(found, field, PROTOCOL_MESSAGE, "an integer, without fraction and exponent", error);
    *value = number.integer;
    if (number.integer >= least && number.integer <= most && !(number.is_negative && number.integer))
        return PROTOCOL_OK;
    char range[48];
    text out = text_in(range, sizeof range);
    text_add_integer(&out, (int64_t)least);
    text_add(&out, " to ");
    text_add_integer(&out, (int64_t)most);
    return fields_fail(found, field, PROTOCOL_VALUE, range, error);
}

protocol_code fields_options(const fields *found, options *changed, protocol_error *error) {
    for (uint32_t field = 0; field < OPTIONS; field++) {
        if (!fields_has(found, field))
            continue;
        const protocol_code code = require(found, field, JSON_NUMBER, "a number", error);
        if (code)
            return code;
        json_reader reader = found->values[field];
        const decimal number = json_read_number(&reader);
        switch (option_set(changed, (option)field, &number)) {
        case OPTION_FITS: break;
        case OPTION_NOT_INTEGER: return fields_fail(found, field, PROTOCOL_MESSAGE, "an integer", error);
        case OPTION_OUT_OF_RANGE:
            return fields_fail(found, field, PROTOCOL_VALUE, option_range((option)field), error);
        }
    }
    return PROTOCOL_OK;
}
