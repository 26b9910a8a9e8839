// Dot products on the vector unit of the ESP32-S3 (PIE), for pie.c. tests/pie/ interprets this source text.
//
// The unit multiplies eight 16-bit lanes and adds the products to ACCX, which is 40 bits wide. Activations are 16-bit
// already; weights must be widened. EE.VZIP.8 interleaves the bytes of two registers and writes both, so zipping with
// zeros widens sixteen weights into two registers. This overwrites the zeros; EE.VSUBS.S8.LD.INCP makes new ones while
// it loads the next weights. A row reads exactly its own bytes.
//
// Products of weights, per 16 columns: 4 instructions and 1 cycle of waiting for the weights, 5 and 1 with a mask.
// Attention: 6 instructions for a score of a head of 8, for larger ones 2 and 1 cycle of waiting per 16 columns; 5 to
// mix 8 columns of a value.
#if defined(__XTENSA__) && defined(SHREW_PIE)

        .text

// void shrew_pie_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
//                     uint32_t rows)
// dots[r] = the sum over chunks * 16 columns of int8 weights[r * stride + c] * x[c], for rows and chunks from 1.
// weights and x are aligned to 16; stride is a multiple of 16.
        .align  4
        .global shrew_pie_dots
        .type   shrew_pie_dots, @function
shrew_pie_dots:
        entry   a1, 32
        addi    a5, a5, -1                              // the last chunk loads nothing ahead
        movi    a8, 8
.Lrow:
        mov     a9, a2
        mov     a10, a4
        ee.zero.accx
        ee.vsubs.s8.ld.incp q1, a9, q0, q0, q0          // q1: weights, q0: zeros
        ee.vld.128.ip   q4, a10, 16
        ee.vld.128.ip   q5, a10, 16
        loopgtz a5, .Llast
        ee.vzip.8       q0, q1                          // weights in the high bytes: 256 times too large, but signed
        ee.vmulas.s16.accx.ld.ip q4, a10, 16, q4, q0
        ee.vmulas.s16.accx.ld.ip q5, a10, 16, q5, q1
        ee.vsubs.s8.ld.incp q1, a9, q0, q0, q0
.Llast:
        ee.vzip.8       q0, q1
        ee.vmulas.s16.accx q4, q0
        ee.vmulas.s16.accx q5, q1
        add     a2, a2, a3
        addi    a7, a7, -1
        ee.srs.accx     a9, a8, 0
        s32i    a9, a6, 0
        addi    a6, a6, 4
        bnez    a7, .Lrow
        retw
        .size   shrew_pie_dots, . - shrew_pie_dots

// void shrew_pie_masked_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
//                            uint32_t rows, uint32_t mask)
// The same with uint8 weights, each and-ed with a byte of mask. mask is four equal bytes.
        .align  4
        .global shrew_pie_masked_dots
        .type   shrew_pie_masked_dots, @function
shrew_pie_masked_dots:
        entry   a1, 32
        l32i    a8, a1, 32                              // the seventh argument is in the caller's frame
        addi    a5, a5, -1
        ee.movi.32.q    q7, a8, 0
        ee.movi.32.q    q7, a8, 1
        ee.movi.32.q    q7, a8, 2
        ee.movi.32.q    q7, a8, 3
        movi    a8, 0
.Lmasked_row:
        mov     a9, a2
        mov     a10, a4
        ee.zero.accx
        ee.vsubs.s8.ld.incp q1, a9, q0, q0, q0
        ee.vld.128.ip   q4, a10, 16
        ee.vld.128.ip   q5, a10, 16
        loopgtz a5, .Lmasked_last
        ee.andq         q1, q1, q7
        ee.vzip.8       q1, q0                          // weights in the low bytes: 0 to 255
        ee.vmulas.s16.accx.ld.ip q4, a10, 16, q4, q1
        ee.vmulas.s16.accx.ld.ip q5, a10, 16, q5, q0
        ee.vsubs.s8.ld.incp q1, a9, q0, q0, q0
.Lmasked_last:
        ee.andq         q1, q1, q7
        ee.vzip.8       q1, q0
        ee.vmulas.s16.accx q4, q1
        ee.vmulas.s16.accx q5, q0
        add     a2, a2, a3
        addi    a7, a7, -1
        ee.srs.accx     a9, a8, 0
        s32i    a9, a6, 0
        addi    a6, a6, 4
        bnez    a7, .Lmasked_row
        retw
        .size   shrew_pie_masked_dots, . - shrew_pie_masked_dots

// void shrew_pie_scores(const int8_t *keys, const int8_t *query, uint32_t count, uint32_t width, int32_t *scores)
// scores[t] = the sum over width columns of keys[t * width + d] * query[d], for count from 1. width is 8 or a multiple
// of 16; keys and query are aligned to 8 or 16 likewise.
        .align  4
        .global shrew_pie_scores
        .type   shrew_pie_scores, @function
shrew_pie_scores:
        entry   a1, 32
        movi    a8, 0
        bnei    a5, 8, .Lwide
        ee.zero.q       q0                              // 64-bit loads do not change the upper half
        ee.zero.q       q1
        ee.vld.l.64.ip  q1, a3, 0
        addi    a6, a6, -4
        loopgtz a4, .Lnarrow_end
        ee.vld.l.64.ip  q0, a2, 8
        ee.zero.accx
        ee.vmulas.s8.accx q0, q1
        addi    a6, a6, 4
        ee.srs.accx     a9, a8, 0
        s32i    a9, a6, 0
.Lnarrow_end:
        retw
.Lwide:
        srli    a5, a5, 4
        addi    a5, a5, -1
.Lkey:
        mov     a10, a3
        ee.zero.accx
        ee.vld.128.ip   q0, a2, 16
        ee.vld.128.ip   q1, a10, 16
        loopgtz a5, .Llast_columns
        ee.vmulas.s8.accx.ld.ip q0, a2, 16, q0, q1
        ee.vld.128.ip   q1, a10, 16
.Llast_columns:
        ee.vmulas.s8.accx q0, q1
        addi    a4, a4, -1
        ee.srs.accx     a9, a8, 0
        s32i    a9, a6, 0
        addi    a6, a6, 4
        bnez    a4, .Lkey
        retw
        .size   shrew_pie_scores, . - shrew_pie_scores

// void shrew_pie_mix(const int8_t *values, uint32_t width, const int32_t *weights, uint32_t count, uint8_t *sums)
// For eight columns d, the sum over count tokens of weights[t] * values[t * width + d], times 256, in 40 bits each:
// four in the first 20 bytes of sums and four from byte 32 on. sums has 64 bytes and is aligned to 16. values is
// aligned to 8; width is a multiple of 8; weights fit 16 bits.
        .align  4
        .global shrew_pie_mix
        .type   shrew_pie_mix, @function
shrew_pie_mix:
        entry   a1, 32
        ee.zero.qacc
        ee.zero.q       q1
        loopgtz a5, .Lmixed
        ee.vld.l.64.xp  q1, a2, a3
        ee.vldbc.16.ip  q2, a4, 4                       // the weight in all lanes
        ee.zero.q       q0
        ee.vzip.8       q0, q1
        ee.vmulas.s16.qacc q2, q0
.Lmixed:
        addi    a8, a6, 16
        ee.st.qacc_l.l.128.ip a6, 32
        ee.st.qacc_l.h.32.ip a8, 32
        ee.st.qacc_h.l.128.ip a6, 0
        ee.st.qacc_h.h.32.ip a8, 0
        retw
        .size   shrew_pie_mix, . - shrew_pie_mix

#endif
