/* What an option of sampling is: its limits and what people are told. sampler.c says what it does. */
#include "sampling.h"

#include "compiler.h"
#include "numbers.h"
#include "options.h"

static const shrew_sampling least_sampling = {.repetition_penalty = 0.01f};
static const shrew_sampling most_sampling = {
    .temperature = 100.0f, .top_p = 1.0f, .min_p = 1.0f, .repetition_penalty = 100.0f, .top_k = UINT32_MAX};
const shrew_sampling shrew_sampling_default = {.top_p = 1.0f, .repetition_penalty = 1.0f};

static const struct option_row {
    const char *name, *description, *range;
    uint8_t offset, is_integer, above_least;
} option_rows[SHREW_SAMPLING_OPTIONS] = {
    {"temperature", "0 takes the likeliest token; above 1 makes unlikely ones likelier", "0 to 100",
     offsetof(shrew_sampling, temperature), 0, 0},
    {"top_p", "keep the likeliest tokens that together reach this probability; 1 keeps all", "above 0, to 1",
     offsetof(shrew_sampling, top_p), 0, 1},
    {"top_k", "keep this many of the likeliest tokens; 0 keeps all", "0 to 4294967295",
     offsetof(shrew_sampling, top_k), 1, 0},
    {"min_p", "keep tokens at least this likely relative to the likeliest; 0 keeps all", "0 to 1",
     offsetof(shrew_sampling, min_p), 0, 0},
    {"repetition_penalty", "divides the logits of tokens already seen; 1 changes nothing", "0.01 to 100",
     offsetof(shrew_sampling, repetition_penalty), 0, 0},
};

/* False for NaN. */
static ONE_COPY int is_within(float value, float least, float most) {
    return float_rank(value) >= float_rank(least) && float_rank(value) <= float_rank(most);
}

int shrew_sampling_is_valid(const shrew_sampling *s) {
    const shrew_sampling *least = HAS_EVERY_FILTER ? &least_sampling : &shrew_sampling_default;
    const shrew_sampling *most = HAS_EVERY_FILTER ? &most_sampling : &shrew_sampling_default;
    return is_within(s->temperature, least_sampling.temperature, most_sampling.temperature) &&
           is_within(s->top_p, least_sampling.top_p, most_sampling.top_p) && float_rank(s->top_p) &&
           is_within(s->min_p, least->min_p, most->min_p) &&
           is_within(s->repetition_penalty, least->repetition_penalty, most->repetition_penalty) &&
           s->top_k >= least->top_k && s->top_k <= most->top_k;
}

static shrew_option_value value_at(const shrew_sampling *sampling, uint32_t offset) {
    shrew_option_value value;
    memcpy(&value, (const uint8_t *)sampling + offset, sizeof value);
    return value;
}

int shrew_sampling_option(uint32_t index, shrew_option *option) {
    if (index >= SHREW_SAMPLING_OPTIONS || !option)
        return SHREW_E_ARGUMENT;
    const struct option_row *row = option_rows + index;
    option->name = row->name;
    option->description = row->description;
    option->range = row->range;
    option->offset = row->offset;
    option->is_integer = row->is_integer;
    option->above_least = row->above_least;
    option->least = value_at(&least_sampling, row->offset);
    option->most = value_at(&most_sampling, row->offset);
    option->usual = value_at(&shrew_sampling_default, row->offset);
    return SHREW_OK;
}
