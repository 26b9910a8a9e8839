/* The members of one JSON object, found by name before any of them is read: names of options first, then the names that
 * the object's reader knows. Errors are lines of the protocol. */
#ifndef SHREW_FIELDS_H
#define SHREW_FIELDS_H

#include "protocol.h"

enum { FIELDS_MOST = 32 };

typedef struct fields {
    const char *const *names; /* of field OPTIONS and those after it */
    uint32_t name_count;
    uint32_t present;  /* a bit for each field */
    uint32_t repeated; /* likewise */
    json_string unknown; /* the first one; bytes NULL: none */
    json_reader values[FIELDS_MOST];
} fields;

/* Reads the names of an object, and leaves the reader behind it. null_is_absent: a member that is null is not there. */
void fw_fields_read(fields *found, json_reader *reader, const char *const *names, uint32_t name_count,
                    int null_is_absent);

int fw_fields_has(const fields *found, uint32_t field);

/* PROTOCOL_MESSAGE for a field that is there twice, or is not allowed; allowed: a bit for each field. */
protocol_code fw_fields_refuse_others(const fields *found, uint32_t allowed, protocol_error *error);

/* Each reads a field and returns PROTOCOL_MESSAGE where it is missing or of another kind. A text is read once. */
protocol_code fw_fields_text(const fields *found, uint32_t field, json_string *value, protocol_error *error);
protocol_code fw_fields_boolean(const fields *found, uint32_t field, uint32_t *value, protocol_error *error);

/* PROTOCOL_VALUE also for integers outside least .. most. */
protocol_code fw_fields_integer(const fields *found, uint32_t field, uint64_t least, uint64_t most, uint64_t *value,
                                protocol_error *error);

/* Those options that are there. */
protocol_code fw_fields_options(const fields *found, options *changed, protocol_error *error);

/* "FIELD must be WHAT" */
protocol_code fw_fields_fail(const fields *found, uint32_t field, protocol_code code, const char *what,
                             protocol_error *error);

#endif
