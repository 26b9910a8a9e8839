/* Attention scores on Xtensa, with the accumulator that xtensa.c describes. */
#include "kernels/xtensa_score.h"

#include "kernels/xtensa_assembly.h"

#if defined(__XTENSA__)

#define SCORE(add)                                                                                               \
    __asm__ volatile("loopnez %[held], 1f\n"                                                                     \
                     FOUR(BYTES, key, 0, "mul", q_01, q_23) FOUR(BYTES, key, 4, "mula", q_45, q_67)              \
                     "rsr  %[even], acclo\n"                                                                     \
                     SCALE_DOWN                                                                                  \
                     add                                                                                         \
                     "s32i %[even], %[scores], 0\n"                                                              \
                     "add  %[key], %[key], %[width]\n"                                                           \
                     "addi %[scores], %[scores], 4\n"                                                            \
                     "1:\n"                                                                                      \
                     : [key] "+r"(key), [scores] "+r"(scores), [even] "=&r"(even), [word] "=&r"(word)            \
                     : [held] "r"(s->held), [width] "r"(s->width), [mask] "r"(EVERY_OTHER_BYTE),                 \
                       [q_01] "r"(pair[0]), [q_23] "r"(pair[1]), [q_45] "r"(pair[2]), [q_67] "r"(pair[3])        \
                     : "memory")

void shrew_xtensa_score(const shrew_span *s, const int8_t *query, uint32_t start, int32_t *scores) {
    const int8_t *key = s->keys + start;
    uint32_t pair[4], even, word;
    for (uint32_t i = 0; i < 4; i++)
        pair[i] = (uint32_t)(uint16_t)query[2 * i] | (uint32_t)query[2 * i + 1] << 16;
    if (start)
        SCORE("l32i %[word], %[scores], 0\n" "add  %[even], %[even], %[word]\n");
    else
        SCORE("");
}

#endif
