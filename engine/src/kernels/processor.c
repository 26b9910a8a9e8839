#include "kernels/processor.h"

#ifdef SHREW_X86

typedef struct cpu_leaf {
    uint32_t a, b, c, d;
} cpu_leaf;

static cpu_leaf ask_cpu(uint32_t leaf) {
    cpu_leaf r;
    __asm__("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
    return r;
}

/* The register sets that the operating system saves. */
static uint32_t saved_registers(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Tiles add 8 KB to every context switch, so Linux makes a process ask for them. */
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

int shrew_processor_runs(shrew_unit unit) {
    enum { OSXSAVE = 1 << 27, AVX2 = 1 << 5, VNNI = 1 << 11 };
    enum { SAVES_YMM = 0x06, SAVES_ZMM = 0xE6, SAVES_TILES = 0x60000 };
    const uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    const uint32_t amx = 1u << 22 | 1u << 24 | 1u << 25; /* AMX-BF16, AMX-TILE, AMX-INT8 */
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

int shrew_processor_fuses(void) {
    enum { FMA = 1 << 12 };
    return (ask_cpu(1).c & FMA) != 0;
}

#endif
