/* The engine as a WebAssembly module. An instance holds one model; memory from __heap_base up is JavaScript's to hand
 * out. Only numbers go in and out, so that JavaScript need not know how a struct is laid out: functions return a
 * shrew_status and leave what they have to say in `results`, up to the next call. */
#include <string.h>

#include "jobs.h"
#include "shrew.h"

#define EXPORT(name) __attribute__((export_name(#name)))

static shrew_model model;
static shrew_config shaped;     /* what shape_tensor tells of */
static shrew_sampling sampling; /* of the next generation */
static uint32_t results[14];
static char text[SHREW_TEXT_BYTES];

static uint32_t address(const void *pointer) {
    return (uint32_t)(uintptr_t)pointer;
}

EXPORT(results) const uint32_t *results_address(void) {
    return results;
}

EXPORT(status_text) const char *status_text(int status) {
    return shrew_status_text(status);
}

/* results: the configuration up to its flags, in the order of shrew_config. */
EXPORT(open_model) int open_model(const void *image, size_t bytes) {
    const int status = shrew_model_open(&model, image, bytes);
    const shrew_config *c = &model.config;
    const uint32_t fields[] = {c->dim,   c->layers,  c->heads, c->kv_heads, c->head_dim, c->ffn,
                               c->vocab, c->context, c->norm,  c->position, c->mlp,      c->flags};
    memcpy(results, fields, sizeof fields);
    return status;
}

/* The configuration that shape_tensor tells of. results: its number of tensors. */
EXPORT(shape)
int shape(uint32_t dim, uint32_t layers, uint32_t heads, uint32_t kv_heads, uint32_t head_dim, uint32_t ffn,
          uint32_t vocab, uint32_t context, uint32_t norm, uint32_t position, uint32_t mlp, uint32_t flags) {
    shaped = (shrew_config){dim,     layers, heads,    kv_heads, head_dim, ffn, vocab,
                            context, norm,   position, mlp,      flags,    1e-5f /* which changes no tensor */};
    return shrew_shape_tensors(&shaped, results);
}

/* results: name, role, layer, rows, columns, whether it is a vector. */
EXPORT(shape_tensor) int shape_tensor(uint32_t index) {
    static char name[SHREW_TENSOR_NAME_BYTES];
    shrew_shape tensor;
    const int status = shrew_shape_tensor(&shaped, index, &tensor);
    if (status)
        return status;
    results[0] = address(name);
    results[1] = tensor.role;
    results[2] = tensor.layer;
    results[3] = tensor.rows;
    results[4] = tensor.cols;
    results[5] = tensor.is_vector;
    return shrew_tensor_name((shrew_role)tensor.role, tensor.layer, name, sizeof name);
}

/* results: key, its bytes, value, its bytes. */
EXPORT(metadata) int metadata(uint32_t index) {
    const char *key, *value;
    size_t key_bytes, value_bytes;
    const int status = shrew_model_metadata(&model, index, &key, &key_bytes, &value, &value_bytes);
    if (status)
        return status;
    results[0] = address(key);
    results[1] = (uint32_t)key_bytes;
    results[2] = address(value);
    results[3] = (uint32_t)value_bytes;
    return SHREW_OK;
}

static shrew_session_options options_of(uint32_t context, uint32_t block, uint32_t draft, uint32_t cache) {
    const shrew_session_options options = {.context = context, .block = block, .draft = draft, .cache = cache};
    return options;
}

/* results: bytes of memory. */
EXPORT(session_bytes) int session_bytes(uint32_t context, uint32_t block, uint32_t draft, uint32_t cache) {
    const shrew_session_options options = options_of(context, block, draft, cache);
    size_t bytes = 0;
    const int status = shrew_session_bytes(&model, &options, &bytes);
    results[0] = (uint32_t)bytes;
    return status;
}

/* results: the session. */
EXPORT(open_session)
int open_session(void *memory, size_t bytes, uint32_t context, uint32_t block, uint32_t draft, uint32_t cache) {
    const shrew_session_options options = options_of(context, block, draft, cache);
    shrew_session *session = NULL;
    const int status = shrew_session_open(&session, &model, &options, memory, bytes);
    results[0] = address(session);
    return status;
}

EXPORT(reset) int reset(shrew_session *session) {
    return shrew_session_reset(session);
}

EXPORT(position) uint32_t position(const shrew_session *session) {
    return shrew_session_position(session);
}

/* results: whether the image has a self-test. */
EXPORT(selftest) int selftest(shrew_session *session) {
    int present = 0;
    const int status = shrew_session_selftest(session, &present);
    results[0] = (uint32_t)present;
    return status;
}

/* results: name, whether the option is an integer, its default as bits, and where begin reads the next one. */
EXPORT(sampling_option) int sampling_option(uint32_t index) {
    shrew_option option;
    const int status = shrew_sampling_option(index, &option);
    if (status)
        return status;
    results[0] = address(option.name);
    results[1] = option.is_integer;
    results[2] = option.usual.integer;
    results[3] = address(&sampling) + option.offset;
    return SHREW_OK;
}

EXPORT(begin)
int begin(shrew_session *session, const void *prompt, size_t prompt_bytes, const char *const *stops,
          uint32_t stop_count, uint32_t raw, uint32_t keep, uint32_t max_tokens, uint64_t seed) {
    const shrew_request request = {
        .prompt = prompt,
        .prompt_bytes = prompt_bytes,
        .raw = raw,
        .keep = keep,
        .max_tokens = max_tokens,
        .seed = seed,
        .sampling = sampling,
        .stops = stops,
        .stop_count = stop_count,
    };
    return shrew_session_begin(session, &request);
}

/* results: text, its bytes, then shrew_progress, then the command, if the answer ended with one, its
 * bytes, and whether the memory answers. */
EXPORT(next) int next(shrew_session *session) {
    shrew_progress progress;
    const int status = shrew_session_next(session, text, sizeof text, &progress);
    if (status)
        return status;
    results[0] = address(text);
    results[1] = (uint32_t)progress.text_bytes;
    results[2] = progress.finish;
    results[3] = progress.prompt_tokens;
    results[4] = progress.prompt_total;
    results[5] = progress.tokens;
    results[6] = progress.digest;
    results[7] = progress.token;
    results[8] = progress.drafted;
    results[9] = progress.accepted;
    memcpy(&results[10], &progress.confidence, sizeof progress.confidence);
    static char command[SHREW_MAX_COMMAND_BYTES];
    size_t bytes = 0;
    const int commands = shrew_session_command(session, command, sizeof command, &bytes) == SHREW_OK;
    results[11] = commands ? address(command) : 0;
    results[12] = (uint32_t)bytes;
    results[13] = progress.from_memory;
    return SHREW_OK;
}

/* ---- Conformance: ports/jobs.h -------------------------------------------------------------------------------- */

__attribute__((import_module("host"), import_name("line"))) void host_line(const char *line, size_t bytes);

static void line(void *context, const char *characters, size_t bytes) {
    (void)context;
    host_line(characters, bytes);
}

EXPORT(run_jobs) int run_jobs(const void *bundle, size_t bytes, void *memory, size_t memory_bytes) {
    const port port = {.line = line, .memory = memory, .memory_bytes = memory_bytes};
    return jobs_run(&port, bundle, bytes);
}
