/* The `info` message, which describes the server. The caller fills in what it knows; fw_info_of_model takes the rest
 * from the image. */
#ifndef SHREW_INFO_H
#define SHREW_INFO_H

#include "protocol.h"

enum {
    INFO_TEXT_BYTES = 400, /* title, licence, description and refusal are each cut to this, at a whole character */
    INFO_OUT_BYTES = 12288 /* room for info with 16 stored images and texts of any length */
};

typedef struct info_text {
    const char *bytes; /* NULL: null */
    size_t count;
} info_text;

typedef enum info_selftest { INFO_SELFTEST_ABSENT, INFO_SELFTEST_PASSED, INFO_SELFTEST_FAILED } info_selftest;

typedef struct info_model {
    const char *name;
    info_text title, refusal, licence, description;
    uint32_t bytes, crc32, context, vocab, dim, layers;
    uint64_t parameters;
    info_selftest selftest;
    uint32_t commands;
} info_model;

typedef struct info_stored {
    const char *name;
    uint32_t bytes;
    const char *place; /* "flash", "sd", "file" */
    uint32_t active;
} info_stored;

typedef struct info_memory {
    const char *kind;
    uint64_t bytes;
} info_memory;

typedef struct info {
    const char *version, *device;
    const info_model *model;    /* NULL: none */
    const info_stored *models;
    size_t model_count;
    options defaults;
    uint32_t message_bytes, prompt_bytes, queue, per_client, clients, upload_bytes; /* limits */
    const info_memory *memory;
    size_t memory_count;
    uint64_t uptime_s, requests;
    const char *wifi_mode, *wifi_ssid, *wifi_address; /* wifi_mode NULL: the device has no Wi-Fi */
} info;

/* Fills in what the image says. The caller then sets selftest, and context if it is shorter than the image's. */
void fw_info_of_model(info_model *about, const char *name, const shrew_model *model);

/* message: 1 for a WebSocket message, which has a type; 0 for GET /api/info. */
void fw_info_write(text *out, const info *about, int message);

#endif
