/* HTTP requests that change the device: models, settings, Wi-Fi. All need the token. */
#ifndef SHREW_API_H
#define SHREW_API_H

#include "esp_http_server.h"

/* Starts the task for long requests. */
void fw_api_start(void);

/* Whether the request's address is that of a model, or of loading one, for any method. */
int fw_api_has(const httpd_req_t *request);

esp_err_t fw_api_upload(httpd_req_t *request);
esp_err_t fw_api_load(httpd_req_t *request);
esp_err_t fw_api_remove(httpd_req_t *request);
esp_err_t fw_api_change_settings(httpd_req_t *request);
esp_err_t fw_api_change_wifi(httpd_req_t *request);

#endif
