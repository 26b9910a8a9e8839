/* The models stored in flash and on a card, and the loaded one with its session. */
#ifndef SHREW_MODELS_H
#define SHREW_MODELS_H

#include "board.h"
#include "core/info.h"
#include "core/slots.h"
#include "shrew_times.h"

/* Call first: creates the locks, reads the slots and mounts the card. Loads no model. */
void fw_models_prepare(void);

/* Call after fw_memory_start. Loads the model of this name if possible, else one in flash, the newest first, else one
 * on the card, else none. */
void fw_models_start(const char *name);

/* Each may take seconds. They run one at a time. Load and unload wait for the current answer. */
protocol_code fw_models_load(const char *name, protocol_error *error);
int fw_models_remember(const char *name); /* for the next start; 0, or -1 if the flash failed */
protocol_code fw_models_unload(protocol_error *error); /* until the next load or start; PROTOCOL_NO_MODEL */
protocol_code fw_models_remove(const char *name, protocol_error *error);
protocol_code fw_models_upload_begin(const char *name, size_t name_bytes, uint64_t image_bytes, protocol_error *error);
protocol_code fw_models_upload_write(const void *data, uint32_t bytes, protocol_error *error);
protocol_code fw_models_upload_end(protocol_error *error);
void fw_models_upload_abort(void);

/* Exclusive use of the session until fw_models_leave. NULL if no model is loaded. */
shrew_session *fw_models_enter(void);
void fw_models_leave(void);

/* Runs the loaded model's self-test again. Waits for the current answer. */
protocol_code fw_models_selftest(info_selftest *verdict, protocol_error *error);

/* A view of the models, constant until fw_models_look_away. Never waits for flash. */
typedef struct models_view {
    const info_model *model; /* NULL: none is loaded */
    const char *place;       /* of its image: "flash" or "memory" */
    size_t sram_bytes, psram_bytes; /* bytes of tensors copied there */
    const char *unit;        /* the kernels in use */
    uint32_t session_bytes;
    info_stored stored[BOARD_MODELS];
    uint32_t stored_count;
    uint32_t upload_bytes; /* the largest upload that fits now */
    shrew_times spent; /* in microseconds, since the model was loaded */
} models_view;
const models_view *fw_models_look(void);
void fw_models_look_away(void);

#endif
