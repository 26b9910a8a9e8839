/* The one place that knows which kernels there are and which of them this processor runs. */
#include "kernels/kernels.h"

#ifdef __wasm_simd128__
extern const shrew_kernels shrew_kernels_simd128;
#endif
#if defined(__XTENSA__)
extern const shrew_kernels shrew_kernels_xtensa;
#endif
#if defined(SHREW_PIE)
extern const shrew_kernels shrew_kernels_pie;
int shrew_pie_check(void);
#endif

#if defined(__x86_64__) && defined(__GNUC__)

extern const shrew_kernels shrew_kernels_avx2, shrew_kernels_avx512;

typedef struct cpu_leaf {
    uint32_t a, b, c, d;
} cpu_leaf;

static cpu_leaf ask_cpu(uint32_t leaf) {
    cpu_leaf r;
    __asm__("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
    return r;
}

/* Registers that the operating system saves. */
static uint32_t saved_registers(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int runs(uint32_t unit) {
    enum { OSXSAVE = 1 << 27, SAVES_YMM = 0x06, SAVES_ZMM = 0xE6, AVX2 = 1 << 5, VNNI = 1 << 11 };
    const uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    if (ask_cpu(0).a < 7 || !(ask_cpu(1).c & OSXSAVE))
        return 0;
    const uint32_t saved = saved_registers();
    const cpu_leaf features = ask_cpu(7);
    const int avx2 = (saved & SAVES_YMM) == SAVES_YMM && features.b & AVX2;
    if (unit == SHREW_UNIT_AVX2)
        return avx2;
    return avx2 && (saved & SAVES_ZMM) == SAVES_ZMM && (features.b & f_dq_bw_vl) == f_dq_bw_vl && features.c & VNNI;
}

#endif

const shrew_kernels *shrew_choose_kernels(uint32_t unit) {
#ifdef __wasm_simd128__
    if (unit == SHREW_UNIT_AUTO || unit == SHREW_UNIT_SIMD128)
        return &shrew_kernels_simd128;
#endif
#if defined(SHREW_PIE)
    if ((unit == SHREW_UNIT_AUTO || unit == SHREW_UNIT_PIE) && shrew_pie_check())
        return &shrew_kernels_pie;
#endif
#if defined(__x86_64__) && defined(__GNUC__)
    if ((unit == SHREW_UNIT_AUTO || unit == SHREW_UNIT_AVX512) && runs(SHREW_UNIT_AVX512))
        return &shrew_kernels_avx512;
    if ((unit == SHREW_UNIT_AUTO || unit == SHREW_UNIT_AVX2) && runs(SHREW_UNIT_AVX2))
        return &shrew_kernels_avx2;
#endif
#if defined(SHREW_REFERENCE) || !(defined(__riscv) || defined(__XTENSA__)) /* chips have other uses for the room */
    if (unit == SHREW_UNIT_REFERENCE)
        return &shrew_kernels_reference;
#endif
    if (unit != SHREW_UNIT_AUTO && unit != SHREW_UNIT_SCALAR)
        return NULL;
#if defined(__XTENSA__)
    return &shrew_kernels_xtensa;
#else
    return &shrew_kernels_scalar;
#endif
}

const char *shrew_unit_name(uint32_t unit) {
    const shrew_kernels *kernels = shrew_choose_kernels(unit);
    return kernels ? kernels->name : NULL;
}
