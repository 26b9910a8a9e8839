/* Assembly macros shared by the Xtensa files. */
#ifndef SHREW_XTENSA_ASSEMBLY_H
#define SHREW_XTENSA_ASSEMBLY_H

/* Unpacks four weights to halves of registers: the first and third to even, the others to word. BYTES gives q8 weights
 * times 256, which keeps their signs. DIGITS leaves digits at their place in the shared byte. */
#define BYTES "slli %[even], %[word], 8\n" "and  %[even], %[even], %[mask]\n" "and  %[word], %[word], %[mask]\n"
#define DIGITS "and  %[even], %[word], %[mask]\n" "srli %[word], %[word], 8\n" "and  %[word], %[word], %[mask]\n"
#define SCALE_DOWN "srai %[even], %[even], 8\n"
enum { EVERY_OTHER_DIGIT = 0x00010001 };
#define EVERY_OTHER_BYTE 0xFF00FF00

#define FOUR(weights, row, at, multiply_first, x_01, x_23) \
    "l32i %[word], %[" #row "], " #at "\n"                 \
    weights                                                \
    multiply_first ".aa.ll %[" #x_01 "], %[even]\n"        \
    "mula.aa.hl %[" #x_01 "], %[word]\n"                   \
    "mula.aa.lh %[" #x_23 "], %[even]\n"                   \
    "mula.aa.hh %[" #x_23 "], %[word]\n"

#endif
