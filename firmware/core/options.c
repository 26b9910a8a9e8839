#include "options.h"

#include "text.h"

/* Limits as shrew_session_sample states them. */
static const struct rule {
    const char *name;
    double least, most;
    uint8_t above_least; /* the least itself does not fit */
    uint8_t is_integer;
    const char *range;
} rules[OPTIONS] = {
    [OPTION_TEMPERATURE] = {"temperature", 0, 100, 0, 0, "0 to 100"},
    [OPTION_TOP_P] = {"top_p", 0, 1, 1, 0, "above 0, to 1"},
    [OPTION_TOP_K] = {"top_k", 0, UINT32_MAX, 0, 1, "0 to 4294967295"},
    [OPTION_MIN_P] = {"min_p", 0, 1, 0, 0, "0 to 1"},
    [OPTION_REPETITION_PENALTY] = {"repetition_penalty", 0.01f, 100, 0, 0, "0.01 to 100"},
    [OPTION_MAX_TOKENS] = {"max_tokens", 0, 65535, 0, 1, "0 to 65535"},
};

options fw_options_default(void) {
    const options made = {.sampling = {.top_p = 1, .repetition_penalty = 1}};
    return made;
}

option fw_option_named(const char *name, size_t bytes) {
    int which = 0;
    while (which < OPTIONS && !fw_text_equal(rules[which].name, name, bytes))
        which++;
    return (option)which;
}

const char *fw_option_name(option which) {
    return rules[which].name;
}

const char *fw_option_range(option which) {
    return rules[which].range;
}

static float *number_of(options *of, option which) {
    switch (which) {
    case OPTION_TEMPERATURE: return &of->sampling.temperature;
    case OPTION_TOP_P: return &of->sampling.top_p;
    case OPTION_MIN_P: return &of->sampling.min_p;
    default: return &of->sampling.repetition_penalty;
    }
}

static uint32_t *integer_of(options *of, option which) {
    return which == OPTION_TOP_K ? &of->sampling.top_k : &of->max_tokens;
}

static int fits(option which, double value) {
    const struct rule *rule = &rules[which];
    return value >= rule->least && value <= rule->most && (value > rule->least || !rule->above_least);
}

option_defect fw_option_set(options *changed, option which, const decimal *value) {
    if (rules[which].is_integer && !value->is_integer)
        return OPTION_NOT_INTEGER;
    /* As stored, too: 1e-60 is above 0, and no binary32 that is near it. */
    if (!fits(which, value->value) || (!rules[which].is_integer && !fits(which, (float)value->value)))
        return OPTION_OUT_OF_RANGE;
    if (rules[which].is_integer)
        *integer_of(changed, which) = (uint32_t)value->integer;
    else
        *number_of(changed, which) = (float)value->value;
    return OPTION_FITS;
}

int fw_option_get(const options *from, option which, float *number, uint32_t *integer) {
    options copy = *from;
    if (rules[which].is_integer)
        *integer = *integer_of(&copy, which);
    else
        *number = *number_of(&copy, which);
    return rules[which].is_integer;
}

int fw_options_are_valid(const options *checked) {
    for (int i = 0; i < OPTIONS; i++) {
        float number = 0;
        uint32_t integer = 0;
        if (!fits((option)i, fw_option_get(checked, (option)i, &number, &integer) ? integer : (double)number))
            return 0;
    }
    return 1;
}
