/* One runner for every port. A BUNDLE is a blob of model images and JOBS that use them. The result of each job is one
 * line of text. Conformance means that the lines are the same on every target. A port provides memory, a way to output
 * lines and, if possible, an instruction counter. It does no arithmetic.
 *
 * Lines: fields separated by one space, names and values in turn, digests as eight hexadecimal digits.
 *
 *   job 3 step 40 tokens 1 next 17 logits_digest 0123abcd instructions 52107           traced jobs, one for each call
 *   job 3 memory session_bytes 39280 stack_bytes 512                                 traced jobs
 *   job 3 status 0 tokens 17 token_digest 8c1f00aa text_digest 00000000 logits_digest 0123abcd position 40 finish 0
 *   done 4                                                                           as many as there were jobs
 *   error job 3: its prompt lies outside the bundle                                  and nothing after it
 *
 * A step says at which position it began, how many tokens it fed, which token it chose (65535: none), the CRC-32 of the
 * logits it left and how many instructions it took. logits_digest of a job runs over all logits seen, token_digest over
 * the ids generated, text_digest over the bytes of generated text. */
#ifndef SHREW_JOBS_H
#define SHREW_JOBS_H

#include <stddef.h>
#include <stdint.h>

enum { JOBS_MAGIC = 0x424A4853, /* "SHJB" */ JOB_STOPS = 8 };

typedef enum job_mode {
    JOB_TOKENS = 0,  /* feed the prompt's ids in blocks, then sample and feed tokens one by one */
    JOB_SCORE = 1,   /* the logits after every id of the prompt */
    JOB_TEXT = 2,    /* generate from a prompt of text */
    JOB_SELFTEST = 3 /* the image's own; finish says whether it has one */
} job_mode;

/* Little-endian. Aligned to 16 bytes in memory, as are the images in the bundle. */
typedef struct jobs_header {
    uint32_t magic;
    uint32_t count;    /* jobs, directly after the header */
    uint32_t bytes;    /* of the whole bundle */
    uint32_t reserved; /* 0 */
} jobs_header;

typedef struct job {
    uint32_t mode;
    uint32_t trace;                /* 1: a line for each step */
    uint32_t image, image_bytes;   /* offset in the bundle; jobs may share an image */
    uint32_t prompt, prompt_bytes; /* u16 ids (at an even offset), or UTF-8 text for JOB_TEXT */
    uint32_t stops, stops_bytes;   /* JOB_TEXT: stop strings, each ending in NUL, at most JOB_STOPS */
    uint32_t raw;                  /* JOB_TEXT: as in shrew_request */
    uint32_t tokens;               /* most tokens to generate */
    uint32_t context, block, draft, cache, unit; /* as in shrew_session_options */
    uint32_t workers;              /* 2 and more: work is split into the smallest parts, run one by one, last first */
    uint32_t seed_low, seed_high;
    uint32_t top_k;                /* as in shrew_sampling, from here */
    float temperature, top_p, min_p, repetition_penalty;
    uint32_t reserved[9];          /* 0 */
} job;

typedef struct port {
    void *context; /* passed to every function */
    void (*line)(void *context, const char *text, size_t bytes); /* one line, its newline included */
    uint64_t (*instructions)(void *context);                      /* instructions executed so far; NULL: not counted */
    void (*stack_paint)(void *context);                           /* NULL: not measured */
    uint32_t (*stack_bytes)(void *context);                       /* most stack used below the caller since painting */
    void *memory;                                                 /* aligned to SHREW_ALIGNMENT */
    size_t memory_bytes;
} port;

/* Runs all jobs of a bundle, which must fit in capacity bytes. Returns 0, or 1 if it is malformed; the last line then
 * says how. */
int jobs_run(const port *port, const void *bundle, size_t capacity);

#endif
