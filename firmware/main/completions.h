/* The OpenAI form of the protocol. */
#ifndef SHREW_COMPLETIONS_H
#define SHREW_COMPLETIONS_H

#include "esp_http_server.h"

esp_err_t fw_completions_answer(httpd_req_t *request);
esp_err_t fw_completions_list_models(httpd_req_t *request);

#endif
