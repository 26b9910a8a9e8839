/* The members of one JSON object, located by name before any of them is read: names of options first, then the names
 * that the object's reader knows. Errors are those of the protocol. */
#ifndef SHREW_FIELDS_H
#define SHREW_FIELDS_H

#include "protocol.h"

enum { FIELDS_MOST = 32 };

typedef struct fields {
    const char *const *names; /* of the fields from OPTIONS on */
    uint32_t name_count;
    uint32_t present;  /* one bit per field */
    uint32_t repeated; /* one bit per field */
    json_string unknown; /* the first unknown name; bytes NULL: none */
    json_reader values[FIELDS_MOST];
} fields;

/* Finds the members of an object, and moves the reader past it. null_is_absent: members that are null are ignored. */
void fw_fields_read(fields *found, json_reader *reader, const char *const *names, uint32_t name_count,
                    int null_is_absent);

int fw_fields_has(const fields *found, uint32_t field);

/* PROTOCOL_MESSAGE if a field occurs twice or is not allowed. allowed: one bit per field. */
protocol_code fw_fields_refuse_others(const fields *found, uint32_t allowed, protocol_error *error);

/* Each reads a field. PROTOCOL_MESSAGE if it is missing or of another kind. A text can be read only once. */
protocol_code fw_fields_text(const fields *found, uint32_t field, json_string *value, protocol_error *error);
protocol_code fw_fields_boolean(const fields *found, uint32_t field, uint32_t *value, protocol_error *error);

/* Also PROTOCOL_VALUE for integers outside least .. most. */
protocol_code fw_fields_integer(const fields *found, uint32_t field, uint64_t least, uint64_t most, uint64_t *value,
                                protocol_error *error);

/* Sets the options that are present. */
protocol_code fw_fields_options(const fields *found, options *changed, protocol_error *error);

/* Fails with "FIELD must be WHAT". */
protocol_code fw_fields_fail(const fields *found, uint32_t field, protocol_code code, const char *what,
                             protocol_error *error);

#endif
