/* The task that answers requests, one at a time, from a queue in which connections take turns. */
#ifndef SHREW_GENERATE_H
#define SHREW_GENERATE_H

#include "core/queue.h"

/* Receives the answers of a connection, on the answering task. */
typedef struct audience {
    int (*write)(const queue_entry *entry, const char *bytes, size_t count); /* not 0: the client has gone */
    /* The `done` (error is NULL) or `error` of a request. Must call fw_generate_release before the client can receive
     * it. */
    void (*finish)(queue_entry *entry, const protocol_result *result, const protocol_error *error);
    /* NULL, or called between two steps. Not 0: the client has gone. */
    int (*has_gone)(const queue_entry *entry);
} audience;

typedef struct generate_record {
    uint64_t answered;
    float tok_per_s, prompt_tok_per_s; /* of the last answer that had such steps */
} generate_record;

void fw_generate_start(void);

/* The limit of waiting requests. */
uint32_t fw_generate_most_waiting(void);

/* Returns the number of a new connection, or QUEUE_NOBODY if there are too many. */
uint32_t fw_generate_connect(const audience *audience);
void fw_generate_disconnect(uint32_t connection);

/* The rules for fw_protocol_read and fw_openai_read. */
protocol_rules fw_generate_rules(void);

/* Like fw_queue_push. Also fails with PROTOCOL_NO_MODEL. */
protocol_code fw_generate_push(uint32_t connection, const protocol_request *request, uint32_t *ahead,
                               protocol_error *error);

/* Returns 1 if the request was still waiting; then the caller sends *cancelled as its `done`. */
int fw_generate_cancel(uint32_t connection, uint32_t id, protocol_result *cancelled);

/* Hold the lock while using entry->connection, which changes when a connection ends. */
void fw_generate_lock(void);
void fw_generate_unlock(void);

/* Call with the lock held: the request is answered, and its id may be used again. */
void fw_generate_release(queue_entry *entry);

generate_record fw_generate_recorded(void);

#endif
