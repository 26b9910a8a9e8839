/* The options of a generation by name, for messages, settings and console: the engine's sampling options, in the
 * engine's order, and max_tokens. */
#ifndef SHREW_GENERATION_OPTIONS_H
#define SHREW_GENERATION_OPTIONS_H

#include "decimal.h"
#include "shrew.h"

typedef struct options {
    shrew_sampling sampling;
    uint32_t max_tokens; /* 0: as many as fit */
} options;

typedef enum option {
    OPTION_MAX_TOKENS = SHREW_SAMPLING_OPTIONS, /* lower values: the index for shrew_sampling_option */
    OPTIONS                                     /* the number of options; also stands for none */
} option;

/* Greedy, nothing filtered, as many tokens as fit. */
options fw_options_default(void);

option fw_option_named(const char *name, size_t bytes);
const char *fw_option_name(option which);
const char *fw_option_range(option which); /* for people: "above 0, to 1" */

typedef enum option_defect { OPTION_FITS, OPTION_NOT_INTEGER, OPTION_OUT_OF_RANGE } option_defect;

/* Changes one option if the value is valid. max_tokens may be 0 here. */
option_defect fw_option_set(options *changed, option which, const decimal *value);

/* Reads an option. Returns 1 and sets *integer, or returns 0 and sets *number. */
int fw_option_get(const options *from, option which, float *number, uint32_t *integer);

/* 1 if every option is in its range. */
int fw_options_are_valid(const options *checked);

#endif
