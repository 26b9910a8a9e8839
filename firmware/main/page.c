#include "page.h"

#include <string.h>

#include "server.h"

static const char POLICY[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                             "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static esp_err_t send_file(httpd_req_t *request) {
    if (!server_admits(request, 0))
        return ESP_OK;
    const page_file *file = request->user_ctx;
    char known[32] = "";
    httpd_req_get_hdr_value_str(request, "If-None-Match", known, sizeof known);
    httpd_resp_set_hdr(request, "ETag", file->etag);
    httpd_resp_set_hdr(request, "Cache-Control", "no-cache");
    httpd_resp_set_hdr(request, "Content-Security-Policy", POLICY);
    httpd_resp_set_hdr(request, "X-Content-Type-Options", "nosniff");
    httpd_resp_set_hdr(request, "Referrer-Policy", "no-referrer");
    httpd_resp_set_type(request, file->type);
    if (!strcmp(known, file->etag)) {
        httpd_resp_set_status(request, "304 Not Modified");
        return httpd_resp_send(request, NULL, 0);
    }
    httpd_resp_set_hdr(request, "Content-Encoding", "gzip");
    return httpd_resp_send(request, (const char *)file->bytes, (ssize_t)file->count);
}

esp_err_t page_register(httpd_handle_t server) {
    for (size_t i = 0; i < page_file_count; i++) {
        const httpd_uri_t address = {
            .uri = page_files[i].path, .method = HTTP_GET, .handler = send_file, .user_ctx = (void *)&page_files[i]};
        const esp_err_t failed = httpd_register_uri_handler(server, &address);
        if (failed)
            return failed;
    }
    return ESP_OK;
}
