#include "weight_type.h"

int shrew_describe_type(shrew_type type, shrew_type_description *description) {
    static const char names[SHREW_TYPES][8] = {"f32", "q8", "q4", "ternary"};
    if ((uint32_t)type >= SHREW_TYPES || !description)
        return SHREW_E_ARGUMENT;
    if (!shrew_has_type(type))
        return SHREW_E_TYPE;
    const shrew_range range = shrew_range_of(type);
    const int is_integer = type != SHREW_F32;
    description->name = names[type];
    description->low = is_integer ? range.low : 0;
    description->high = is_integer ? range.high : 0;
    description->rows_per_byte = shrew_rows_per_byte(type);
    description->digit_of_zero = shrew_digit_of_zero(type);
    description->usual_group = shrew_rows_per_byte(type) > 1 ? 32 : 0;
    return SHREW_OK;
}
