/* Models on an SD card: /sd/NAME.bin is the model NAME. */
#ifndef SHREW_SD_H
#define SHREW_SD_H

#include <stdint.h>

#include "core/protocol.h"

typedef struct sd_model {
    char name[PROTOCOL_NAME_BYTES + 1];
    uint32_t bytes;
} sd_model;

/* Mounts the card, if this build has one and it is there. */
void fw_sd_start(void);

/* Models on the card, at most `most`. */
uint32_t fw_sd_list(sd_model *list, uint32_t most);

/* An image, read into the arena; NULL, and *error says why. PROTOCOL_NOT_FOUND where there is none. */
void *fw_sd_read(const char *name, uint32_t *bytes, protocol_error *error);

#endif
