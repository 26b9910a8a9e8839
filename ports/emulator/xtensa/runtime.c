/* Functions to which compilers emit calls. Compiled with -fno-builtin: otherwise the copy loop in memcpy would become a
 * call of memcpy. */
#include "string.h"

#include <stdint.h>

uint64_t __muldi3(uint64_t a, uint64_t b);
uint64_t __udivdi3(uint64_t a, uint64_t b);

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((((uintptr_t)to | (uintptr_t)from) & 3) == 0)
        for (; bytes >= 4; bytes -= 4, in += 4, out += 4)
            *(uint32_t *)(void *)out = *(const uint32_t *)(const void *)in;
    while (bytes--)
        *out++ = *in++;
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    uint8_t *out = to;
    const uint32_t word = 0x01010101u * (uint8_t)value;
    for (; bytes && (uintptr_t)out & 3; bytes--)
        *out++ = (uint8_t)value;
    for (; bytes >= 4; bytes -= 4, out += 4)
        *(uint32_t *)(void *)out = word;
    while (bytes--)
        *out++ = (uint8_t)value;
    return to;
}

/* 32 by 32 bits to 64, from 16-bit halves: this machine's multiplier gives only the low word. */
static uint64_t multiply(uint32_t a, uint32_t b) {
    const uint32_t a0 = a & 0xFFFF, a1 = a >> 16, b0 = b & 0xFFFF, b1 = b >> 16;
    const uint32_t low = a0 * b0, middle = a1 * b0 + (low >> 16), other = a0 * b1 + (middle & 0xFFFF);
    return (uint64_t)(a1 * b1 + (middle >> 16) + (other >> 16)) << 32 | other << 16 | (low & 0xFFFF);
}

uint64_t __muldi3(uint64_t a, uint64_t b) {
    const uint32_t high = (uint32_t)(a >> 32) * (uint32_t)b + (uint32_t)a * (uint32_t)(b >> 32);
    return multiply((uint32_t)a, (uint32_t)b) + ((uint64_t)high << 32);
}

/* Bit by bit: only used to print numbers. */
uint64_t __udivdi3(uint64_t a, uint64_t b) {
    uint64_t quotient = 0, rest = 0;
    for (int bit = 63; bit >= 0; bit--) {
        rest = rest << 1 | (a >> bit & 1);
        if (rest >= b) {
            rest -= b;
            quotient |= 1ull << bit;
        }
    }
    return quotient;
}
