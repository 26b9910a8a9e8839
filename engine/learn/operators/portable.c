/* Any C99 compiler, any processor. Uses vectors of four floats if GCC or clang target a vector unit. */
#define UNIT portable
#if defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__)
#define LANES 4
#else
#define LANES 1
#endif
#include "unit.h"
