/* A hash table of indices: open addressing, a power of two of slots, at most half of them used. The user compares
 * keys. */
#ifndef SHREW_HASH_H
#define SHREW_HASH_H

#include <stddef.h>
#include <stdint.h>

#define EMPTY_SLOT 0xFFFFFFFFu

/* Number of slots for a table of this many entries. */
static inline uint64_t table_slots(uint64_t entries) {
    uint64_t slots = 16;
    while (slots < 2 * entries)
        slots *= 2;
    return slots;
}

/* Spreads the entropy of all bits over the low ones, which select the slot. */
static inline uint32_t mix_bits(uint32_t value) {
    value ^= value >> 16;
    value *= 0x7FEB352Du;
    value ^= value >> 15;
    value *= 0x846CA68Bu;
    return value ^ value >> 16;
}

static inline uint32_t hash_bytes(const uint8_t *bytes, size_t count) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return mix_bits(hash);
}

#endif
