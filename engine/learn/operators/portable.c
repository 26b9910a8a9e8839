/* Any C99 compiler, any processor: vectors of four floats where GCC or clang know that there is a unit for them. */
#define UNIT portable
#if defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__)
#define LANES 4
#else
#define LANES 1
#endif
#include "unit.h"
