#include "api.h"

#include <string.h>

#include "freertos/FreeRTOS.h"
#include "freertos/queue.h"

#include "board.h"
#include "clock.h"
#include "http.h"
#include "models.h"
#include "nvs_settings.h"
#include "tasks.h"
#include "websocket.h"
#include "wifi.h"

static const char PREFIX[] = "/api/models/", LOAD[] = "/load";

enum { PIECE_BYTES = 4096, STALLED_US = 30000000, DRAIN_US = 3000000, NAME_BYTES = PROTOCOL_NAME_BYTES + 1 };

/* ---- Long requests, one at a time, on their own task: flash takes seconds, and answers continue meanwhile -------- */

typedef struct job {
    httpd_req_t *request; /* a copy that we own until it is completed */
    protocol_code (*run)(httpd_req_t *request, const char *name, protocol_error *error);
    char name[NAME_BYTES];
} job;

static QueueHandle_t jobs;
static char piece[PIECE_BYTES]; /* of an upload */
static volatile int is_busy;

/* Reads the rest of a refused upload for a while: closing a socket with unread bytes would discard the answer. */
static void drain(httpd_req_t *request) {
    const uint64_t begun = clock_us();
    while (httpd_req_recv(request, piece, PIECE_BYTES) > 0 && clock_us() - begun < DRAIN_US)
        ;
}

static void finish(job *done, protocol_code code, const protocol_error *error) {
    httpd_req_t *request = done->request;
    is_busy = 0; /* before the client can send its next request */
    const esp_err_t failed = code ? fw_http_fail(request, error) : fw_http_send_info(request);
    if (code)
        drain(request);
    if (failed)
        fw_http_hang_up(httpd_req_to_sockfd(request));
    httpd_req_async_handler_complete(request);
    fw_websocket_announce(); /* also after a failure: a failed upload may have erased an image */
}

static void run_jobs(void *unused) {
    (void)unused;
    for (;;) {
        job next;
        xQueueReceive(jobs, &next, portMAX_DELAY);
        protocol_error error;
        const protocol_code code = next.run(next.request, next.name, &error);
        finish(&next, code, &error);
    }
}

void fw_api_start(void) {
    jobs = xQueueCreate(1, sizeof(job));
    fw_tasks_start(TASK_JOBS, run_jobs, tskNO_AFFINITY);
}

static esp_err_t begin(httpd_req_t *request, job *next) {
    if (is_busy)
        return fw_http_refuse(request, PROTOCOL_IN_USE, "another upload or change is under way");
    if (httpd_req_async_handler_begin(request, &next->request))
        return fw_http_refuse(request, PROTOCOL_ENGINE, "not enough memory");
    is_busy = 1;
    xQueueSend(jobs, next, portMAX_DELAY);
    return ESP_OK;
}

/* Extracts the name from /api/models/NAME, or with is_load from /api/models/NAME/load. *code says why it is refused. */
static void name_in(const httpd_req_t *request, int is_load, char name[NAME_BYTES], protocol_code *code) {
    const char *begin = request->uri + sizeof PREFIX - 1;
    const size_t path = strcspn(begin, "?#"), bytes = strcspn(begin, "/?#");
    const int has_load = path - bytes == sizeof LOAD - 1 && !memcmp(begin + bytes, LOAD, sizeof LOAD - 1);
    if (bytes != path && !has_load)
        *code = PROTOCOL_NOT_FOUND;
    else if (has_load != is_load)
        *code = PROTOCOL_METHOD;
    else if (!fw_protocol_name_is_valid(begin, bytes))
        *code = PROTOCOL_NAME;
    else
        *code = PROTOCOL_OK;
    if (*code)
        return;
    memcpy(name, begin, bytes);
    name[bytes] = 0;
}

int fw_api_has(const httpd_req_t *request) {
    char name[NAME_BYTES];
    protocol_code code;
    if (strncmp(request->uri, PREFIX, sizeof PREFIX - 1))
        return 0;
    name_in(request, 0, name, &code);
    return code != PROTOCOL_NOT_FOUND;
}

static esp_err_t change_models(httpd_req_t *request, job next, int is_load, int with_body) {
    protocol_code code;
    if (!fw_http_admits(request, 0))
        return ESP_OK;
    name_in(request, is_load, next.name, &code);
    if (code && code != PROTOCOL_NAME)
        return fw_http_refuse(request, code, NULL);
    if (!fw_http_admits(request, 1))
        return ESP_OK;
    if (code)
        return fw_http_refuse(request, code, NULL);
    if (with_body && !httpd_req_get_hdr_value_len(request, "Content-Length"))
        return fw_http_refuse(request, PROTOCOL_LENGTH, NULL);
    return begin(request, &next);
}

/* ---- Models ------------------------------------------------------------------------------------------------------ */

static protocol_code receive_image(httpd_req_t *request, protocol_error *error) {
    uint64_t heard = clock_us();
    size_t filled = 0;
    for (size_t left = request->content_len; left;) {
        const size_t room = PIECE_BYTES - filled;
        const int got = httpd_req_recv(request, piece + filled, left < room ? left : room);
        if (got == HTTPD_SOCK_ERR_TIMEOUT && clock_us() - heard < STALLED_US)
            continue;
        if (got <= 0)
            return fw_protocol_fail(error, PROTOCOL_TIMEOUT, "the upload stopped coming");
        heard = clock_us();
        filled += (size_t)got;
        left -= (size_t)got;
        if (left && filled < PIECE_BYTES)
            continue;
        const protocol_code code = fw_models_upload_write(piece, (uint32_t)filled, error);
        if (code)
            return code;
        filled = 0;
    }
    return fw_models_upload_end(error);
}

static protocol_code upload(httpd_req_t *request, const char *name, protocol_error *error) {
    protocol_code code = fw_models_upload_begin(name, strlen(name), request->content_len, error);
    if (code)
        return code;
    code = receive_image(request, error);
    if (code)
        fw_models_upload_abort();
    return code;
}

static protocol_code load(httpd_req_t *request, const char *name, protocol_error *error) {
    (void)request;
    const protocol_code code = fw_models_load(name, error);
    if (!code && fw_models_remember(name))
        return fw_protocol_fail(error, PROTOCOL_ENGINE, SETTINGS_NOT_KEPT);
    return code;
}

static protocol_code erase(httpd_req_t *request, const char *name, protocol_error *error) {
    (void)request;
    return fw_models_remove(name, error);
}

esp_err_t fw_api_upload(httpd_req_t *request) {
    return change_models(request, (job){.run = upload}, 0, 1);
}

esp_err_t fw_api_load(httpd_req_t *request) {
    return change_models(request, (job){.run = load}, 1, 0);
}

esp_err_t fw_api_remove(httpd_req_t *request) {
    return change_models(request, (job){.run = erase}, 0, 0);
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

typedef protocol_code settings_changer(settings *changed, char *text, size_t bytes, protocol_error *error);

static esp_err_t change(httpd_req_t *request, settings_changer *changer, void (*follow)(void)) {
    size_t bytes;
    char *body;
    if (!fw_http_admits(request, 1))
        return ESP_OK;
    const esp_err_t refused = fw_http_body(request, &body, &bytes);
    if (!body)
        return refused;
    settings changed = fw_settings_begin();
    protocol_error error;
    if (changer(&changed, body, bytes, &error)) {
        fw_settings_drop();
        return fw_http_fail(request, &error);
    }
    const int failed = fw_settings_keep(&changed);
    follow();
    return failed ? fw_http_refuse(request, PROTOCOL_ENGINE, SETTINGS_NOT_KEPT) : fw_http_send_info(request);
}

esp_err_t fw_api_change_settings(httpd_req_t *request) {
    return change(request, fw_settings_change, fw_websocket_announce);
}

esp_err_t fw_api_change_wifi(httpd_req_t *request) {
    if (!fw_wifi_now().mode)
        return fw_http_admits(request, 0) ? fw_http_refuse(request, PROTOCOL_NOT_FOUND, "this device has no Wi-Fi")
                                          : ESP_OK;
    return change(request, fw_settings_change_wifi, fw_wifi_restart);
}
