#include "models.h"

#include <stdio.h>
#include <string.h>

#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"

#include "board.h"
#include "clock.h"
#include "cores.h"
#include "flash.h"
#include "memory.h"
#include "nvs_settings.h"
#include "placing.h"
#include "sd.h"

static const char TAG[] = "models";

enum {
    LEAST_CONTEXT = 32,
    GRAIN = 4096 /* fewest multiply-adds per core: the hand-over costs some microseconds */
};

/* Mutexes, to be taken in this order. storing: the slots, the card, and the loaded model. using: its session. looking:
 * the view. */
static SemaphoreHandle_t storing, using, looking;
static volatile int changing; /* other users of the session wait, so that a change is not starved */

static slots stored;
static sd_model on_card[BOARD_MODELS];
static uint32_t card_count;

static struct {
    char name[PROTOCOL_NAME_BYTES + 1];
    shrew_model model;
    shrew_session *session; /* NULL: no model is loaded */
    void *image; /* in the arena, from a card; NULL: it is in flash */
    shrew_times spent; /* written by the user of the session */
} answering;

static models_view view;
static info_model about;
static slots_record listed[SLOTS]; /* the view points to names in these two */
static sd_model listed_card[BOARD_MODELS];

/* ---- The view ---------------------------------------------------------------------------------------------------- */

static int is_active_on_card(const char *name) {
    return answering.session && answering.image && !strcmp(name, answering.name);
}

static void list(const char *name, uint32_t bytes, const char *place, int active) {
    if (view.stored_count < BOARD_MODELS)
        view.stored[view.stored_count++] = (info_stored){name, bytes, place, (uint32_t)active};
}

/* The caller must hold storing. */
static void update_view(void) {
    xSemaphoreTake(looking, portMAX_DELAY);
    memcpy(listed, stored.records, sizeof listed);
    memcpy(listed_card, on_card, card_count * sizeof *on_card);
    view.stored_count = 0;
    for (int i = 0; i < SLOTS; i++)
        if (listed[i].present)
            list(listed[i].name, listed[i].bytes, "flash", answering.session && stored.active == i);
    for (uint32_t i = 0; i < card_count; i++)
        list(listed_card[i].name, listed_card[i].bytes, "sd", is_active_on_card(on_card[i].name));
    view.upload_bytes = fw_slots_upload_bytes(&stored);
    view.model = answering.session ? &about : NULL;
    xSemaphoreGive(looking);
}

const models_view *fw_models_look(void) {
    xSemaphoreTake(looking, portMAX_DELAY);
    return &view;
}

void fw_models_look_away(void) {
    xSemaphoreGive(looking);
}

/* ---- The loaded model -------------------------------------------------------------------------------------------- */

static void mark(void *spent, shrew_phase phase, uint32_t layer, uint32_t tokens) {
    shrew_times_mark(spent, clock_us(), phase, layer, tokens);
}

static shrew_session_options session_options(uint32_t context) {
    shrew_session_options options = {.context = context,
                                     .parallel_for = fw_cores_run,
                                     .workers = BOARD_CORES,
                                     .grain = GRAIN,
                                     .mark = mark,
                                     .mark_context = &answering.spent};
#if CONFIG_IDF_TARGET_LINUX
    options.unit = SHREW_UNIT_SCALAR; /* as on chips without a vector unit */
#endif
    return options;
}

/* Takes memory for a session with the longest context that fits: internal memory, else PSRAM. */
static int take_session_memory(shrew_session_options *options, void **memory, size_t *bytes, protocol_error *error) {
    const shrew_model *model = &answering.model;
    for (uint32_t context = model->config.context;; context /= 2) {
        *options = session_options(context);
        const int status = shrew_session_bytes(model, options, bytes);
        if (status)
            return fw_protocol_fail(error, PROTOCOL_ENGINE, shrew_status_text(status));
        *memory = fw_memory_take_sram(*bytes);
        if (!*memory)
            *memory = fw_memory_take_psram(*bytes);
        if (*memory)
            return PROTOCOL_OK;
        if (context / 2 < LEAST_CONTEXT)
            return fw_protocol_fail(error, PROTOCOL_ENGINE, "not enough memory for a session of this model");
    }
}

/* Takes the session's memory before that of tensors, because it is accessed more often. */
static int open_session(protocol_error *error) {
    shrew_session_options options;
    void *memory;
    size_t bytes;
    const int code = take_session_memory(&options, &memory, &bytes, error);
    if (code)
        return code;
    const placed nearer = fw_placing_take(&answering.model, !answering.image);
    const int status = shrew_session_open(&answering.session, &answering.model, &options, memory, bytes);
    if (status) {
        answering.session = NULL;
        return fw_protocol_fail(error, PROTOCOL_ENGINE, shrew_status_text(status));
    }
    fw_info_of_model(&about, answering.name, &answering.model);
    about.context = options.context;
    about.commands = answering.model.commands != NULL;
    view.session_bytes = (uint32_t)bytes;
    view.place = answering.image ? "memory" : "flash";
    view.sram_bytes = nearer.sram_bytes;
    view.psram_bytes = nearer.psram_bytes;
    view.unit = shrew_unit_name(options.unit);
    return PROTOCOL_OK;
}

static void show_times(void) {
    xSemaphoreTake(looking, portMAX_DELAY);
    view.spent = answering.spent;
    xSemaphoreGive(looking);
}

static void run_selftest(void) {
    int present = 0;
    const int status = shrew_session_selftest(answering.session, &present);
    about.selftest = status ? INFO_SELFTEST_FAILED : present ? INFO_SELFTEST_PASSED : INFO_SELFTEST_ABSENT;
    if (status)
        ESP_LOGE(TAG, "%s: self-test: %s", answering.name, shrew_status_text(status));
}

/* Unloads the model and frees its memory for the next one. */
static void close_session(void) {
    xSemaphoreTake(looking, portMAX_DELAY); /* the view refers to what is freed here */
    view.model = NULL;
    view.session_bytes = 0;
    view.sram_bytes = view.psram_bytes = 0;
    xSemaphoreGive(looking);
    answering.session = NULL;
    answering.image = NULL;
    fw_slots_unload(&stored);
    fw_memory_clear();
}

static int open_from_card(const char *name, protocol_error *error) {
    uint32_t bytes;
    answering.image = fw_sd_read(name, &bytes, error);
    if (!answering.image)
        return error->code;
    const int status = shrew_model_open(&answering.model, answering.image, bytes);
    return status ? fw_protocol_fail(error, PROTOCOL_IMAGE, shrew_status_text(status)) : PROTOCOL_OK;
}

/* Loads the model of a slot, or the one of this name on the card. No model may be loaded before; after a failure none
 * is. */
static int load(int slot, const char *name, protocol_error *error) {
    snprintf(answering.name, sizeof answering.name, "%s", slot == SLOTS_NONE ? name : stored.records[slot].name);
    int code = slot == SLOTS_NONE ? open_from_card(name, error) : fw_slots_load(&stored, slot, &answering.model, error);
    if (!code)
        code = open_session(error);
    if (code) {
        close_session();
        return code;
    }
    run_selftest();
    memset(&answering.spent, 0, sizeof answering.spent); /* do not count the self-test */
    show_times();
    ESP_LOGI(TAG, "%s: %u tokens of context, %s kernels", answering.name, (unsigned)about.context, view.unit);
    return PROTOCOL_OK;
}

static int is_on_card(const char *name) {
    for (uint32_t i = 0; i < card_count; i++)
        if (!strcmp(on_card[i].name, name))
            return 1;
    return 0;
}

/* Waits for the current answer and keeps others from beginning. */
static void take_session(void) {
    changing = 1;
    xSemaphoreTake(using, portMAX_DELAY);
    changing = 0;
}

protocol_code fw_models_load(const char *name, protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    card_count = fw_sd_list(on_card, BOARD_MODELS);
    const int slot = fw_slots_find(&stored, name);
    protocol_code code = PROTOCOL_OK;
    if (slot == SLOTS_NONE && !is_on_card(name)) {
        code = fw_protocol_fail(error, PROTOCOL_NOT_FOUND, "no stored model of that name");
    } else {
        take_session();
        char before[sizeof answering.name];
        memcpy(before, answering.name, sizeof before);
        const int had_model = answering.session != NULL, slot_before = stored.active;
        close_session();
        code = (protocol_code)load(slot, name, error);
        protocol_error again;
        if (code && had_model)
            load(slot_before, before, &again);
        xSemaphoreGive(using);
    }
    update_view();
    xSemaphoreGive(storing);
    return code;
}

int fw_models_remember(const char *name) {
    settings changed = fw_settings_begin();
    if (!strcmp(changed.model, name)) {
        fw_settings_drop();
        return 0;
    }
    snprintf(changed.model, sizeof changed.model, "%s", name);
    return fw_settings_keep(&changed);
}

protocol_code fw_models_unload(protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    take_session();
    const protocol_code code = answering.session ? PROTOCOL_OK : fw_protocol_fail(error, PROTOCOL_NO_MODEL, NULL);
    close_session();
    xSemaphoreGive(using);
    update_view();
    xSemaphoreGive(storing);
    return code;
}

shrew_session *fw_models_enter(void) {
    while (changing)
        vTaskDelay(1);
    xSemaphoreTake(using, portMAX_DELAY);
    shrew_session *session = answering.session;
    if (!session)
        xSemaphoreGive(using);
    return session;
}

void fw_models_leave(void) {
    show_times();
    xSemaphoreGive(using);
}

protocol_code fw_models_selftest(info_selftest *verdict, protocol_error *error) {
    protocol_code code = PROTOCOL_OK;
    take_session();
    if (answering.session)
        run_selftest();
    else
        code = fw_protocol_fail(error, PROTOCOL_NO_MODEL, NULL);
    *verdict = about.selftest;
    xSemaphoreGive(using);
    return code;
}

static void load_at_start(int slot, const char *name) {
    protocol_error error;
    if (load(slot, name, &error))
        ESP_LOGE(TAG, "%s: %s", answering.name, error.line);
}

void fw_models_prepare(void) {
    storing = xSemaphoreCreateMutex();
    using = xSemaphoreCreateMutex();
    looking = xSemaphoreCreateMutex();
    const slots_flash flash = fw_flash_open();
    fw_slots_open(&stored, &flash);
    fw_sd_start();
}

void fw_models_start(const char *name) {
    int order[SLOTS];
    xSemaphoreTake(storing, portMAX_DELAY);
    take_session();
    card_count = fw_sd_list(on_card, BOARD_MODELS);
    fw_slots_order(&stored, name, order);
    if (*name && fw_slots_find(&stored, name) == SLOTS_NONE && is_on_card(name))
        load_at_start(SLOTS_NONE, name);
    for (int i = 0; i < SLOTS && !answering.session && order[i] != SLOTS_NONE; i++)
        load_at_start(order[i], NULL);
    for (uint32_t i = 0; i < card_count && !answering.session; i++)
        load_at_start(SLOTS_NONE, on_card[i].name);
    if (!answering.session)
        ESP_LOGW(TAG, "no model: upload one");
    else if (!*name) /* a model that is uploaded later must not replace it at the next start */
        fw_models_remember(answering.name);
    xSemaphoreGive(using);
    update_view();
    xSemaphoreGive(storing);
}

/* ---- Storing ----------------------------------------------------------------------------------------------------- */

static protocol_code done_storing(protocol_code code) {
    update_view();
    xSemaphoreGive(storing);
    return code;
}

protocol_code fw_models_remove(const char *name, protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    if (fw_slots_find(&stored, name) == SLOTS_NONE && is_on_card(name))
        return done_storing(
            fw_protocol_fail(error, PROTOCOL_IN_USE, "this model lies on the card: remove its file there"));
    return done_storing(fw_slots_remove(&stored, name, error));
}

protocol_code fw_models_upload_begin(const char *name, size_t name_bytes, uint64_t image_bytes, protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    if (is_active_on_card(name))
        return done_storing(fw_protocol_fail(error, PROTOCOL_IN_USE, "this model answers just now, from the card"));
    return done_storing(fw_slots_upload_begin(&stored, name, name_bytes, image_bytes, error));
}

protocol_code fw_models_upload_write(const void *data, uint32_t bytes, protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    return done_storing(fw_slots_upload_write(&stored, data, bytes, error));
}

protocol_code fw_models_upload_end(protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    return done_storing(fw_slots_upload_end(&stored, error));
}

void fw_models_upload_abort(void) {
    xSemaphoreTake(storing, portMAX_DELAY);
    fw_slots_upload_abort(&stored);
    done_storing(PROTOCOL_OK);
}
