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
#ifdef SHREW_AMX
extern const shrew_kernels shrew_kernels_amx;
#endif

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

/* Tiles are 8 KB more to save at every change of threads, so a process has to ask for them. */
static int grants_tiles(void) {
#ifdef SHREW_AMX
    enum { ARCH_PRCTL = 158, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    long status = ARCH_PRCTL;
    __asm__ volatile("syscall"
                     : "+a"(status)
                     : "D"((long)REQUEST_PERMISSION), "S"((long)TILE_DATA)
                     : "rcx", "r11", "memory");
    return status == 0;
#else
    return 0;
#endif
}

static int runs(uint32_t unit) {
    enum { OSXSAVE = 1 << 27, SAVES_YMM = 0x06, SAVES_ZMM = 0xE6, SAVES_TILES = 0x60000, AVX2 = 1 << 5, VNNI = 1 << 11 };
    const uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    const uint32_t amx = 1u << 22 | 1u << 24 | 1u << 25; /* products of bf16, tiles, products of bytes */
    if (ask_cpu(0).a < 7 || !(ask_cpu(1).c & OSXSAVE))
        return 0;
    const uint32_t saved = saved_registers();
    const cpu_leaf features = ask_cpu(7);
    const int avx2 = (saved & SAVES_YMM) == SAVES_YMM && features.b & AVX2;
    if (unit == SHREW_UNIT_AVX2)
        return avx2;
    const int avx512 = avx2 && (saved & SAVES_ZMM) == SAVES_ZMM && (features.b & f_dq_bw_vl) == f_dq_bw_vl &&
                       features.c & VNNI;
    if (unit == SHREW_UNIT_AVX512)
        return avx512;
    return avx512 && (saved & SAVES_TILES) == SAVES_TILES && (features.d & amx) == amx && grants_tiles();
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
#ifdef SHREW_AMX
    if ((unit == SHREW_UNIT_AUTO || unit == SHREW_UNIT_AMX) && runs(SHREW_UNIT_AMX))
        return &shrew_kernels_amx;
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
