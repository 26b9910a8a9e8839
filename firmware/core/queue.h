/* The queue of requests from several connections that wait for the model. Pure data; the caller holds its lock around
 * every call.
 *
 * A request that fw_queue_push accepts is handed out exactly once: by fw_queue_take, to be answered, or by
 * fw_queue_cancel, to be reported as cancelled; never if its connection is gone. The receiver calls fw_queue_release
 * after sending the one `done` or `error`.
 *
 * Connections take turns: the next request is the oldest one of the connection that was served least recently. A new
 * connection comes before the one served last. So a client that sends many requests delays another by one answer. */
#ifndef SHREW_QUEUE_H
#define SHREW_QUEUE_H

#include "protocol.h"

#define QUEUE_NOBODY UINT32_MAX /* no connection */

enum {
    QUEUE_STOP_BYTES = PROTOCOL_STOPS * (SHREW_MAX_STOP_BYTES + 1) /* of an entry's text, in addition to the prompt */
};

typedef struct queue_connection {
    uint32_t open;
    uint32_t turn; /* when it was last served */
} queue_connection;

typedef enum queue_state { QUEUE_FREE, QUEUE_WAITING, QUEUE_TAKEN } queue_state;

typedef struct queue_entry {
    protocol_request request; /* its strings point into text */
    uint32_t connection;      /* QUEUE_NOBODY once the connection is gone; then nothing may be sent */
    uint32_t note;            /* for the caller, e.g. the form of the answer */
    uint32_t cancelled;       /* checked between two steps */
    queue_state state;
    uint32_t arrival;
    char *text;
} queue_entry;

/* The caller's memory. Must outlive the queue. */
typedef struct queue_memory {
    queue_connection *connections;
    uint32_t connection_count;  /* limit of connections */
    queue_entry *entries;
    uint32_t entry_count;       /* limit of requests, waiting and taken */
    char *texts;                /* entry_count times text_bytes */
    uint32_t text_bytes;        /* of one entry: the longest prompt plus QUEUE_STOP_BYTES */
    uint32_t most_waiting;      /* limit of waiting requests of all connections */
    uint32_t most_unanswered;   /* limit of unanswered requests of one connection */
} queue_memory;

typedef struct queue {
    queue_memory memory;
    uint32_t turn, arrivals;
} queue;

void fw_queue_open(queue *queue, const queue_memory *memory);

/* Returns the number of a new connection, or QUEUE_NOBODY if there are too many. */
uint32_t fw_queue_connect(queue *queue);

/* Removes a connection and its waiting requests. Its request that is being answered is cancelled and loses its
 * connection, so the number can be reused at once. */
void fw_queue_disconnect(queue *queue, uint32_t connection);

/* Copies a request to the queue. *ahead: number of requests that will be answered before it. PROTOCOL_ID if this
 * connection has an unanswered request with this id, PROTOCOL_BUSY, or PROTOCOL_PROMPT if the text does not fit. */
protocol_code fw_queue_push(queue *queue, uint32_t connection, const protocol_request *request, uint32_t note,
                            uint32_t *ahead);

/* The next request to answer, or NULL. */
queue_entry *fw_queue_take(queue *queue);

/* Cancels a request. Returns a waiting request, which the caller answers with `done` (PROTOCOL_CANCELLED) and releases.
 * For a request that is being answered, sets cancelled and returns NULL. Also returns NULL if there is none with this
 * id. */
queue_entry *fw_queue_cancel(queue *queue, uint32_t connection, uint32_t id);

/* Call after the answer. The id may then be used again. */
void fw_queue_release(queue_entry *entry);

uint32_t fw_queue_waiting(const queue *queue);

#endif
