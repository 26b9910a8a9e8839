/* Numbers as JSON writes them: -?digits, fraction, exponent; no leading zero, no plus sign. */
#ifndef SHREW_DECIMAL_H
#define SHREW_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

/* Integers beyond this are not whole in every program's numbers: 2^53 - 1. */
#define DECIMAL_MOST_INTEGER UINT64_C(9007199254740991)

typedef struct decimal {
    double value;     /* the nearest binary64 where there are up to 19 digits, up to 18 of them behind the point; else
                       * near it; infinite beyond its range */
    uint64_t integer; /* its magnitude, where is_integer; UINT64_MAX for all that exceed 64 bits */
    uint8_t is_integer; /* written without fraction and exponent */
    uint8_t is_negative;
} decimal;

/* Bytes of the number that text begins with, 0 if it begins with none. */
size_t fw_decimal_read(const char *text, size_t bytes, decimal *number);

#endif
