/* The chat page: the files of web/, compressed and built in. */
#ifndef SHREW_PAGE_H
#define SHREW_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "esp_http_server.h"

typedef struct page_file {
    const char *path, *type, *etag;
    const uint8_t *bytes; /* gzip */
    size_t count;
} page_file;

/* Written by pack_page.py. */
extern const page_file fw_page_files[];
extern const size_t fw_page_file_count;

/* Registers an address for each file. */
esp_err_t fw_page_register(httpd_handle_t server);

#endif
