#include "decimal.h"

enum { MOST_DIGITS = 19, MOST_STEP = 18 /* 10^18 times two fits 64 bits */ };

static int is_digit(const char *text, size_t bytes, size_t at) {
    return at < bytes && text[at] >= '0' && text[at] <= '9';
}

/* The double nearest to quotient * 2^exponent, ties to even. rest: 1 if the exact value is slightly larger. */
static double rounded(uint64_t quotient, int exponent, int rest) {
    const uint64_t half = 1u << 10;
    const uint64_t lost = quotient & 2047;
    quotient >>= 11;
    quotient += lost > half || (lost == half && (rest || quotient & 1));
    double value = (double)quotient;
    for (exponent += 11; exponent < 0; exponent++)
        value *= 0.5;
    for (; exponent > 0; exponent--)
        value *= 2;
    return value;
}

/* digits / 10^down, by long division to a quotient of 64 bits. */
static double divided(uint64_t digits, int down) {
    int exponent = 0, rest = 0;
    while (down > 0) {
        const int step = down < MOST_STEP ? down : MOST_STEP;
        uint64_t divisor = 1;
        for (int i = 0; i < step; i++)
            divisor *= 10;
        uint64_t quotient = digits / divisor, remainder = digits % divisor;
        while (quotient >> 63 == 0) {
            remainder <<= 1;
            quotient = quotient << 1 | (remainder >= divisor);
            remainder -= remainder >= divisor ? divisor : 0;
            exponent--;
        }
        digits = quotient;
        rest |= remainder != 0;
        down -= step;
    }
    return rounded(digits, exponent, rest);
}

/* The significant digits, and the place of the decimal point. */
typedef struct significand {
    uint64_t digits;
    int count;    /* digits taken, without leading zeros */
    int exponent; /* digits * 10^exponent */
} significand;

static void take_digit(significand *s, char digit, int after_point) {
    if (s->count < MOST_DIGITS) {
        s->digits = s->digits * 10 + (uint64_t)(digit - '0');
        s->count += s->digits != 0;
        s->exponent -= after_point;
    } else {
        s->exponent += !after_point;
    }
}

static double value_of(const significand *s) {
    if (!s->digits)
        return 0;
    if (s->exponent < 0)
        return divided(s->digits, s->exponent > -400 ? -s->exponent : 400);
    double power = 1;
    for (int i = 0; i < s->exponent && i < 400; i++)
        power *= 10;
    return (double)s->digits * power;
}

size_t fw_decimal_read(const char *text, size_t bytes, decimal *number) {
    significand s = {0, 0, 0};
    size_t at = bytes && *text == '-';
    const size_t first = at;
    number->is_negative = (uint8_t)at;
    number->is_integer = 1;
    number->integer = 0;
    for (; is_digit(text, bytes, at); at++) {
        const uint64_t digit = (uint64_t)(text[at] - '0');
        number->integer = number->integer > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number->integer * 10 + digit;
        take_digit(&s, text[at], 0);
    }
    if (at == first || (text[first] == '0' && at > first + 1))
        return 0;
    if (at < bytes && text[at] == '.') {
        number->is_integer = 0;
        if (!is_digit(text, bytes, ++at))
            return 0;
        for (; is_digit(text, bytes, at); at++)
            take_digit(&s, text[at], 1);
    }
    if (at < bytes && (text[at] | 0x20) == 'e') {
        int exponent = 0;
        number->is_integer = 0;
        at++;
        const int down = at < bytes && text[at] == '-';
        at += at < bytes && (text[at] == '-' || text[at] == '+');
        if (!is_digit(text, bytes, at))
            return 0;
        for (; is_digit(text, bytes, at); at++)
            exponent = exponent < 100000 ? exponent * 10 + (text[at] - '0') : exponent;
        s.exponent += down ? -exponent : exponent;
    }
    number->value = number->is_negative ? -value_of(&s) : value_of(&s);
    return at;
}
