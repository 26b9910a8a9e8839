/* x86-64 with AVX-512. */
#include "operators.h"

#ifdef SHREW_X86

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")
#endif

#define UNIT avx512
#define LANES 16
#include "unit.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
