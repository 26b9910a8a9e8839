/* The transformer: one block of tokens through all layers. Letters: B tokens in the block, C dim, H heads, K kv_heads,
 * D head_dim, F ffn, V vocab, T tokens held. */
#include "directory.h"
#include "numbers.h"
#include "session.h"

typedef struct pass {
    shrew_session *session;
    const shrew_model *model;
    const shrew_config *config;
    scratch *s;
    uint32_t tokens;          /* B */
    uint32_t layer;
    uint32_t quantized_group; /* group in which s->q holds the current input, 0: it does not */
} pass;

static const float *vector(const pass *p, shrew_role role) {
    return shrew_model_has(p->model, role) ? shrew_directory_tensor(p->model, role, p->layer).data : NULL;
}

static void embed_row(const shrew_tensor *table, uint32_t row, float *x, int add) {
    const uint8_t *data = (const uint8_t *)table->data + (size_t)row * table->stride;
    for (uint32_t i = 0; i < table->cols; i++) {
        float value;
        if (table->type == SHREW_F32)
            value = ((const float *)(const void *)data)[i];
        else
            value = (float)((const int8_t *)data)[i] * table->scales[(size_t)row * table->groups + i / table->group];
        x[i] = add ? x[i] + value : value;
    }
}

static void embed(pass *p, const uint16_t *ids) {
    const uint32_t dim = p->config->dim;
    const shrew_tensor tokens = shrew_directory_tensor(p->model, SHREW_TOKEN_EMBEDDING, 0);
    for (uint32_t b = 0; b < p->tokens; b++)
        embed_row(&tokens, ids[b], p->s->x + (size_t)b * dim, 0);
    if (p->config->position == SHREW_POSITION_ROPE)
        return;
    const shrew_tensor positions = shrew_directory_tensor(p->model, SHREW_POSITION_EMBEDDING, 0);
    for (uint32_t b = 0; b < p->tokens; b++)
        embed_row(&positions, p->session->position + b, p->s->x + (size_t)b * dim, 1);
}

/* out may be x. weight and bias may be NULL. */
static void norm_row(const shrew_config *config, const float *x, const float *weight, const float *bias, float *out,
                     float *squares) {
    const uint32_t dim = config->dim;
    const float per = shrew_reciprocal((float)dim);
    float mean = 0.0f;
    if (config->norm == SHREW_NORM_LAYER)
        mean = shrew_sum_f32(x, dim) * per;
    for (uint32_t i = 0; i < dim; i++)
        squares[i] = x[i] - mean;
    const float scale = shrew_rsqrt(shrew_dot_f32(squares, squares, dim) * per + config->norm_eps);
    for (uint32_t i = 0; i < dim; i++) {
        float value = squares[i] * scale;
        if (weight)
            value = value * weight[i];
        if (bias)
            value = value + bias[i];
        out[i] = value;
    }
}

/* s->t is free wherever a norm is taken and serves as the row of centred values. */
static void norm(pass *p, shrew_role weight, const float *x, float *out, uint32_t out_stride, uint32_t tokens) {
    const float *gain = vector(p, weight), *shift = vector(p, (shrew_role)(weight + 1));
    for (uint32_t b = 0; b < tokens; b++)
        norm_row(p->config, x + (size_t)b * p->config->dim, gain, shift, out + (size_t)b * out_stride, p->s->t);
    p->quantized_group = 0;
}

/* y = W x (+ bias) for tokens rows of x. x is quantised once for all matrices with the same group that read it; whoever
 * changes x sets quantized_group to 0. */
static void project(pass *p, shrew_role role, shrew_role bias_role, const float *x, uint32_t x_stride,
                    uint32_t tokens, float *y, uint32_t y_stride) {
    const shrew_tensor weight = shrew_directory_tensor(p->model, role, p->layer);
    const float *bias = bias_role < SHREW_ROLES ? vector(p, bias_role) : NULL;
    if (weight.type == SHREW_F32) {
        shrew_matmul_f32(&weight, x, x_stride, tokens, y, y_stride);
    } else {
        quantized_rows *q = &p->s->q;
        if (p->quantized_group != weight.group) {
            q->stride = weight.stride;
            q->groups = weight.groups;
            for (uint32_t b = 0; b < tokens; b++)
                shrew_quantize_row(x + (size_t)b * x_stride, weight.cols, weight.group,
                                    q->values + (size_t)b * q->stride, q->scales + (size_t)b * q->groups);
            p->quantized_group = weight.group;
        }
        shrew_matmul_q8(&weight, q, tokens, y, y_stride);
    }
    if (bias)
        for (uint32_t b = 0; b < tokens; b++)
            for (uint32_t r = 0; r < weight.rows; r++)
                y[(size_t)b * y_stride + r] += bias[r];
}

static void add_to_stream(pass *p) {
    const size_t count = (size_t)p->tokens * p->config->dim;
    for (size_t i = 0; i < count; i++)
        p->s->x[i] += p->s->t[i];
}

/* Cosine and sine of every rotary pair for the block's positions: the same for all layers and heads. */
static void prepare_turns(pass *p) {
    if (p->config->position != SHREW_POSITION_ROPE)
        return;
    const float *frequency = vector(p, SHREW_ROPE_FREQUENCY);
    const uint32_t head_dim = p->config->head_dim;
    for (uint32_t b = 0; b < p->tokens; b++)
        for (uint32_t i = 0; i < head_dim / 2; i++) {
            float *turn = p->s->turns + (size_t)b * head_dim + 2 * i;
            shrew_sincos((float)(p->session->position + b) * frequency[i], turn + 1, turn);
        }
}

static void rotate(float *head, const float *turn, uint32_t head_dim) {
    for (uint32_t i = 0; i < head_dim; i += 2) {
        const float re = head[i], im = head[i + 1];
        head[i] = re * turn[i] - im * turn[i + 1];
        head[i + 1] = re * turn[i + 1] + im * turn[i];
    }
}

/* Turns queries and keys, and moves keys and values of the block into the cache. */
static void store_keys_and_values(pass *p) {
    const shrew_config *c = p->config;
    const shrew_session *session = p->session;
    const uint32_t D = c->head_dim, query = c->heads * D, kv = c->kv_heads * D;
    for (uint32_t b = 0; b < p->tokens; b++) {
        float *row = p->s->a + (size_t)b * p->s->a_stride;
        if (c->position == SHREW_POSITION_ROPE)
            for (uint32_t head = 0; head < c->heads + c->kv_heads; head++) /* keys follow the queries */
                rotate(row + (size_t)head * D, p->s->turns + (size_t)b * D, D);
        for (uint32_t head = 0; head < c->kv_heads; head++) {
            const size_t at = (((size_t)p->layer * c->kv_heads + head) * session->context + session->position + b) * D;
            memcpy(session->keys + at, row + query + head * D, D * sizeof(float));
            memcpy(session->values + at, row + query + kv + head * D, D * sizeof(float));
        }
    }
}

/* softmax in place; the weights that come out are not yet divided by their sum, whose reciprocal is returned. */
static float softmax(float *scores, uint32_t count) {
    float most = scores[0];
    for (uint32_t t = 1; t < count; t++)
        if (scores[t] > most)
            most = scores[t];
    for (uint32_t t = 0; t < count; t++)
        scores[t] = shrew_exp(scores[t] - most);
    return shrew_reciprocal(shrew_sum_f32(scores, count));
}

/* One query head of one token against the tokens before it and itself: out[D]. */
static void attend(const pass *p, const float *query, uint32_t head, uint32_t held, float scale, float *out) {
    const shrew_config *c = p->config;
    const uint32_t D = c->head_dim, kv_head = head / (c->heads / c->kv_heads);
    const size_t base = ((size_t)p->layer * c->kv_heads + kv_head) * p->session->context * D;
    const float *keys = p->session->keys + base, *values = p->session->values + base;
    float *scores = p->s->scores;
    for (uint32_t t = 0; t < held; t++)
        scores[t] = shrew_dot_f32(query, keys + (size_t)t * D, D) * scale;
    const float share = softmax(scores, held);
    for (uint32_t d = 0; d < D; d++)
        out[d] = 0.0f;
    for (uint32_t t = 0; t < held; t++)
        for (uint32_t d = 0; d < D; d++)
            out[d] += scores[t] * values[(size_t)t * D + d];
    for (uint32_t d = 0; d < D; d++)
        out[d] *= share;
}

static void attention(pass *p) {
    const shrew_config *c = p->config;
    scratch *s = p->s;
    const uint32_t D = c->head_dim, query = c->heads * D, kv = c->kv_heads * D;
    const float scale = shrew_rsqrt((float)D);
    norm(p, SHREW_ATTENTION_NORM_WEIGHT, s->x, s->h, s->h_stride, p->tokens);
    project(p, SHREW_QUERY, SHREW_QUERY_BIAS, s->h, s->h_stride, p->tokens, s->a, s->a_stride);
    project(p, SHREW_KEY, SHREW_KEY_BIAS, s->h, s->h_stride, p->tokens, s->a + query, s->a_stride);
    project(p, SHREW_VALUE, SHREW_VALUE_BIAS, s->h, s->h_stride, p->tokens, s->a + query + kv, s->a_stride);
    store_keys_and_values(p);
    for (uint32_t b = 0; b < p->tokens; b++)
        for (uint32_t head = 0; head < c->heads; head++)
            attend(p, s->a + (size_t)b * s->a_stride + (size_t)head * D, head, p->session->position + b + 1, scale,
                   s->h + (size_t)b * s->h_stride + (size_t)head * D);
    p->quantized_group = 0;
    project(p, SHREW_OUT, SHREW_OUT_BIAS, s->h, s->h_stride, p->tokens, s->t, c->dim);
    add_to_stream(p);
}

/* up [F] becomes the activated product that the down projection reads. */
static void activate(uint32_t mlp, float *up, const float *gate, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const float v = up[i];
        if (mlp == SHREW_MLP_SWIGLU)
            up[i] = gate[i] * shrew_sigmoid(gate[i]) * v;
        else if (mlp == SHREW_MLP_GELU)
            up[i] = 0.5f * v * (1.0f + shrew_tanh(0.797884561f * (v + 0.044715f * v * v * v)));
        else
            up[i] = v > 0.0f ? v : v < 0.0f ? 0.0f : v; /* NaN stays NaN */
    }
}

static void mlp(pass *p) {
    const shrew_config *c = p->config;
    scratch *s = p->s;
    norm(p, SHREW_MLP_NORM_WEIGHT, s->x, s->h, s->h_stride, p->tokens);
    project(p, SHREW_UP, SHREW_UP_BIAS, s->h, s->h_stride, p->tokens, s->a, s->a_stride);
    if (c->mlp == SHREW_MLP_SWIGLU)
        project(p, SHREW_GATE, SHREW_GATE_BIAS, s->h, s->h_stride, p->tokens, s->a + c->ffn, s->a_stride);
    for (uint32_t b = 0; b < p->tokens; b++) {
        float *row = s->a + (size_t)b * s->a_stride;
        activate(c->mlp, row, row + c->ffn, c->ffn);
    }
    p->quantized_group = 0;
    project(p, SHREW_DOWN, SHREW_DOWN_BIAS, s->a, s->a_stride, p->tokens, s->t, c->dim);
    add_to_stream(p);
}

void shrew_forward(shrew_session *session, const uint16_t *ids, uint32_t count, uint32_t scored, float *logits) {
    const shrew_config *c = &session->model->config;
    pass p = {session, session->model, c, &session->scratch, count, 0, 0};
    scratch *s = p.s;
    embed(&p, ids);
    if (c->flags & SHREW_EMBED_NORM)
        norm(&p, SHREW_EMBED_NORM_WEIGHT, s->x, s->x, c->dim, count);
    prepare_turns(&p);
    for (p.layer = 0; p.layer < c->layers; p.layer++) {
        attention(&p);
        mlp(&p);
    }
    p.layer = 0;
    const float *x = s->x + (size_t)(count - scored) * c->dim;
    uint32_t stride = c->dim;
    if (c->flags & SHREW_FINAL_NORM) {
        norm(&p, SHREW_FINAL_NORM_WEIGHT, x, s->h, s->h_stride, scored);
        x = s->h;
        stride = s->h_stride;
    }
    p.quantized_group = 0;
    project(&p, c->flags & SHREW_TIED_HEAD ? SHREW_TOKEN_EMBEDDING : SHREW_HEAD, SHREW_ROLES, x, stride, scored,
            logits, c->vocab);
}
