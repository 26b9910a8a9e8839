/* Numbers in JSON's syntax: -?digits, fraction, exponent; no leading zero, no plus sign. */
#ifndef SHREW_DECIMAL_H
#define SHREW_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

/* Largest integer up to which every program's numbers are exact: 2^53 - 1. */
#define DECIMAL_MOST_INTEGER UINT64_C(9007199254740991)

typedef struct decimal {
    double value;     /* the nearest binary64 for up to 19 digits, up to 18 of them after the point; otherwise close to
                       * it; infinite beyond its range */
    uint64_t integer; /* the magnitude if is_integer; UINT64_MAX if that exceeds 64 bits */
    uint8_t is_integer; /* written without fraction and exponent */
    uint8_t is_negative;
} decimal;

/* Reads the number at the start of text. Returns its length in bytes, 0 if there is none. */
size_t fw_decimal_read(const char *text, size_t bytes, decimal *number);

#endif
