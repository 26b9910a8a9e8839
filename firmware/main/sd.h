/* Models on an SD card: /sd/NAME.bin is the model NAME. */
#ifndef SHREW_SD_H
#define SHREW_SD_H

#include <stdint.h>

#include "core/protocol.h"

typedef struct sd_model {
    char name[PROTOCOL_NAME_BYTES + 1];
    uint32_t bytes;
} sd_model;

/* Mounts the card, if this build supports cards and one is inserted. */
void fw_sd_start(void);

/* Lists at most `most` models on the card, and returns how many. */
uint32_t fw_sd_list(sd_model *list, uint32_t most);

/* Reads an image into the arena. NULL: *error says why; PROTOCOL_NOT_FOUND if the card has none of this name. */
void *fw_sd_read(const char *name, uint32_t *bytes, protocol_error *error);

#endif
