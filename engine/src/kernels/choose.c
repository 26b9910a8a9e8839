/* The only place that knows which kernels exist. */
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

#ifdef SHREW_X86
extern const shrew_kernels shrew_kernels_avx2, shrew_kernels_avx512;
#ifdef SHREW_AMX
extern const shrew_kernels shrew_kernels_amx;
#endif
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
#ifdef SHREW_AMX
    if ((unit == SHREW_UNIT_AUTO || unit == SHREW_UNIT_AMX) && shrew_processor_runs(SHREW_UNIT_AMX))
        return &shrew_kernels_amx;
#endif
#ifdef SHREW_X86
    if ((unit == SHREW_UNIT_AUTO || unit == SHREW_UNIT_AVX512) && shrew_processor_runs(SHREW_UNIT_AVX512))
        return &shrew_kernels_avx512;
    if ((unit == SHREW_UNIT_AUTO || unit == SHREW_UNIT_AVX2) && shrew_processor_runs(SHREW_UNIT_AVX2))
        return &shrew_kernels_avx2;
#endif
#if defined(SHREW_REFERENCE) || !(defined(__riscv) || defined(__XTENSA__)) /* left out on chips to save flash */
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
