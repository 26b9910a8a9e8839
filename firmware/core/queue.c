#include "queue.h"

#include <string.h>

void fw_queue_open(queue *queue, const queue_memory *memory) {
    queue->memory = *memory;
    queue->turn = 1;
    queue->arrivals = 0;
    memset(memory->connections, 0, memory->connection_count * sizeof *memory->connections);
    memset(memory->entries, 0, memory->entry_count * sizeof *memory->entries);
    for (uint32_t i = 0; i < memory->entry_count; i++)
        memory->entries[i].text = memory->texts + (size_t)i * memory->text_bytes;
}

static queue_entry *entries_end(const queue *queue) {
    return queue->memory.entries + queue->memory.entry_count;
}

static int is_unanswered_of(const queue_entry *entry, uint32_t connection) {
    return entry->state != QUEUE_FREE && entry->connection == connection;
}

/* ---- Connections ------------------------------------------------------------------------------------------------- */

uint32_t fw_queue_connect(queue *queue) {
    for (uint32_t i = 0; i < queue->memory.connection_count; i++) {
        queue_connection *connection = &queue->memory.connections[i];
        if (connection->open)
            continue;
        connection->open = 1;
        connection->turn = queue->turn - 1; /* before the connection served last, after all that have waited longer */
        return i;
    }
    return QUEUE_NOBODY;
}

void fw_queue_disconnect(queue *queue, uint32_t connection) {
    for (queue_entry *entry = queue->memory.entries; entry < entries_end(queue); entry++) {
        if (!is_unanswered_of(entry, connection))
            continue;
        entry->connection = QUEUE_NOBODY;
        entry->cancelled = 1;
        if (entry->state == QUEUE_WAITING)
            entry->state = QUEUE_FREE;
    }
    queue->memory.connections[connection].open = 0;
}

/* ---- Turns ------------------------------------------------------------------------------------------------------- */

static int comes_before(const queue *queue, const queue_entry *a, const queue_entry *b) {
    const uint32_t turn_a = queue->memory.connections[a->connection].turn;
    const uint32_t turn_b = queue->memory.connections[b->connection].turn;
    return turn_a != turn_b ? turn_a < turn_b : a->arrival < b->arrival;
}

/* The first waiting request of one connection, or with QUEUE_NOBODY of all. */
static queue_entry *first_of(const queue *queue, uint32_t connection) {
    queue_entry *first = NULL;
    for (queue_entry *entry = queue->memory.entries; entry < entries_end(queue); entry++)
        if (entry->state == QUEUE_WAITING && (connection == QUEUE_NOBODY || entry->connection == connection) &&
            (!first || comes_before(queue, entry, first)))
            first = entry;
    return first;
}

static uint32_t count(const queue *queue, queue_state state, uint32_t connection) {
    uint32_t found = 0;
    for (const queue_entry *entry = queue->memory.entries; entry < entries_end(queue); entry++)
        found += entry->state == state && (connection == QUEUE_NOBODY || entry->connection == connection);
    return found;
}

/* Number of requests before the last one of a connection: its own, and as many of each other connection, or one more if
 * that connection's turn comes first. */
static uint32_t count_ahead(const queue *queue, uint32_t connection) {
    const uint32_t own = count(queue, QUEUE_WAITING, connection) - 1;
    const queue_entry *own_first = first_of(queue, connection);
    uint32_t ahead = count(queue, QUEUE_TAKEN, QUEUE_NOBODY) + own;
    for (uint32_t other = 0; other < queue->memory.connection_count; other++) {
        const queue_entry *first = first_of(queue, other);
        if (other == connection || !first)
            continue;
        const uint32_t waiting = count(queue, QUEUE_WAITING, other);
        const uint32_t rounds = own + (uint32_t)comes_before(queue, first, own_first);
        ahead += waiting < rounds ? waiting : rounds;
    }
    return ahead;
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

/* Copies a request's strings to the entry's memory, stop strings with their NUL. Returns 0 if they do not fit. */
static int keep_texts(queue_entry *entry, uint32_t text_bytes, const protocol_request *request) {
    size_t used = request->prompt_bytes;
    if (used > text_bytes)
        return 0;
    entry->request = *request;
    entry->request.prompt = entry->text;
    memcpy(entry->text, request->prompt, used);
    for (uint32_t i = 0; i < request->stop_count; i++) {
        const size_t bytes = fw_text_length(request->stops[i]) + 1;
        if (bytes > text_bytes - used)
            return 0;
        entry->request.stops[i] = entry->text + used;
        memcpy(entry->text + used, request->stops[i], bytes);
        used += bytes;
    }
    return 1;
}

/* A free entry, or NULL. */
static queue_entry *free_entry(const queue *queue) {
    for (queue_entry *entry = queue->memory.entries; entry < entries_end(queue); entry++)
        if (entry->state == QUEUE_FREE)
            return entry;
    return NULL;
}

static queue_entry *unanswered(const queue *queue, uint32_t connection, uint32_t id) {
    for (queue_entry *entry = queue->memory.entries; entry < entries_end(queue); entry++)
        if (is_unanswered_of(entry, connection) && entry->request.id == id)
            return entry;
    return NULL;
}

protocol_code fw_queue_push(queue *queue, uint32_t connection, const protocol_request *request, uint32_t note,
                            uint32_t *ahead) {
    const uint32_t own = count(queue, QUEUE_WAITING, connection) + count(queue, QUEUE_TAKEN, connection);
    queue_entry *entry = free_entry(queue);
    if (unanswered(queue, connection, request->id))
        return PROTOCOL_ID;
    if (!entry || own >= queue->memory.most_unanswered || fw_queue_waiting(queue) >= queue->memory.most_waiting)
        return PROTOCOL_BUSY;
    if (!keep_texts(entry, queue->memory.text_bytes, request))
        return PROTOCOL_PROMPT;
    entry->connection = connection;
    entry->note = note;
    entry->cancelled = 0;
    entry->state = QUEUE_WAITING;
    entry->arrival = queue->arrivals++;
    *ahead = count_ahead(queue, connection);
    return PROTOCOL_OK;
}

queue_entry *fw_queue_take(queue *queue) {
    queue_entry *entry = first_of(queue, QUEUE_NOBODY);
    if (!entry)
        return NULL;
    entry->state = QUEUE_TAKEN;
    queue->memory.connections[entry->connection].turn = ++queue->turn;
    return entry;
}

queue_entry *fw_queue_cancel(queue *queue, uint32_t connection, uint32_t id) {
    queue_entry *entry = unanswered(queue, connection, id);
    if (!entry)
        return NULL;
    entry->cancelled = 1;
    if (entry->state == QUEUE_TAKEN)
        return NULL;
    entry->state = QUEUE_TAKEN;
    return entry;
}

void fw_queue_release(queue_entry *entry) {
    entry->state = QUEUE_FREE;
}

uint32_t fw_queue_waiting(const queue *queue) {
    return count(queue, QUEUE_WAITING, QUEUE_NOBODY);
}
