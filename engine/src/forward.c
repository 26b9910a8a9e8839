/* The transformer: one block of tokens through all layers. */
#include "forward.h"

#include "attention.h"
#include "compiler.h"
#include "directory.h"
#include "numbers.h"
#include "options.h"
#include "split.h"

static const float *vector(const shrew_pass *p, shrew_role role) {
    return shrew_model_has(p->model, role) ? shrew_directory_tensor(p->model, role, p->layer).data : NULL;
}

static void begin_phase(const shrew_pass *p, shrew_phase phase) {
    shrew_begin_phase(p->session, phase, p->layer, p->tokens);
}

/* ---- Embedding -------------------------------------------------------------------------------------------------- */

/* x [cols] = or += one row of a table. */
static void embed_row(const shrew_tensor *table, uint32_t row, float *x, int add) {
    const uint32_t per_byte = shrew_rows_per_byte(table->type);
    const uint8_t *data = (const uint8_t *)table->data + (size_t)(row / per_byte) * table->stride;
    const uint32_t group = table->group ? table->group : table->cols;
    for (uint32_t start = 0, g = 0; start < table->cols; start += group, g++) {
        const uint32_t end = table->cols - start < group ? table->cols : start + group;
        const float multiplier = table->multipliers ? table->multipliers[(size_t)row * table->groups + g] : 1.0f;
        const float scale = table->type == SHREW_F32 ? 1.0f : table->row_scales[row] * multiplier;
        for (uint32_t i = start; i < end; i++) {
            float value;
            if (HAS_F32 && table->type == SHREW_F32)
                value = ((const float *)(const void *)data)[i];
            else
                value = (float)shrew_integer_in(table->type, data[i], row) * scale;
            x[i] = add ? x[i] + value : value;
        }
    }
}

static void embed(shrew_pass *p, const uint16_t *ids) {
    const uint32_t dim = p->config->dim;
    const shrew_tensor tokens = shrew_directory_tensor(p->model, SHREW_TOKEN_EMBEDDING, 0);
    for (uint32_t b = 0; b < p->tokens; b++)
        embed_row(&tokens, ids[b], p->s->x + (size_t)b * dim, 0);
    if (p->config->position == SHREW_POSITION_ROPE)
        return;
    const shrew_tensor positions = shrew_directory_tensor(p->model, SHREW_POSITION_EMBEDDING, 0);
    for (uint32_t b = 0; b < p->tokens; b++)
        embed_row(&positions, p->position + b, p->s->x + (size_t)b * dim, 1);
}

/* ---- Norms ------------------------------------------------------------------------------------------------------ */

/* out may be x. weight and bias may be NULL; centred [dim] is scratch. */
static void norm_row(const shrew_pass *p, const float *x, const float *weight, const float *bias, float *out,
                     float *centred) {
    const uint32_t dim = p->config->dim;
    if (p->config->norm == SHREW_NORM_LAYER) {
        const float mean = shrew_sum_f32(x, dim) * p->per_dim;
        for (uint32_t i = 0; i < dim; i++)
            centred[i] = x[i] - mean;
        x = centred;
    }
    const float scale = shrew_rsqrt(p->session->kernels->dot(x, x, dim) * p->per_dim + p->config->norm_eps);
    if (!FOR_SIZE && weight && !bias) { /* the usual case, without a branch per element */
        for (uint32_t i = 0; i < dim; i++)
            out[i] = x[i] * scale * weight[i];
        return;
    }
    for (uint32_t i = 0; i < dim; i++) {
        float value = x[i] * scale;
        if (weight)
            value = value * weight[i];
        if (bias)
            value = value + bias[i];
        out[i] = value;
    }
}

/* Uses scratch.a, which is free whenever a norm is computed. */
static void norm(shrew_pass *p, shrew_role weight, const float *x, float *out, uint32_t out_stride, uint32_t tokens) {
    const float *gain = vector(p, weight), *shift = vector(p, (shrew_role)(weight + 1));
    for (uint32_t b = 0; b < tokens; b++)
        norm_row(p, x + (size_t)b * p->config->dim, gain, shift, out + (size_t)b * out_stride, p->s->a);
}

/* ---- Matrices --------------------------------------------------------------------------------------------------- */

/* A matrix, its bias or NULL, and where the result goes: rows y_stride floats apart. */
typedef struct projection {
    shrew_tensor weight;
    const float *bias;
    float *y;
} projection;

enum { ROW_STEP = 16 };

/* Matrices with the same input, as one piece of work. Their rows are numbered consecutively, each matrix from a
 * multiple of ROW_STEP. */
typedef struct multiplication {
    const shrew_kernels *kernels;
    const projection *projections;
    shrew_product product; /* everything except the weight and y */
    uint32_t count;
} multiplication;

static uint32_t rounded_rows(const projection *one) {
    return (one->weight.rows + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
}

static void multiply_rows(void *argument, uint32_t worker, uint32_t first, uint32_t last) {
    const multiplication *m = argument;
    (void)worker;
    for (uint32_t i = 0, start = 0; i < m->count && start < last; start += rounded_rows(m->projections + i), i++) {
        const projection *one = m->projections + i;
        const uint32_t from = first > start ? first - start : 0;
        const uint32_t to = last - start < one->weight.rows ? last - start : one->weight.rows;
        if (from >= to)
            continue;
        shrew_product p = m->product;
        p.weight = &one->weight;
        p.y = one->y;
        m->kernels->multiply[one->weight.type](&p, from, to);
        for (uint32_t b = 0; one->bias && b < p.tokens; b++)
            for (uint32_t r = from; r < to; r++)
                p.y[(size_t)b * p.y_stride + r] += one->bias[r];
    }
}

static projection project_to(const shrew_pass *p, shrew_role role, shrew_role bias_role, float *y) {
    const projection to = {shrew_directory_tensor(p->model, role, p->layer),
                           bias_role < SHREW_ROLES ? vector(p, bias_role) : NULL, y};
    return to;
}

/* y = W x (+ bias) for `tokens` rows of x. x is quantised once for all matrices. */
static void project(shrew_pass *p, const projection *projections, uint32_t count, const float *x, uint32_t x_stride,
                    uint32_t tokens, uint32_t y_stride) {
    shrew_quantized_rows *q = &p->s->q;
    multiplication m = {p->session->kernels, projections, {NULL, x, q, NULL, x_stride, y_stride, tokens}, count};
    uint32_t rows = 0, quantized = 0;
    uint64_t work = 0;
    for (uint32_t i = 0; i < count; i++) {
        const shrew_tensor *weight = &projections[i].weight;
        rows += i + 1 < count ? rounded_rows(projections + i) : weight->rows;
        work += (uint64_t)weight->rows * weight->cols * tokens;
        quantized |= weight->type != SHREW_F32;
    }
    if (quantized) {
        const uint32_t cols = projections->weight.cols;
        q->stride = (cols + 15) & ~15u;
        for (uint32_t b = 0; b < tokens; b++)
            q->scales[b] = m.kernels->quantize(x + (size_t)b * x_stride, cols, q->values + (size_t)b * q->stride,
                                               q->sums + (size_t)b * (q->stride / 16));
    }
    shrew_split(p->session, rows, ROW_STEP, work, multiply_rows, &m);
}

static void add_to_stream(shrew_pass *p, const float *y, uint32_t y_stride) {
    const uint32_t dim = p->config->dim;
    float *x = p->s->x;
    for (uint32_t b = 0; b < p->tokens; b++, y += y_stride)
        for (uint32_t i = 0; i < dim; i++)
            *x++ += y[i];
}

/* ---- Layers ----------------------------------------------------------------------------------------------------- */

/* Drops the first tokens of the pass. rest becomes its scratch. */
static void drop_first(shrew_pass *p, uint32_t count, shrew_scratch *rest) {
    const shrew_config *c = p->config;
    *rest = *p->s;
    rest->x += (size_t)count * c->dim;
    rest->h += (size_t)count * rest->h_stride;
    rest->a += (size_t)count * rest->a_stride;
    rest->turns += (size_t)count * c->head_dim;
    rest->queries += (size_t)count * c->heads * p->session->cache.width;
    rest->factors += (size_t)count * c->heads;
    p->s = rest;
    p->tokens -= count;
    p->position += count;
}

/* Caches the keys and values of all tokens, and continues with the last `needed` tokens. In the last layer, nothing
 * reads the results of the others. */
static void attention(shrew_pass *p, uint32_t needed, shrew_scratch *rest) {
    const shrew_config *c = p->config;
    const shrew_scratch *s = p->s;
    const uint32_t query = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim, dropped = p->tokens - needed;
    begin_phase(p, SHREW_PHASE_QKV);
    norm(p, SHREW_ATTENTION_NORM_WEIGHT, s->x, s->h, s->h_stride, p->tokens);
    projection in[3] = {project_to(p, SHREW_KEY, SHREW_KEY_BIAS, s->a + query),
                        project_to(p, SHREW_VALUE, SHREW_VALUE_BIAS, s->a + query + kv),
                        project_to(p, SHREW_QUERY, SHREW_QUERY_BIAS, s->a)};
    project(p, in, dropped ? 2 : 3, s->h, s->h_stride, p->tokens, s->a_stride);
    shrew_store_keys(p);
    if (dropped) {
        drop_first(p, dropped, rest);
        s = p->s;
        if (!needed)
            return;
        in[2].y = s->a;
        project(p, in + 2, 1, s->h, s->h_stride, needed, s->a_stride);
    }
    begin_phase(p, SHREW_PHASE_ATTEND);
    shrew_attention(p);
    begin_phase(p, SHREW_PHASE_OUT);
    const projection out = project_to(p, SHREW_OUT, SHREW_OUT_BIAS, s->a);
    project(p, &out, 1, s->h, s->h_stride, p->tokens, s->a_stride);
    add_to_stream(p, s->a, s->a_stride);
}

/* Applies the activation. The result is the input of the down projection. exactly: float arithmetic, for an f32
 * matrix. */
static void activate(shrew_pass *p, int exactly, float *up, float *gate, uint32_t count) {
    const uint32_t mlp = p->config->mlp;
    if (mlp == SHREW_MLP_RELU) {
        for (uint32_t i = 0; i < count; i++)
            up[i] = up[i] < 0.0f ? 0.0f : up[i]; /* NaN stays NaN */
    } else if (!HAS_F32 || !exactly) {
        if (mlp == SHREW_MLP_SWIGLU)
            p->session->kernels->activate(mlp, gate, up, up, count);
        else
            p->session->kernels->activate(mlp, up, NULL, up, count);
    } else {
        for (uint32_t i = 0; i < count; i++) {
            const float v = up[i];
            if (mlp == SHREW_MLP_SWIGLU)
                up[i] = gate[i] * shrew_sigmoid(gate[i]) * v;
            else
                up[i] = 0.5f * v * (1.0f + shrew_tanh(0.797884561f * (v + 0.044715f * v * v * v)));
        }
    }
}

static void mlp(shrew_pass *p) {
    const shrew_config *c = p->config;
    shrew_scratch *s = p->s;
    begin_phase(p, SHREW_PHASE_UP);
    norm(p, SHREW_MLP_NORM_WEIGHT, s->x, s->h, s->h_stride, p->tokens);
    projection in[2] = {project_to(p, SHREW_UP, SHREW_UP_BIAS, s->a)};
    if (c->mlp == SHREW_MLP_SWIGLU)
        in[1] = project_to(p, SHREW_GATE, SHREW_GATE_BIAS, s->a + c->ffn);
    project(p, in, c->mlp == SHREW_MLP_SWIGLU ? 2 : 1, s->h, s->h_stride, p->tokens, s->a_stride);
    begin_phase(p, SHREW_PHASE_ACTIVATE);
    const projection out = project_to(p, SHREW_DOWN, SHREW_DOWN_BIAS, s->h);
    for (uint32_t b = 0; b < p->tokens; b++) {
        float *row = s->a + (size_t)b * s->a_stride;
        activate(p, out.weight.type == SHREW_F32, row, row + c->ffn, c->ffn);
    }
    begin_phase(p, SHREW_PHASE_DOWN);
    project(p, &out, 1, s->a, s->a_stride, p->tokens, s->h_stride);
    add_to_stream(p, s->h, s->h_stride);
}

void shrew_forward(shrew_session *session, const uint16_t *ids, uint32_t count, uint32_t scored) {
    const shrew_config *c = &session->model->config;
    shrew_pass p = {session, session->model, c, &session->scratch, count, session->position, 0,
              shrew_reciprocal((float)c->dim)};
    shrew_scratch *s = p.s, rest;
    begin_phase(&p, SHREW_PHASE_EMBED);
    embed(&p, ids);
    if (c->flags & SHREW_EMBED_NORM)
        norm(&p, SHREW_EMBED_NORM_WEIGHT, s->x, s->x, c->dim, count);
    shrew_attention_prepare(&p);
    for (p.layer = 0; p.layer < c->layers; p.layer++) {
        attention(&p, p.layer + 1 < c->layers ? count : scored, &rest);
        if (p.tokens)
            mlp(&p);
    }
    p.layer = 0;
    p.s = s;
    shrew_begin_phase(session, SHREW_PHASE_HEAD, 0, scored);
    const float *x = s->x + (size_t)(count - scored) * c->dim;
    if (c->flags & SHREW_FINAL_NORM)
        norm(&p, SHREW_FINAL_NORM_WEIGHT, x, s->h, s->h_stride, scored);
    else
        for (uint32_t b = 0; b < scored; b++)
            memcpy(s->h + (size_t)b * s->h_stride, x + (size_t)b * c->dim, c->dim * sizeof *x);
}

void shrew_score(shrew_session *session, const float *hidden, uint32_t stride, uint32_t count, float *logits) {
    const shrew_config *c = &session->model->config;
    shrew_pass p = {session, session->model, c, &session->scratch, count, session->position, 0, 0.0f};
    begin_phase(&p, SHREW_PHASE_HEAD);
    const projection head =
        project_to(&p, c->flags & SHREW_TIED_HEAD ? SHREW_TOKEN_EMBEDDING : SHREW_HEAD, SHREW_ROLES, logits);
    project(&p, &head, 1, hidden, stride, count, c->vocab);
}
