/* The task that answers: one request after the other, from a queue in which connections take turns. */
#ifndef SHREW_GENERATE_H
#define SHREW_GENERATE_H

#include "core/queue.h"

/* Whoever is told the answers of a connection, on the answering task. */
typedef struct audience {
    int (*write)(const queue_entry *entry, const char *bytes, size_t count); /* not 0: nobody listens any more */
    /* The one `done` (error NULL) or `error`. Must call fw_generate_release before the client can hear of it. */
    void (*finish)(queue_entry *entry, const protocol_result *result, const protocol_error *error);
    /* NULL, or asked between two steps: not 0 where nobody listens any more. */
    int (*has_gone)(const queue_entry *entry);
} audience;

typedef struct generate_record {
    uint64_t answered;
    float tok_per_s, prompt_tok_per_s; /* of the last answer that had such steps */
} generate_record;

void fw_generate_start(void);

/* Most requests that may wait. */
uint32_t fw_generate_most_waiting(void);

/* A connection's number, or QUEUE_NOBODY where there are too many. */
uint32_t fw_generate_connect(const audience *audience);
void fw_generate_disconnect(uint32_t connection);

/* What fw_protocol_read and fw_openai_read need. */
protocol_rules fw_generate_rules(void);

/* Also fails with PROTOCOL_NO_MODEL. */
protocol_code fw_generate_push(uint32_t connection, const protocol_request *request, uint32_t *ahead,
                               protocol_error *error);

/* 1: the request still waited; *cancelled is its `done`, which the caller sends. */
int fw_generate_cancel(uint32_t connection, uint32_t id, protocol_result *cancelled);

/* Around looking at entry->connection and doing something about it: it changes when a connection ends. */
void fw_generate_lock(void);
void fw_generate_unlock(void);

/* Under the lock: the request is answered, and its id free again. */
void fw_generate_release(queue_entry *entry);

generate_record fw_generate_recorded(void);

#endif
