#include "pack.h"

void shrew_pack(uint32_t type, const int8_t *integers, uint32_t rows, uint32_t cols, uint32_t count, uint8_t *bytes) {
    const int32_t zero = (int32_t)shrew_digit_of_zero(type);
    const uint32_t bits = 8 / shrew_rows_per_byte(type);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t byte = 0;
        for (uint32_t row = 0; row < rows; row++)
            byte |= (uint32_t)(uint8_t)(integers[(size_t)row * cols + i] + zero) << bits * row;
        bytes[i] = (uint8_t)byte;
    }
}

int shrew_within(const int8_t *integers, size_t count, int32_t low, int32_t high) {
    for (size_t i = 0; i < count; i++)
        if (integers[i] < low || integers[i] > high)
            return 0;
    return 1;
}
