#include "server.h"

#include <stdlib.h>
#include <string.h>

#include "esp_log.h"

#include "api.h"
#include "completions.h"
#include "http.h"
#include "page.h"
#include "tasks.h"
#include "websocket.h"

enum { ROUTES = 32 };

static esp_err_t open_socket(httpd_handle_t handle, int socket) {
    fw_http_use(handle, socket);
    fw_websocket_refresh();
    return ESP_OK;
}

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

static esp_err_t send_info(httpd_req_t *request) {
    return fw_http_admits(request, 0) ? fw_http_send_info(request) : ESP_OK;
}

static esp_err_t not_found(httpd_req_t *request, httpd_err_code_t code) {
    (void)code;
    return fw_http_admits(request, 0) ? fw_http_refuse(request, PROTOCOL_NOT_FOUND, NULL) : ESP_FAIL;
}

static const char MODELS[] = "/api/models/*";

/* Also called if only the pattern of the models' addresses matches; then sends 404 unless it is such an address. */
static esp_err_t wrong_method(httpd_req_t *request, httpd_err_code_t code) {
    (void)code;
    if (!fw_http_admits(request, 0))
        return ESP_FAIL;
    const int is_model = !strncmp(request->uri, MODELS, sizeof MODELS - 2);
    return fw_http_refuse(request, is_model && !fw_api_has(request) ? PROTOCOL_NOT_FOUND : PROTOCOL_METHOD, NULL);
}

static const struct {
    httpd_method_t method;
    const char *path;
    esp_err_t (*handler)(httpd_req_t *request);
} routes[] = {
    {HTTP_GET, "/api/info", send_info},
    {HTTP_GET, "/v1/models", fw_completions_list_models},
    {HTTP_POST, "/v1/chat/completions", fw_completions_answer},
    {HTTP_PUT, MODELS, fw_api_upload},
    {HTTP_POST, MODELS, fw_api_load},
    {HTTP_DELETE, MODELS, fw_api_remove},
    {HTTP_PUT, "/api/settings", fw_api_change_settings},
    {HTTP_PUT, "/api/wifi", fw_api_change_wifi},
};

static uint16_t port(void) {
#if CONFIG_IDF_TARGET_LINUX
    const char *given = getenv("SHREW_PORT");
    return (uint16_t)(given ? atoi(given) : 8080);
#else
    return 80;
#endif
}

void fw_server_start(void) {
    httpd_config_t config = HTTPD_DEFAULT_CONFIG();
    config.server_port = port();
    config.ctrl_port = (uint16_t)(config.server_port ^ 0x8000); /* several servers can run on one host */
    config.stack_size = fw_tasks_stack(TASK_SERVER);
    config.core_id = 0; /* the core of Wi-Fi */
    config.max_open_sockets = CONFIG_LWIP_MAX_SOCKETS - 3; /* the server uses three itself */
    config.max_uri_handlers = ROUTES;
    config.max_resp_headers = 8;
    config.lru_purge_enable = true;
    config.open_fn = open_socket;
    config.uri_match_fn = httpd_uri_match_wildcard;
    httpd_handle_t started = NULL;
    ESP_ERROR_CHECK(httpd_start(&started, &config));
    ESP_ERROR_CHECK(fw_websocket_register(started));
    ESP_ERROR_CHECK(fw_page_register(started));
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const httpd_uri_t address = {.uri = routes[i].path, .method = routes[i].method, .handler = routes[i].handler};
        ESP_ERROR_CHECK(httpd_register_uri_handler(started, &address));
    }
    httpd_register_err_handler(started, HTTPD_404_NOT_FOUND, not_found);
    httpd_register_err_handler(started, HTTPD_405_METHOD_NOT_ALLOWED, wrong_method);
    static const char *const talkative[] = {"httpd", "httpd_parse", "httpd_txrx", "httpd_uri", "httpd_ws"};
    for (size_t i = 0; i < sizeof talkative / sizeof *talkative; i++)
        esp_log_level_set(talkative[i], ESP_LOG_NONE); /* otherwise each invalid request logs a line */
    ESP_LOGI("server", "port %u", (unsigned)config.server_port);
}
