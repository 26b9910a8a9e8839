/* For decode.py: measures one engine on one model, on one thread.
 *
 * Usage: decode MODEL TOKENS. Prints the seconds per pass for generating TOKENS tokens greedily from an empty context
 * and, if the engine reads prompts in blocks, for reading a prompt of TOKENS tokens. With -DLLAMA2C="run.c" the engine
 * is that file of llama2.c, otherwise Shrew. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const double LEAST_SECONDS = 0.3;

#ifdef LLAMA2C

#define TESTING /* leaves out main of run.c */
#include LLAMA2C

static Transformer transformer;

static void open_model(char *path) {
    build_transformer(&transformer, path);
}

static void generate_greedily(int tokens) {
    int token = 1;
    for (int position = 0; position < tokens; position++)
        token = sample_argmax(forward(&transformer, token, position), transformer.config.vocab_size);
}

#else

#include "shrew.h"

static shrew_model model;
static shrew_session *session;

static void check(int status) {
    if (status) {
        fprintf(stderr, "%s\n", shrew_status_text(status));
        exit(1);
    }
}

static void *aligned(size_t bytes) {
    char *room = malloc(bytes + 64);
    if (!room)
        abort();
    return room + (64 - (uintptr_t)room % 64);
}

static void open_model(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    const size_t bytes = (size_t)ftell(file);
    rewind(file);
    void *image = aligned(bytes);
    check(fread(image, 1, bytes, file) == bytes ? SHREW_OK : SHREW_E_TRUNCATED);
    fclose(file);
    check(shrew_model_open(&model, image, bytes));
    const shrew_session_options options = {.block = SHREW_MAX_BLOCK};
    size_t session_bytes;
    check(shrew_session_bytes(&model, &options, &session_bytes));
    check(shrew_session_open(&session, &model, &options, aligned(session_bytes), session_bytes));
}

static void generate_greedily(int tokens) {
    char text[SHREW_TEXT_BYTES];
    const shrew_request request = {
        .prompt = "",
        .raw = 1,
        .max_tokens = (uint32_t)tokens,
        .sampling = {.top_p = 1.0f, .repetition_penalty = 1.0f},
    };
    shrew_progress progress;
    check(shrew_session_begin(session, &request));
    do
        check(shrew_session_next(session, text, sizeof text, &progress));
    while (progress.finish == SHREW_RUNNING);
    check(progress.finish == SHREW_FINISH_LENGTH ? SHREW_OK : SHREW_E_STATE);
}

static void read_prompt(int tokens) {
    check(shrew_session_reset(session));
    for (int taken = 0; taken < tokens;) {
        uint16_t ids[SHREW_MAX_BLOCK];
        size_t count = 0, used;
        for (; count < SHREW_MAX_BLOCK && taken + (int)count < tokens; count++)
            ids[count] = (uint16_t)((uint32_t)(taken + (int)count) * 7919u % model.config.vocab);
        check(shrew_session_feed(session, ids, count, &used));
        taken += (int)used;
    }
}

#endif

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Runs one pass to warm up, then measures passes for at least LEAST_SECONDS. */
static void report(const char *what, void (*pass)(int), int tokens) {
    pass(tokens);
    const double start = now();
    int passes = 0;
    double seconds = 0;
    while (seconds < LEAST_SECONDS) {
        pass(tokens);
        seconds = now() - start;
        passes++;
    }
    printf("%s %.9f\n", what, seconds / passes);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: decode MODEL TOKENS\n");
        return 2;
    }
    open_model(arguments[1]);
    report("decode", generate_greedily, atoi(arguments[2]));
#ifndef LLAMA2C
    report("prompt", read_prompt, atoi(arguments[2]));
#endif
    return 0;
}
