/* Requests of several connections that wait for the model: who is next, who may send more, who has gone. Pure data; the
 * caller holds its lock around every call.
 *
 * A request that fw_queue_push accepts is handed out exactly once: by fw_queue_take to be answered, or by
 * fw_queue_cancel to be told that it is cancelled; not at all where its connection is gone. Whoever got it calls
 * fw_queue_release after the one `done` or `error`.
 *
 * Connections take turns: next is the oldest request of the connection that was served least recently, and a newcomer
 * comes before the one just served. So one that sends many delays another by one answer. */
#ifndef SHREW_QUEUE_H
#define SHREW_QUEUE_H

#include "protocol.h"

#define QUEUE_NOBODY UINT32_MAX /* no connection */

enum {
    QUEUE_STOP_BYTES = PROTOCOL_STOPS * (SHREW_MAX_STOP_BYTES + 1) /* of an entry's text, besides the prompt */
};

typedef struct queue_connection {
    uint32_t open;
    uint32_t turn; /* when it was served last */
} queue_connection;

typedef enum queue_state { QUEUE_FREE, QUEUE_WAITING, QUEUE_TAKEN } queue_state;

typedef struct queue_entry {
    protocol_request request; /* its texts lie in text */
    uint32_t connection;      /* QUEUE_NOBODY once that is gone: then nothing may be sent */
    uint32_t note;            /* the caller's, e.g. in which shape to answer */
    uint32_t cancelled;       /* asked for between two steps */
    queue_state state;
    uint32_t arrival;
    char *text;
} queue_entry;

/* The caller's memory, alive as long as the queue. */
typedef struct queue_memory {
    queue_connection *connections;
    uint32_t connection_count;  /* most connections */
    queue_entry *entries;
    uint32_t entry_count;       /* requests waiting and taken */
    char *texts;                /* entry_count times text_bytes */
    uint32_t text_bytes;        /* of one entry: the longest prompt and QUEUE_STOP_BYTES */
    uint32_t most_waiting;      /* of all connections */
    uint32_t most_unanswered;   /* of one connection */
} queue_memory;

typedef struct queue {
    queue_memory memory;
    uint32_t turn, arrivals;
} queue;

void fw_queue_open(queue *queue, const queue_memory *memory);

/* A connection's number, or QUEUE_NOBODY where there are too many. */
uint32_t fw_queue_connect(queue *queue);

/* Forgets a connection and what it waits for. Its number may be given out again at once: a request that is being
 * answered belongs to nobody from now on, and is cancelled. */
void fw_queue_disconnect(queue *queue, uint32_t connection);

/* Copies a request into the queue. *ahead: requests that will be answered before it. PROTOCOL_ID where this connection
 * has one with this id still unanswered, PROTOCOL_BUSY, or PROTOCOL_PROMPT where the text has no room. */
protocol_code fw_queue_push(queue *queue, uint32_t connection, const protocol_request *request, uint32_t note,
                            uint32_t *ahead);

/* The next request to answer, or NULL. */
queue_entry *fw_queue_take(queue *queue);

/* Cancels a request. One that waits comes out, for the caller to answer `done` (PROTOCOL_CANCELLED) and release; one
 * that is being answered gets cancelled set, and NULL is returned as for one that is not unanswered. */
queue_entry *fw_queue_cancel(queue *queue, uint32_t connection, uint32_t id);

/* After the answer. Its id may be used again. */
void fw_queue_release(queue_entry *entry);

uint32_t fw_queue_waiting(const queue *queue);

#endif
