/* x86-64 with AVX-512 and AMX tiles. */
#include "operators.h"

#ifdef SHREW_AMX

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,amx-tile,amx-bf16"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,amx-tile,amx-bf16")
#endif

#define UNIT amx
#define LANES 16
#define TILES
#include "unit.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
