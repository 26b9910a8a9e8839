#include "page.h"

#include <string.h>

#include "http.h"

static esp_err_t send_file(httpd_req_t *request) {
    if (!fw_http_admits(request, 0))
        return ESP_OK;
    const page_file *file = request->user_ctx;
    char known[32] = "";
    httpd_req_get_hdr_value_str(request, "If-None-Match", known, sizeof known);
    fw_http_begin(request, file->type, "no-cache");
    httpd_resp_set_hdr(request, "ETag", file->etag);
    if (!strcmp(known, file->etag)) {
        httpd_resp_set_status(request, "304 Not Modified");
        return httpd_resp_send(request, NULL, 0);
    }
    httpd_resp_set_hdr(request, "Content-Encoding", "gzip");
    return httpd_resp_send(request, (const char *)file->bytes, (ssize_t)file->count);
}

esp_err_t fw_page_register(httpd_handle_t server) {
    for (size_t i = 0; i < fw_page_file_count; i++) {
        const httpd_uri_t address = {.uri = fw_page_files[i].path,
                                     .method = HTTP_GET,
                                     .handler = send_file,
                                     .user_ctx = (void *)&fw_page_files[i]};
        const esp_err_t failed = httpd_register_uri_handler(server, &address);
        if (failed)
            return failed;
    }
    return ESP_OK;
}
