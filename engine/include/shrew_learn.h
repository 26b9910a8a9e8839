/* Shrew: learning. The rules of shrew.h apply: the caller provides all memory, nothing is allocated, printed or kept
 * between calls, and functions that can fail return a negative shrew_status. */
#ifndef SHREW_LEARN_H
#define SHREW_LEARN_H

#include "shrew.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Learning a byte-level BPE vocabulary: count the words of a corpus, then merge their most frequent pairs --- */

/* A word is one distinct pre-token of a corpus (docs/FORMAT.md, byte-level BPE). */
typedef struct shrew_word {
    uint32_t start; /* of its first occurrence: text[start .. start + bytes) */
    uint32_t bytes;
    uint32_t count; /* of its occurrences */
} shrew_word;

/* Bytes of memory that shrew_count_words needs in the worst case for text_bytes bytes. Ordinary texts leave most of it
 * untouched. SIZE_MAX: more than this machine can address. */
size_t shrew_count_words_bytes(size_t text_bytes);

/* Counts the words of `texts` concatenated texts; text i ends before text[ends[i]]. Pre-tokens do not cross an end.
 * ends[texts - 1] is the total, below 4 GiB. unicode: character classes (section 7), or NULL for ASCII rules. *words
 * points to the start of memory, which is aligned to 4, and is in order of first occurrence. */
int shrew_count_words(const void *text, const uint32_t *ends, size_t texts, const void *unicode, size_t unicode_bytes,
                      void *memory, size_t memory_bytes, const shrew_word **words, size_t *count);

/* Which of several equally frequent pairs is merged first. */
typedef enum shrew_ties {
    SHREW_TIES_BYTES = 0, /* the pair whose left token, then right token, is greater in byte order */
    SHREW_TIES_IDS = 1    /* the pair whose left token, then right token, has the lower id (the tokenizers library) */
} shrew_ties;

typedef struct shrew_bpe_options {
    const uint16_t *byte_ids; /* [256] token of each single byte: all different, below first */
    uint32_t first;           /* id of the first token to learn; the others follow */
    uint32_t vocab;           /* size of the vocabulary: ids are below it; at most SHREW_MAX_VOCAB */
    uint32_t min_count;       /* rarer pairs are not merged; 0 counts as 1 */
    uint32_t ties;            /* shrew_ties */
} shrew_bpe_options;

/* Bytes of memory that shrew_bpe_train needs for a vocabulary of `vocab` tokens and `count` words. SIZE_MAX: more than
 * this machine can address. */
size_t shrew_bpe_train_bytes(const shrew_word *words, size_t count, uint32_t vocab);

/* Learns merges in order of priority: merge i joins the tokens merges[2i] and merges[2i + 1] into token first + i.
 * merges has room for vocab - first of them; *merge_count is smaller if pairs run out. No token is longer than 255
 * bytes. memory is aligned to 4. */
int shrew_bpe_train(const shrew_bpe_options *options, const void *text, size_t text_bytes, const shrew_word *words,
                    size_t count, void *memory, size_t memory_bytes, uint16_t *merges, size_t *merge_count);

/* ---- The operators of a transformer's training, forward and backward ---------------------------------------------
 *
 * Arrays hold floats, one row per token. They are dense, aligned to 4 and, unless stated otherwise, do not overlap. A
 * call runs on its caller's thread; calls on different arrays may run concurrently. A backward *adds* the gradients of
 * parameters to their arrays. Each unit sums in a different order, so results of units agree within rounding, not bit
 * for bit. NaN and infinity propagate to the loss. SHREW_E_ARGUMENT: a NULL pointer, a size of 0, an id beyond the
 * table, an unknown kind or unit. */

/* Resolves the unit to pass to the operators. SHREW_UNIT_SCALAR (portable) and the vector units give themselves,
 * SHREW_UNIT_AUTO the fastest that this processor runs. Negative if the processor cannot run the unit. Call once and
 * keep the result: querying the processor is slow. An operator does not check the processor: with a unit that this
 * function did not return, it may execute an illegal instruction. */
int shrew_learn_unit(uint32_t unit);

/* y = x weight' + bias: x [rows, inputs], weight [outputs, inputs], bias [outputs] or NULL, y [rows, outputs]. The
 * backward adds to dweight and, unless NULL, dbias, and overwrites dx. memory: scratch of shrew_learn_linear_bytes,
 * aligned to 4. 0 bytes means an invalid shape. */
size_t shrew_learn_linear_bytes(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs);
int shrew_learn_linear(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *x,
                       const float *weight, const float *bias, float *y, void *memory, size_t memory_bytes);
int shrew_learn_linear_backward(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *dy,
                                const float *x, const float *weight, float *dweight, float *dbias, float *dx,
                                void *memory, size_t memory_bytes);

/* y [rows, width]: row n is row ids[n] of table [vocab, width]. The backward adds row n of dy to row ids[n] of
 * dtable. */
int shrew_learn_embedding(uint32_t unit, uint32_t rows, uint32_t width, uint32_t vocab, const uint32_t *ids,
                          const float *table, float *y);
int shrew_learn_embedding_backward(uint32_t unit, uint32_t rows, uint32_t width, uint32_t vocab, const float *dy,
                                   const uint32_t *ids, float *dtable);

/* Rotates pairs (2i, 2i + 1) of the first `heads` heads of each row in place. x: rows `stride` floats apart; phases
 * [rows, head_dim]: cosine and sine of each pair's angle. A backward other than 0 rotates back. head_dim is even. */
int shrew_learn_rope(uint32_t unit, uint32_t rows, uint32_t heads, uint32_t head_dim, size_t stride,
                     const float *phases, int backward, float *x);

/* y = (x - mean) / deviation * gain + bias for each row. kind: shrew_norm; gain and bias [width] may be NULL. moments
 * [rows, 2]: mean and 1 / deviation, for the backward. The backward *adds* to dx, and to dgain and dbias unless
 * NULL. */
int shrew_learn_norm(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, float epsilon, const float *x,
                     const float *gain, const float *bias, float *y, float *moments);
int shrew_learn_norm_backward(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, const float *dy,
                              const float *x, const float *moments, const float *gain, float *dgain, float *dbias,
                              float *dx);

/* Documents of equal length. The row of a token holds its queries, keys and values: qkv [batch * tokens, (heads + 2 *
 * kv_heads) * head_dim]. kv_heads divides heads; head_dim is at most 4096, tokens * heads / kv_heads at most 2^24. */
typedef struct shrew_learn_heads {
    uint32_t batch;
    uint32_t tokens;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
} shrew_learn_heads;

/* Causal attention: out [batch * tokens, heads * head_dim] and, for the backward, lse [batch, heads * tokens]: the
 * base-2 logarithm of each softmax's sum. The backward overwrites dqkv. memory: scratch of shrew_learn_attention_bytes,
 * aligned to 4. 0 bytes means an invalid shape. */
size_t shrew_learn_attention_bytes(uint32_t unit, const shrew_learn_heads *shape);
int shrew_learn_attention(uint32_t unit, const shrew_learn_heads *shape, const float *qkv, float *out, float *lse,
                          void *memory, size_t memory_bytes);
int shrew_learn_attention_backward(uint32_t unit, const shrew_learn_heads *shape, const float *qkv, const float *out,
                                   const float *lse, const float *dout, float *dqkv, void *memory,
                                   size_t memory_bytes);

/* The activation between an MLP's matrices (kind: shrew_mlp): from x [rows, width], or for SwiGLU gate and up side by
 * side [rows, 2 * width], to y [rows, width]. The backward also recomputes y, unless y is NULL. dx may be x. */
int shrew_learn_activation(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, const float *x, float *y);
int shrew_learn_activation_backward(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, const float *dy,
                                    const float *x, float *dx, float *y);

/* losses [rows] = -log softmax(logits)[target] of each row of logits [rows, vocab], in nats. The gradient of their
 * weighted sum, (softmax - one_hot(target)) * weight, overwrites the logits. Weights may be 0 or negative. */
int shrew_learn_cross_entropy(uint32_t unit, uint32_t rows, uint32_t vocab, float *logits, const uint32_t *targets,
                              const float *weights, float *losses);

/* On all gradients or parameters as one vector: *sum = the sum of squares; x *= factor; y += x. */
int shrew_learn_square_sum(uint32_t unit, size_t count, const float *x, float *sum);
int shrew_learn_scale(uint32_t unit, size_t count, float factor, float *x);
int shrew_learn_add(uint32_t unit, size_t count, const float *x, float *y);

typedef struct shrew_learn_adamw_options {
    float rate;
    float beta1;
    float beta2;
    float epsilon;
    float decay;       /* decoupled weight decay: a step subtracts rate * decay * parameters */
    float correction1; /* 1 - beta1^steps; steps includes this one */
    float correction2; /* 1 - beta2^steps */
} shrew_learn_adamw_options;

/* One step of AdamW. first and second [count] are its moments, zeros before the first step. */
int shrew_learn_adamw(uint32_t unit, const shrew_learn_adamw_options *options, size_t count, const float *gradient,
                      float *first, float *second, float *parameters);

/* ---- A transformer layer: the operators above in one call -------------------------------------------------------- */

/* x + out(attention(norm(x))), then x + down(activation(up(norm(x)))), on documents of equal length. */
typedef struct shrew_learn_layer {
    uint32_t batch;  /* documents */
    uint32_t tokens; /* per document */
    uint32_t kept;   /* number of rows that go on after attention; 0: all */
    uint32_t dim;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t ffn;
    uint32_t norm; /* shrew_norm */
    uint32_t mlp;  /* shrew_mlp */
    float epsilon; /* of the norms */
} shrew_learn_layer;

/* The tensors of one layer, or their gradients. NULL: the model does not have it. */
typedef struct shrew_learn_tensors {
    float *attention_gain, *attention_bias; /* [dim] */
    float *qkv, *qkv_bias;                  /* query, key and value stacked [(heads + 2 * kv_heads) * head_dim, dim] */
    float *out, *out_bias;                  /* [dim, heads * head_dim] */
    float *mlp_gain, *mlp_bias;             /* [dim] */
    float *up, *up_bias;                    /* [ffn, dim]; for SwiGLU gate and up stacked [2 * ffn, dim] */
    float *down, *down_bias;                /* [dim, ffn] */
} shrew_learn_tensors;

/* Bytes that the forward saves for the backward, and of scratch memory for either. 0: invalid shape. */
size_t shrew_learn_layer_saved_bytes(uint32_t unit, const shrew_learn_layer *layer);
size_t shrew_learn_layer_memory_bytes(uint32_t unit, const shrew_learn_layer *layer);

/* From x [batch * tokens, dim] to y [kept, dim]. phases [batch * tokens, head_dim]: as for shrew_learn_rope; NULL if
 * positions are not rotary. kept [layer->kept]: indices of rows in ascending order; NULL if layer->kept is 0. */
int shrew_learn_layer_forward(uint32_t unit, const shrew_learn_layer *layer, const shrew_learn_tensors *weights,
                              const float *x, const float *phases, const uint32_t *kept, float *y, void *saved,
                              size_t saved_bytes, void *memory, size_t memory_bytes);

/* Overwrites dy [kept, dim] and what the forward saved, and writes dx [batch * tokens, dim]. */
int shrew_learn_layer_backward(uint32_t unit, const shrew_learn_layer *layer, const shrew_learn_tensors *weights,
                               const shrew_learn_tensors *gradients, const float *x, const float *phases,
                               const uint32_t *kept, float *dy, float *dx, void *saved, size_t saved_bytes,
                               void *memory, size_t memory_bytes);

#ifdef __cplusplus
}
#endif
#endif
