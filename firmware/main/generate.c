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
#include "tasks.h"

enum {
    ENTRIES = BOARD_WAITING + 1, /* plus the one being answered */
    TEXT_BYTES = PROTOCOL_PROMPT_BYTES + QUEUE_STOP_BYTES,
    REST_EVERY_US = 500000
};

static queue requests;
static queue_connection connections[BOARD_CONNECTIONS];
static queue_entry entries[ENTRIES];
static const audience *audiences[BOARD_CONNECTIONS];
static SemaphoreHandle_t lock, arrived;
static generate_record record;

void fw_generate_lock(void) {
    xSemaphoreTake(lock, portMAX_DELAY);
}

void fw_generate_unlock(void) {
    xSemaphoreGive(lock);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

uint32_t fw_generate_connect(const audience *audience) {
    fw_generate_lock();
    const uint32_t connection = fw_queue_connect(&requests);
    if (connection != QUEUE_NOBODY)
        audiences[connection] = audience;
    fw_generate_unlock();
    return connection;
}

void fw_generate_disconnect(uint32_t connection) {
    fw_generate_lock();
    fw_queue_disconnect(&requests, connection);
    fw_generate_unlock();
}

protocol_rules fw_generate_rules(void) {
    const models_view *view = fw_models_look();
    const uint32_t context = view->model ? view->model->context : UINT32_MAX;
    fw_models_look_away();
    return (protocol_rules){fw_settings_now().defaults, esp_random(), fw_protocol_prompt_bytes(context)};
}

protocol_code fw_generate_push(uint32_t connection, const protocol_request *request, uint32_t *ahead,
                               protocol_error *error) {
    const models_view *view = fw_models_look();
    const int has_model = view->model != NULL;
    fw_models_look_away();
    if (!has_model)
        return fw_protocol_fail(error, PROTOCOL_NO_MODEL, NULL);
    fw_generate_lock();
    const protocol_code code = fw_queue_push(&requests, connection, request, 0, ahead);
    fw_generate_unlock();
    if (code)
        return fw_protocol_fail(error, code, NULL);
    xSemaphoreGive(arrived);
    return PROTOCOL_OK;
}

int fw_generate_cancel(uint32_t connection, uint32_t id, protocol_result *cancelled) {
    fw_generate_lock();
    queue_entry *entry = fw_queue_cancel(&requests, connection, id);
    if (entry) {
        *cancelled = (protocol_result){.reason = PROTOCOL_CANCELLED, .seed = entry->request.seed};
        fw_queue_release(entry);
    }
    fw_generate_unlock();
    return entry != NULL;
}

void fw_generate_release(queue_entry *entry) {
    fw_queue_release(entry);
}

generate_record fw_generate_recorded(void) {
    fw_generate_lock();
    const generate_record copy = record;
    fw_generate_unlock();
    return copy;
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

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
    if (clock_us() - to->rested > REST_EVERY_US) { /* let the idle task run */
        vTaskDelay(1);
        to->rested = clock_us();
    }
    fw_generate_lock();
    const int cancelled = to->entry->cancelled || to->entry->connection == QUEUE_NOBODY;
    fw_generate_unlock();
    return cancelled || (to->audience->has_gone && to->audience->has_gone(to->entry));
}

static void answer(queue_entry *entry, const audience *audience) {
    static char buffer[SHREW_TEXT_BYTES];
    listener to = {entry, audience, clock_us()};
    const answer_sink sink = {&to, tell, is_cancelled, now_us, buffer};
    protocol_result result = {.seed = entry->request.seed};
    protocol_error error = {.code = PROTOCOL_OK};
    shrew_session *session = fw_models_enter();
    if (session) {
        fw_answer_request(session, &entry->request, &sink, &result, &error);
        fw_models_leave();
    } else {
        fw_protocol_fail(&error, PROTOCOL_NO_MODEL, NULL);
    }
    fw_generate_lock();
    record.answered++;
    if (result.tok_per_s > 0 && !result.from_memory)
        record.tok_per_s = result.tok_per_s;
    if (result.prompt_tok_per_s > 0)
        record.prompt_tok_per_s = result.prompt_tok_per_s;
    fw_generate_unlock();
    audience->finish(entry, &result, error.code ? &error : NULL);
    if (!error.code && result.command && result.reason != PROTOCOL_REFUSED)
        fw_actions_run(result.command, result.command_bytes);
}

static void run(void *unused) {
    (void)unused;
    for (;;) {
        fw_generate_lock();
        queue_entry *entry = fw_queue_take(&requests);
        const audience *audience = entry ? audiences[entry->connection] : NULL;
        fw_generate_unlock();
        if (!entry) {
            xSemaphoreTake(arrived, portMAX_DELAY);
            continue;
        }
        answer(entry, audience);
    }
}

uint32_t fw_generate_most_waiting(void) {
    return requests.memory.most_waiting;
}

void fw_generate_start(void) {
    const uint32_t waiting = fw_memory_has_psram() ? BOARD_WAITING : BOARD_WAITING_SMALL;
    char *texts = fw_memory_take_buffer((waiting + 1) * TEXT_BYTES);
    if (!texts)
        abort();
    fw_queue_open(&requests, &(queue_memory){.connections = connections,
                                             .connection_count = BOARD_CONNECTIONS,
                                             .entries = entries,
                                             .entry_count = waiting + 1,
                                             .texts = texts,
                                             .text_bytes = TEXT_BYTES,
                                             .most_waiting = waiting,
                                             .most_unanswered = BOARD_PER_CLIENT});
    lock = xSemaphoreCreateMutex();
    arrived = xSemaphoreCreateBinary();
    fw_tasks_start(TASK_GENERATE, run, BOARD_ANSWERING_CORE);
}
