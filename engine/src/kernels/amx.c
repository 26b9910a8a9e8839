/* x86-64 with tiles of matrices: AVX-512 for everything but the products of blocks. */
#include "kernels/kernels.h"

#ifdef SHREW_AMX

#include "kernels/avx512.h"

const shrew_kernels shrew_kernels_amx = {
    "amx",
    shrew_avx512_quantize,
    {shrew_avx2_multiply_f32, shrew_avx512_multiply_q8, shrew_avx512_multiply_q4, shrew_avx512_multiply_ternary},
    shrew_avx512_attend,
    shrew_avx512_activate,
    shrew_avx2_dot,
    shrew_avx512_attend_block,
    shrew_avx512_store_heads,
};

#endif
