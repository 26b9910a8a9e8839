/* x86-64 with AVX2 and FMA. */
#include "operators.h"

#ifdef SHREW_X86

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#define UNIT avx2
#define LANES 8
#include "unit.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
