/* Which instruction sets the processor supports and the operating system enables. The only place that asks, for both
 * the inference kernels and the learning operators. */
#ifndef SHREW_PROCESSOR_H
#define SHREW_PROCESSOR_H

#include "shrew.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define SHREW_X86
#endif

/* AMX needs Linux, which grants the tiles, and a compiler that has the intrinsics. */
#if defined(SHREW_X86) && defined(__linux__) && defined(__has_include)
#if __has_include(<amxint8intrin.h>) || __has_include(<amxintrin.h>) /* of gcc, of clang */
#define SHREW_AMX
#endif
#endif

#ifdef SHREW_X86
/* Whether SHREW_UNIT_AVX2, SHREW_UNIT_AVX512 or SHREW_UNIT_AMX runs here. For AMX, requests the tiles for the
 * process. */
int shrew_processor_runs(shrew_unit unit);

/* Whether the processor has fused multiply-adds, which AVX2 does not imply. */
int shrew_processor_fuses(void);
#endif

#endif
