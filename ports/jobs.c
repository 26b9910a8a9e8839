#include "jobs.h"

#include <string.h>

#include "crc32.h"
#include "shrew.h"

enum { LINE_BYTES = 256 };

typedef struct line {
    char text[LINE_BYTES];
    size_t bytes;
} line;

static void add_text(line *line, const char *text) {
    while (*text && line->bytes < LINE_BYTES - 1)
        line->text[line->bytes++] = *text++;
}

static void add_number(line *line, uint64_t value) {
    char digits[21];
    char *digit = digits + sizeof digits - 1;
    *digit = 0;
    do
        *--digit = (char)('0' + value % 10);
    while (value /= 10);
    add_text(line, digit);
}

static void add_field(line *line, const char *name, int64_t value) {
    add_text(line, name);
    if (value < 0)
        add_text(line, "-");
    add_number(line, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void add_digest(line *line, const char *name, uint32_t digest) {
    char digits[9] = {0};
    for (int i = 0; i < 8; i++)
        digits[i] = "0123456789abcdef"[digest >> (28 - 4 * i) & 15];
    add_text(line, name);
    add_text(line, digits);
}

static void send(const port *port, line *line) {
    line->text[line->bytes++] = '\n';
    port->line(port->context, line->text, line->bytes);
}

/* The state of a job. */
typedef struct run {
    const port *port;
    const job *job;
    uint32_t index;
    uint64_t started, overhead; /* readings of the clock: at the start of a step; cost of one reading */
    shrew_model model;
    shrew_session *session;
    uint32_t tokens, token_digest, text_digest, logits_digest, finish;
    float confidence;
} run;

static uint64_t now(const port *port) {
    return port->instructions ? port->instructions(port->context) : 0;
}

static void start_clock(run *run) {
    run->started = now(run->port);
}

/* Ends a step: stops the clock, then adds `count` rows of logits to the digest. */
static void end_step(run *run, uint32_t position, uint32_t fed, uint32_t next, const float *logits, uint32_t count) {
    const uint64_t instructions = now(run->port) - run->started;
    const size_t bytes = sizeof(float) * count * run->model.config.vocab;
    if (logits)
        run->logits_digest = shrew_crc32(run->logits_digest, logits, bytes);
    if (!run->job->trace)
        return;
    line line = {.bytes = 0};
    add_field(&line, "job ", run->index);
    add_field(&line, " step ", position);
    add_field(&line, " tokens ", fed);
    add_field(&line, " next ", next);
    add_digest(&line, " logits_digest ", logits ? shrew_crc32(0, logits, bytes) : 0);
    if (run->port->instructions)
        add_field(&line, " instructions ", (int64_t)(instructions - run->overhead));
    send(run->port, &line);
}

static shrew_sampling sampling_of(const job *job) {
    shrew_sampling sampling = shrew_sampling_default;
    sampling.temperature = job->temperature;
    sampling.top_p = job->top_p;
    sampling.min_p = job->min_p;
    sampling.repetition_penalty = job->repetition_penalty;
    sampling.top_k = job->top_k;
    return sampling;
}

/* A step feeds a block of the prompt, or one token, and samples the next token once the prompt is complete. */
static int run_tokens(run *run, const uint16_t *ids, size_t count) {
    const shrew_sampling sampling = sampling_of(run->job);
    uint16_t fed = 0;
    int status = shrew_session_seed(run->session, (uint64_t)run->job->seed_high << 32 | run->job->seed_low);
    while (!status && count) {
        const uint32_t position = shrew_session_position(run->session);
        uint32_t next = SHREW_NO_TOKEN;
        size_t used = 0;
        start_clock(run);
        status = shrew_session_feed(run->session, ids, count, &used);
        if (!status && used == count && run->tokens < run->job->tokens)
            status = shrew_session_sample(run->session, &sampling, &next);
        if (status)
            break;
        end_step(run, position, (uint32_t)used, next, shrew_session_logits(run->session), 1);
        ids += used;
        count -= used;
        if (next == SHREW_NO_TOKEN)
            continue;
        run->token_digest = shrew_digest(run->token_digest, next);
        if (++run->tokens < run->job->tokens) {
            fed = (uint16_t)next;
            ids = &fed;
            count = 1;
        }
    }
    return status;
}

/* The memory after the session. */
typedef struct rest {
    void *memory;
    size_t bytes;
} rest;

static int run_score(run *run, const uint16_t *ids, size_t count, rest rest) {
    float *logits = rest.memory;
    int status = SHREW_OK;
    while (!status && count) {
        const uint32_t position = shrew_session_position(run->session);
        const size_t block = count < SHREW_MAX_BLOCK ? count : SHREW_MAX_BLOCK;
        size_t used = 0;
        if (rest.bytes / (sizeof(float) * run->model.config.vocab) < block)
            return SHREW_E_MEMORY;
        start_clock(run);
        status = shrew_session_feed_logits(run->session, ids, count, logits, &used);
        if (!status)
            end_step(run, position, (uint32_t)used, SHREW_NO_TOKEN, logits, (uint32_t)used);
        ids += used;
        count -= used;
    }
    return status;
}

static int run_text(run *run, const char *prompt, const char *const *stops, uint32_t stop_count, rest rest) {
    const job *job = run->job;
    const shrew_request request = {
        .prompt = prompt,
        .prompt_bytes = job->prompt_bytes,
        .raw = job->raw,
        .max_tokens = job->tokens,
        .seed = (uint64_t)job->seed_high << 32 | job->seed_low,
        .sampling = sampling_of(job),
        .stops = stops,
        .stop_count = stop_count,
    };
    int status = rest.bytes < SHREW_TEXT_BYTES ? SHREW_E_MEMORY : shrew_session_begin(run->session, &request);
    while (!status && run->finish == SHREW_RUNNING) {
        const uint32_t position = shrew_session_position(run->session);
        shrew_progress progress;
        start_clock(run);
        status = shrew_session_next(run->session, rest.memory, SHREW_TEXT_BYTES, &progress);
        if (status)
            break;
        end_step(run, position, shrew_session_position(run->session) - position, progress.token,
                 shrew_session_logits(run->session), 1);
        run->text_digest = shrew_crc32(run->text_digest, rest.memory, progress.text_bytes);
        run->tokens = progress.tokens;
        run->token_digest = progress.digest;
        run->finish = progress.finish;
        run->confidence = progress.confidence;
    }
    return status;
}

/* In reverse order, which must not matter. */
static void in_turn(void *context, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument) {
    (void)context;
    while (count--)
        task(argument, count);
}

static int run_job(run *run, const uint8_t *bundle, const char *const *stops, uint32_t stop_count) {
    const port *port = run->port;
    const job *job = run->job;
    const shrew_session_options options = {
        .context = job->context,
        .block = job->block,
        .draft = job->draft,
        .cache = job->cache,
        .unit = job->unit,
        .parallel_for = job->workers > 1 ? in_turn : NULL,
        .workers = job->workers,
        .grain = job->workers > 1,
    };
    const uint8_t *prompt = bundle + job->prompt;
    size_t bytes = 0;
    if (port->stack_paint)
        port->stack_paint(port->context);
    int status = shrew_model_open(&run->model, bundle + job->image, job->image_bytes);
    if (!status)
        status = shrew_session_bytes(&run->model, &options, &bytes);
    if (!status)
        status = shrew_session_open(&run->session, &run->model, &options, port->memory, port->memory_bytes);
    if (!status) {
        const rest rest = {(uint8_t *)port->memory + bytes, port->memory_bytes - bytes};
        const uint16_t *ids = (const void *)prompt;
        int present = 0;
        switch (job->mode) {
        case JOB_TOKENS:
            status = run_tokens(run, ids, job->prompt_bytes / 2);
            break;
        case JOB_SCORE:
            status = run_score(run, ids, job->prompt_bytes / 2, rest);
            break;
        case JOB_TEXT:
            status = run_text(run, (const char *)prompt, stops, stop_count, rest);
            break;
        case JOB_SELFTEST:
            status = shrew_session_selftest(run->session, &present);
            run->finish = (uint32_t)present;
        }
    }
    if (job->trace) {
        line line = {.bytes = 0};
        add_field(&line, "job ", run->index);
        add_field(&line, " memory session_bytes ", (int64_t)bytes);
        if (port->stack_bytes)
            add_field(&line, " stack_bytes ", port->stack_bytes(port->context));
        send(port, &line);
    }
    return status;
}

static void report(const run *run, int status) {
    line line = {.bytes = 0};
    add_field(&line, "job ", run->index);
    add_field(&line, " status ", status);
    add_field(&line, " tokens ", run->tokens);
    add_digest(&line, " token_digest ", run->token_digest);
    add_digest(&line, " text_digest ", run->text_digest);
    if (run->confidence > 0.0f)
        add_digest(&line, " confidence_digest ", shrew_crc32(0, &run->confidence, sizeof run->confidence));
    add_digest(&line, " logits_digest ", run->logits_digest);
    add_field(&line, " position ", run->session ? shrew_session_position(run->session) : 0);
    add_field(&line, " finish ", run->finish);
    send(run->port, &line);
}

static int is_inside(uint32_t offset, uint32_t bytes, uint32_t size) {
    return offset <= size && bytes <= size - offset;
}

/* The error in a job, or NULL. Does not check the image; the engine does. */
static const char *check(const job *job, const uint8_t *bundle, uint32_t size, const char **stops, uint32_t *count) {
    uint32_t rest = 0;
    for (size_t i = 0; i < sizeof job->reserved / sizeof *job->reserved; i++)
        rest |= job->reserved[i];
    if (job->mode > JOB_SELFTEST || job->trace > 1 || rest)
        return ": a field has a value that this runner does not know";
    if (!is_inside(job->image, job->image_bytes, size))
        return ": its image lies outside the bundle";
    if (!is_inside(job->prompt, job->prompt_bytes, size))
        return ": its prompt lies outside the bundle";
    if (job->mode != JOB_TEXT && (job->prompt | job->prompt_bytes) & 1)
        return ": its prompt is not a list of ids";
    if (!is_inside(job->stops, job->stops_bytes, size))
        return ": its stop strings lie outside the bundle";
    const char *text = (const char *)bundle + job->stops;
    *count = 0;
    for (uint32_t i = 0, start = 0; i < job->stops_bytes; i++) {
        if (text[i])
            continue;
        if (*count == JOB_STOPS)
            return ": it has too many stop strings";
        stops[(*count)++] = text + start;
        start = i + 1;
    }
    return job->stops_bytes && text[job->stops_bytes - 1] ? ": its last stop string has no end" : NULL;
}

static int refuse(const port *port, line *line, const char *reason) {
    add_text(line, reason);
    send(port, line);
    return 1;
}

int jobs_run(const port *port, const void *bundle, size_t capacity) {
    const jobs_header *header = bundle;
    const job *job = (const void *)(header + 1);
    line error = {.bytes = 0};
    add_text(&error, "error ");
    if (capacity < sizeof *header || header->magic != JOBS_MAGIC || header->reserved)
        return refuse(port, &error, "bundle: there is none in memory");
    if (header->bytes > capacity || header->bytes < sizeof *header)
        return refuse(port, &error, "bundle: larger than the memory for it, or smaller than its header");
    if (header->count > (header->bytes - sizeof *header) / sizeof *job)
        return refuse(port, &error, "bundle: more jobs than it has bytes for");
    const uint64_t first = now(port), overhead = now(port) - first;
    for (uint32_t i = 0; i < header->count; i++, job++) {
        const char *stops[JOB_STOPS];
        uint32_t stop_count;
        const char *reason = check(job, bundle, header->bytes, stops, &stop_count);
        if (reason) {
            add_field(&error, "job ", i);
            return refuse(port, &error, reason);
        }
        run run = {.port = port, .job = job, .index = i, .overhead = overhead};
        report(&run, run_job(&run, bundle, stops, stop_count));
    }
    line done = {.bytes = 0};
    add_field(&done, "done ", header->count);
    send(port, &done);
    return 0;
}
