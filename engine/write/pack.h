/* Integers as the bytes of a tensor's data, and which integers a type has. */
#ifndef SHREW_WRITE_PACK_H
#define SHREW_WRITE_PACK_H

#include "weight_type.h"

/* Packs count columns of the rows that share bytes: rows of them, at most shrew_rows_per_byte. integers: the first
 * column of the first row; the next row lies cols further. */
void shrew_pack(uint32_t type, const int8_t *integers, uint32_t rows, uint32_t cols, uint32_t count, uint8_t *bytes);

/* Whether all count integers are within low and high. */
int shrew_within(const int8_t *integers, size_t count, int32_t low, int32_t high);

#endif
