/* The models stored in flash and on a card, and the one of them that answers, with its session. */
#ifndef SHREW_MODELS_H
#define SHREW_MODELS_H

#include "board.h"
#include "core/info.h"
#include "core/slots.h"
#include "shrew_times.h"

/* Before any other: the locks, what the flash holds, and the card. No model answers yet. */
void fw_models_prepare(void);

/* After fw_memory_start: loads a model, that of this name if it can, else one in flash, the newest first, else one on the
 * card, else none. */
void fw_models_start(const char *name);

/* Each of these may take seconds; one runs at a time, others wait. Load and unload wait for the answer under way. */
protocol_code fw_models_load(const char *name, protocol_error *error);
int fw_models_remember(const char *name); /* for the next start; 0, or -1 where the flash failed */
protocol_code fw_models_unload(protocol_error *error); /* until load, or the next start; PROTOCOL_NO_MODEL */
protocol_code fw_models_remove(const char *name, protocol_error *error);
protocol_code fw_models_upload_begin(const char *name, size_t name_bytes, uint64_t image_bytes, protocol_error *error);
protocol_code fw_models_upload_write(const void *data, uint32_t bytes, protocol_error *error);
protocol_code fw_models_upload_end(protocol_error *error);
void fw_models_upload_abort(void);

/* The session, for the caller alone until fw_models_leave; NULL where no model answers. */
shrew_session *fw_models_enter(void);
void fw_models_leave(void);

/* Runs the self-test of the model that answers again; waits for the answer under way. */
protocol_code fw_models_selftest(info_selftest *verdict, protocol_error *error);

/* What is known of the models, unchanged until fw_models_look_away. Quick: nothing waits for flash here. */
typedef struct models_view {
    const info_model *model; /* NULL: none answers */
    const char *place;       /* where its image lies: "flash", "memory" */
    size_t sram_bytes, psram_bytes; /* of its tensors, copied there */
    const char *unit;        /* the kernels that compute */
    uint32_t session_bytes;
    info_stored stored[BOARD_MODELS];
    uint32_t stored_count;
    uint32_t upload_bytes; /* most that fit now */
    shrew_times spent; /* in microseconds, since the model was loaded */
} models_view;
const models_view *fw_models_look(void);
void fw_models_look_away(void);

#endif
