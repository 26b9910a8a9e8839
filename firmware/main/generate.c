#include "generate.h"

#include <stdlib.h>

#include "esp_random.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"

#include "actions.h"
#include "board.h"
#include "clock.h"
#include "core/answer.h"
#include "memory.h"
#include "models.h"
#include "nvs_settings.h"

enum {
    ENTRIES = BOARD_WAITING + 1, /* one is being answered */
    TEXT_BYTES = PROTOCOL_PROMPT_BYTES + QUEUE_STOP_BYTES,
    REST_EVERY_US = 500000
};

static queue requests;
static queue_connection connections[BOARD_CONNECTIONS];
static queue_entry entries[ENTRIES];
static const audience *audiences[BOARD_CONNECTIONS];
static SemaphoreHandle_t lock, arrived;
static generate_record record;

void generate_lock(void) {
    xSemaphoreTake(lock, portMAX_DELAY);
}

void generate_unlock(void) {
    xSemaphoreGive(lock);
}

/* ---- Requests ----------------------------------------------------------------------------------------------------- */

uint32_t generate_connect(const audience *audience) {
    generate_lock();
    const uint32_t connection = queue_connect(&requests);
    if (connection != QUEUE_NOBODY)
        audiences[connection] = audience;
    generate_unlock();
    return connection;
}

void generate_disconnect(uint32_t connection) {
    generate_lock();
    queue_disconnect(&requests, connection);
    generate_unlock();
}

protocol_rules generate_rules(void) {
    const models_view *view = models_look();
    const uint32_t context = view->model ? view->model->context : UINT32_MAX;
    models_look_away();
    return (protocol_rules){settings_now().defaults, esp_random(), protocol_prompt_bytes(context)};
}

protocol_code generate_push(uint32_t connection, const protocol_request *request, uint32_t *ahead,
                            protocol_error *error) {
    const models_view *view = models_look();
    const int has_model = view->model != NULL;
    models_look_away();
    if (!has_model)
        return protocol_fail(error, PROTOCOL_NO_MODEL, NULL);
    generate_lock();
    const protocol_code code = queue_push(&requests, connection, request, 0, ahead);
    generate_unlock();
    if (code)
        return protocol_fail(error, code, NULL);
    xSemaphoreGive(arrived);
    return PROTOCOL_OK;
}

int generate_cancel(uint32_t connection, uint32_t id, protocol_result *cancelled) {
    generate_lock();
    queue_entry *entry = queue_cancel(&requests, connection, id);
    if (entry) {
        *cancelled = (protocol_result){.reason = PROTOCOL_CANCELLED, .seed = entry->request.seed};
        queue_release(entry);
    }
    generate_unlock();
    return entry != NULL;
}

void generate_release(queue_entry *entry) {
    queue_release(entry);
}

generate_record generate_recorded(void) {
    generate_lock();
    const generate_record copy = record;
    generate_unlock();
    return copy;
}

/* ---- Answers ------------------------------------------------------------------------------------------------------ */

typedef struct listener {
    const queue_entry *entry;
    const audience *audience;
    uint64_t rested;
} listener;

static int tell(void *context, const char *bytes, size_t count) {
    const listener *to = context;
    return to->audience->write(to->entry, bytes, count);
}

static uint64_t now_us(void *context) {
    (void)context;
    return clock_us();
}

static int is_cancelled(void *context) {
    listener *to = context;
    if (clock_us() - to->rested > REST_EVERY_US) { /* the idle task has its duties, too */
        vTaskDelay(1);
        to->rested = clock_us();
    }
    generate_lock();
    const int cancelled = to->entry->cancelled || to->entry->connection == QUEUE_NOBODY;
    generate_unlock();
    return cancelled || (to->audience->has_gone && to->audience->has_gone(to->entry));
}

static void answer(queue_entry *entry, const audience *audience) {
    static char buffer[SHREW_TEXT_BYTES];
    listener to = {entry, audience, clock_us()};
    const answer_sink sink = {&to, tell, is_cancelled, now_us, buffer};
    protocol_result result = {.seed = entry->request.seed};
    protocol_error error = {.code = PROTOCOL_OK};
    shrew_session *session = models_enter();
    if (session) {
        answer_request(session, &entry->request, &sink, &result, &error);
        models_leave();
    } else {
        protocol_fail(&error, PROTOCOL_NO_MODEL, NULL);
    }
    generate_lock();
    record.answered++;
    if (result.tok_per_s > 0)
        record.tok_per_s = result.tok_per_s;
    if (result.prompt_tok_per_s > 0)
        record.prompt_tok_per_s = result.prompt_tok_per_s;
    generate_unlock();
    audience->finish(entry, &result, error.code ? &error : NULL);
    if (!error.code && result.command && result.reason != PROTOCOL_REFUSED)
        actions_run(result.command, result.command_bytes);
}

static void run(void *unused) {
    (void)unused;
    for (;;) {
        generate_lock();
        queue_entry *entry = queue_take(&requests);
        const audience *audience = entry ? audiences[entry->connection] : NULL;
        generate_unlock();
        if (!entry) {
            xSemaphoreTake(arrived, portMAX_DELAY);
            continue;
        }
        answer(entry, audience);
    }
}

uint32_t generate_most_waiting(void) {
    return requests.memory.most_waiting;
}

void generate_start(void) {
    uint32_t waiting = BOARD_WAITING;
    char *texts = memory_take_psram((waiting + 1) * TEXT_BYTES);
    if (!texts) {
        waiting = BOARD_WAITING_SMALL;
        texts = memory_take_any((waiting + 1) * TEXT_BYTES);
    }
    if (!texts)
        abort();
    queue_open(&requests, &(queue_memory){.connections = connections,
                                          .connection_count = BOARD_CONNECTIONS,
                                          .entries = entries,
                                          .entry_count = waiting + 1,
                                          .texts = texts,
                                          .text_bytes = TEXT_BYTES,
                                          .most_waiting = waiting,
                                          .most_unanswered = BOARD_PER_CLIENT});
    lock = xSemaphoreCreateMutex();
    arrived = xSemaphoreCreateBinary();
    xTaskCreatePinnedToCore(run, "generate", BOARD_STACK, NULL, BOARD_PRIORITY, NULL, BOARD_ANSWERING_CORE);
}
