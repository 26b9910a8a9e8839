#include "options.h"

#include <string.h>

#include "text.h"

static shrew_option describe(option which) {
    static const shrew_option max_tokens = {
        .name = "max_tokens", .range = "0 to 65535", .is_integer = 1, .most = {.integer = 65535}};
    shrew_option sampling;
    return shrew_sampling_option((uint32_t)which, &sampling) ? max_tokens : sampling;
}

/* The address of an option's value: a float or a uint32_t. */
static void *place_of(options *of, option which) {
    return which == OPTION_MAX_TOKENS ? (uint8_t *)&of->max_tokens : (uint8_t *)&of->sampling + describe(which).offset;
}

options fw_options_default(void) {
    const options made = {.sampling = shrew_sampling_default};
    return made;
}

option fw_option_named(const char *name, size_t bytes) {
    int which = 0;
    while (which < OPTIONS && !fw_text_equal(fw_option_name((option)which), name, bytes))
        which++;
    return (option)which;
}

const char *fw_option_name(option which) {
    return describe(which).name;
}

const char *fw_option_range(option which) {
    return describe(which).range;
}

static double number_of(const shrew_option *described, shrew_option_value value) {
    return described->is_integer ? value.integer : (double)value.number;
}

static int fits(const shrew_option *described, double value) {
    const double least = number_of(described, described->least), most = number_of(described, described->most);
    return value >= least && value <= most && (value > least || !described->above_least);
}

option_defect fw_option_set(options *changed, option which, const decimal *value) {
    const shrew_option described = describe(which);
    shrew_option_value stored;
    if (described.is_integer && !value->is_integer)
        return OPTION_NOT_INTEGER;
    if (!fits(&described, value->value))
        return OPTION_OUT_OF_RANGE;
    if (described.is_integer)
        stored.integer = (uint32_t)value->integer;
    else
        stored.number = (float)value->value;
    if (!fits(&described, number_of(&described, stored))) /* 1e-60 is above 0, but rounds to 0 as a binary32 */
        return OPTION_OUT_OF_RANGE;
    memcpy(place_of(changed, which), &stored, sizeof stored);
    return OPTION_FITS;
}

int fw_option_get(const options *from, option which, float *number, uint32_t *integer) {
    options copy = *from;
    const int is_integer = describe(which).is_integer != 0;
    memcpy(is_integer ? (void *)integer : number, place_of(&copy, which), sizeof(shrew_option_value));
    return is_integer;
}

int fw_options_are_valid(const options *checked) {
    for (int which = 0; which < OPTIONS; which++) {
        float number = 0;
        uint32_t integer = 0;
        const shrew_option described = describe((option)which);
        const int is_integer = fw_option_get(checked, (option)which, &number, &integer);
        if (!fits(&described, is_integer ? integer : (double)number))
            return 0;
    }
    return 1;
}
