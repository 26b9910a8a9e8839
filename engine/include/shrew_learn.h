/* Shrew: learning. The engine's rules hold here too: all memory is the caller's, nothing is allocated, printed or kept
 * between calls, and every function returns SHREW_OK or a negative shrew_status. */
#ifndef SHREW_LEARN_H
#define SHREW_LEARN_H

#include "shrew.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Learning a byte-level BPE vocabulary: count the words of a corpus, then merge their most frequent pairs --- */

/* A word is one distinct pre-token of a corpus (docs/FORMAT.md, byte-level BPE). */
typedef struct shrew_word {
    uint32_t start; /* where it first occurs: text[start .. start + bytes) */
    uint32_t bytes;
    uint32_t count; /* how often it occurs */
} shrew_word;

/* Bytes of memory that counting the words of text_bytes bytes may need: for the worst of texts; what an ordinary text
 * does not need is never touched. SIZE_MAX: more than this machine can address. */
size_t shrew_count_words_bytes(size_t text_bytes);

/* The words of `texts` texts that lie one after the other, text i ending before text[ends[i]]; pre-tokens do not cross
 * an end. ends[texts - 1] is the total, below 4 GiB. unicode: character classes (section 7), or NULL for ASCII rules.
 * *words, in the order in which they first occur, lie at the start of memory, which is aligned to 4. */
int shrew_count_words(const void *text, const uint32_t *ends, size_t texts, const void *unicode, size_t unicode_bytes,
                      void *memory, size_t memory_bytes, const shrew_word **words, size_t *count);

/* Which of several equally frequent pairs is merged first. */
typedef enum shrew_ties {
    SHREW_TIES_BYTES = 0, /* the pair whose left, then right token is greater as bytes */
    SHREW_TIES_IDS = 1    /* the pair whose left, then right token has the lower id, as the tokenizers library does */
} shrew_ties;

typedef struct shrew_bpe_options {
    const uint16_t *byte_ids; /* [256] token of each single byte, all different and below first */
    uint32_t first;           /* id of the first token to learn; the others follow */
    uint32_t vocab;           /* ids end before this one; at most SHREW_MAX_VOCAB */
    uint32_t min_count;       /* rarer pairs are not merged; 0 is taken as 1 */
    uint32_t ties;            /* shrew_ties */
} shrew_bpe_options;

/* Bytes of memory for learning `vocab` tokens from `count` words. SIZE_MAX: more than this machine can address. */
size_t shrew_bpe_train_bytes(const shrew_word *words, size_t count, uint32_t vocab);

/* Learns merges in order of priority: merge i, of the tokens merges[2i] and merges[2i + 1], makes token first + i. There
 * is room for vocab - first of them; *merge_count is smaller where no pair is left. No token is longer than 255 bytes.
 * memory is aligned to 4. */
int shrew_bpe_train(const shrew_bpe_options *options, const void *text, size_t text_bytes, const shrew_word *words,
                    size_t count, void *memory, size_t memory_bytes, uint16_t *merges, size_t *merge_count);

/* ---- The operators of a transformer's training, forward and backward ---------------------------------------------
 *
 * Floats, in rows: a row is a token. Arrays are dense, aligned to 4 and, unless said otherwise, do not overlap. Each call
 * runs in its caller's thread; calls on different arrays may run at once. A backward *adds* the gradients of parameters
 * to what is there. Each unit adds in another order, so results agree within rounding, not bit for bit. NaN and infinity
 * propagate to the loss. SHREW_E_ARGUMENT: a NULL, a size of 0, an id beyond the table, an unknown
 * kind or unit. */

/* The unit to pass to the operators: SHREW_UNIT_SCALAR (portable), SHREW_UNIT_AVX2 or SHREW_UNIT_AVX512 itself, or for
 * SHREW_UNIT_AUTO the fastest that this processor runs; negative where it does not run it. Ask once: asking a processor
 * takes long. An operator that is given a unit which was not answered here may die of it. */
int shrew_learn_unit(uint32_t unit);

/* y = x weight' + bias: x [rows, inputs], weight [outputs, inputs], bias [outputs] or NULL, y [rows, outputs]; the
 * backward adds to dweight and, unless NULL, dbias, and overwrites dx. memory: shrew_learn_linear_bytes, aligned to 4, of
 * no meaning afterwards; 0 bytes: the shape is not possible. */
size_t shrew_learn_linear_bytes(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs);
int shrew_learn_linear(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *x,
                       const float *weight, const float *bias, float *y, void *memory, size_t memory_bytes);
int shrew_learn_linear_backward(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *dy,
                                const float *x, const float *weight, float *dweight, float *dbias, float *dx,
                                void *memory, size_t memory_bytes);

/* Row ids[n] of table [vocab, width] for each n: y [rows, width]. The backward adds dy's rows to dtable's. */
int shrew_learn_embedding(uint32_t unit, uint32_t rows, uint32_t width, uint32_t vocab, const uint32_t *ids,
                          const float *table, float *y);
int shrew_learn_embedding_backward(uint32_t unit, uint32_t rows, uint32_t width, uint32_t vocab, const float *dy,
                                   const uint32_t *ids, float *dtable);

/* Turns pairs (2i, 2i + 1) of the first `heads` heads of each row in place. x: rows that start `stride` floats apart;
 * phases [rows, head_dim]: cosine and sine of each pair's angle. backward: not 0 turns back. head_dim is even. */
int shrew_learn_rope(uint32_t unit, uint32_t rows, uint32_t heads, uint32_t head_dim, size_t stride,
                     const float *phases, int backward, float *x);

/* y = (x - mean) / deviation * gain + bias of each row (kind: shrew_norm; gain and bias [width] may be NULL), moments
 * [rows, 2]: mean and 1 / deviation, for the backward. The backward *adds* to dx, and to dgain and dbias unless NULL. */
int shrew_learn_norm(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, float epsilon, const float *x,
                     const float *gain, const float *bias, float *y, float *moments);
int shrew_learn_norm_backward(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, const float *dy,
                              const float *x, const float *moments, const float *gain, float *dgain, float *dbias,
                              float *dx);

/* Documents of equal length whose tokens' rows hold queries, keys and values: qkv [batch * tokens, (heads + 2 *
 * kv_heads) * head_dim]. kv_heads divides heads; head_dim is at most 4096, tokens * heads / kv_heads at most 2^24. */
typedef struct shrew_learn_heads {
    uint32_t batch;
    uint32_t tokens;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
} shrew_learn_heads;

/* Causal attention: out [batch * tokens, heads * head_dim] and, for the backward, lse [batch, heads * tokens]: the
 * logarithm (base 2) of each softmax's sum. The backward overwrites dqkv. memory: shrew_learn_attention_bytes, aligned
 * to 4, of no meaning afterwards; 0 bytes: the shape is not possible. */
size_t shrew_learn_attention_bytes(uint32_t unit, const shrew_learn_heads *shape);
int shrew_learn_attention(uint32_t unit, const shrew_learn_heads *shape, const float *qkv, float *out, float *lse,
                          void *memory, size_t memory_bytes);
int shrew_learn_attention_backward(uint32_t unit, const shrew_learn_heads *shape, const float *qkv, const float *out,
                                   const float *lse, const float *dout, float *dqkv, void *memory,
                                   size_t memory_bytes);

/* What stands between an MLP's matrices (kind: shrew_mlp): x [rows, width], for SwiGLU gate and up side by side [rows,
 * 2 * width], to y [rows, width]. dx may be x; the backward makes y once more, unless it is NULL. */
int shrew_learn_activation(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, const float *x, float *y);
int shrew_learn_activation_backward(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, const float *dy,
                                    const float *x, float *dx, float *y);

/* losses [rows] = -log softmax(logits)[target] of each row of logits [rows, vocab], in nats. The gradient of their
 * weighted sum, (softmax - one_hot(target)) * weight, takes the place of the logits. Weights may be 0 or negative. */
int shrew_learn_cross_entropy(uint32_t unit, uint32_t rows, uint32_t vocab, float *logits, const uint32_t *targets,
                              const float *weights, float *losses);

/* Of all gradients or parameters as one vector: *sum of squares, x *= factor, y += x. */
int shrew_learn_square_sum(uint32_t unit, size_t count, const float *x, float *sum);
int shrew_learn_scale(uint32_t unit, size_t count, float factor, float *x);
int shrew_learn_add(uint32_t unit, size_t count, const float *x, float *y);

typedef struct shrew_learn_adamw_options {
    float rate;
    float beta1;
    float beta2;
    float epsilon;
    float decay;       /* weight decay, decoupled: of the parameters, times rate */
    float correction1; /* 1 - beta1^steps, of the steps with this one */
    float correction2; /* 1 - beta2^steps */
} shrew_learn_adamw_options;

/* One step of AdamW; first and second [count] are its moments, zeros before the first step. */
int shrew_learn_adamw(uint32_t unit, const shrew_learn_adamw_options *options, size_t count, const float *gradient,
                      float *first, float *second, float *parameters);

/* ---- A layer of a transformer: all of these in one call ------------------------------------------------------------- */

/* x + out(attention(norm(x))), then x + down(activation(up(norm(x)))), on documents of equal length. */
typedef struct shrew_learn_layer {
    uint32_t batch;  /* documents */
    uint32_t tokens; /* of each */
    uint32_t kept;   /* rows that the second half is computed for; 0: all */
    uint32_t dim;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t ffn;
    uint32_t norm; /* shrew_norm */
    uint32_t mlp;  /* shrew_mlp */
    float epsilon; /* of the norms */
} shrew_learn_layer;

/* The tensors of one layer, or their gradients. NULL: the model has none of these. */
typedef struct shrew_learn_tensors {
    float *attention_gain, *attention_bias; /* [dim] */
    float *qkv, *qkv_bias;                  /* query, key and value stacked [(heads + 2 * kv_heads) * head_dim, dim] */
    float *out, *out_bias;                  /* [dim, heads * head_dim] */
    float *mlp_gain, *mlp_bias;             /* [dim] */
    float *up, *up_bias;                    /* [ffn, dim], for SwiGLU gate and up stacked [2 * ffn, dim] */
    float *down, *down_bias;                /* [dim, ffn] */
} shrew_learn_tensors;

/* Bytes of what the forward saves for the backward, and of memory for either; 0: the shape is not possible. */
size_t shrew_learn_layer_saved_bytes(uint32_t unit, const shrew_learn_layer *layer);
size_t shrew_learn_layer_memory_bytes(uint32_t unit, const shrew_learn_layer *layer);

/* x [batch * tokens, dim] to y [kept, dim]. phases [batch * tokens, head_dim] as for shrew_learn_rope, NULL: positions
 * are not rotary. kept [kept]: rows in ascending order, NULL with layer->kept 0. */
int shrew_learn_layer_forward(uint32_t unit, const shrew_learn_layer *layer, const shrew_learn_tensors *weights,
                              const float *x, const float *phases, const uint32_t *kept, float *y, void *saved,
                              size_t saved_bytes, void *memory, size_t memory_bytes);

/* dy [kept, dim] and what the forward saved are used up; dx [batch * tokens, dim] is overwritten. */
int shrew_learn_layer_backward(uint32_t unit, const shrew_learn_layer *layer, const shrew_learn_tensors *weights,
                               const shrew_learn_tensors *gradients, const float *x, const float *phases,
                               const uint32_t *kept, float *dy, float *dx, void *saved, size_t saved_bytes,
                               void *memory, size_t memory_bytes);

#ifdef __cplusplus
}
#endif
#endif
