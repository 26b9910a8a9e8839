/* Which sets of instructions the processor runs and the operating system saves. Asked here alone, for the kernels of
 * inference and for the operators of learning. */
#ifndef SHREW_PROCESSOR_H
#define SHREW_PROCESSOR_H

#include "shrew.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define SHREW_X86
#endif

/* Tiles of matrices are asked of Linux, and of a compiler that knows them. */
#if defined(SHREW_X86) && defined(__linux__) && defined(__has_include)
#if __has_include(<amxint8intrin.h>) || __has_include(<amxintrin.h>) /* of gcc, of clang */
#define SHREW_AMX
#endif
#endif

#ifdef SHREW_X86
/* SHREW_UNIT_AVX2, SHREW_UNIT_AVX512 or SHREW_UNIT_AMX, for which the process gets permission. */
int shrew_processor_runs(shrew_unit unit);

/* Fused multiply-adds, which AVX2 does not promise. */
int shrew_processor_fuses(void);
#endif

#endif
