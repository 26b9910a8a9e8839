#include "models.h"

#include <string.h>

#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"

#include "board.h"
#include "clock.h"
#include "cores.h"
#include "flash.h"
#include "memory.h"
#include "placing.h"
#include "sd.h"

static const char TAG[] = "models";

enum {
    LEAST_CONTEXT = 32,
    GRAIN = 4096 /* multiply-adds worth handing to the other core: some microseconds of both */
};

/* storing: the slots, the card, and which model answers. using: its session. looking: the view. Taken in this order. */
static SemaphoreHandle_t storing, using, looking;
static volatile int changing; /* whoever would use the session waits, so that a change gets its turn */

static slots stored;
static sd_model on_card[BOARD_MODELS];
static uint32_t card_count;

static struct {
    char name[PROTOCOL_NAME_BYTES + 1];
    shrew_model model;
    shrew_session *session; /* NULL: no model answers */
    void *session_memory;
    void *image;   /* one from a card, in memory; NULL: it lies in flash */
    placed nearer; /* copies of its tensors */
    times_record spent; /* written by whoever uses the session */
} answering;

static models_view view;
static info_model about;
static slots_record listed[SLOTS]; /* names that the view points to */

/* ---- What others see ---------------------------------------------------------------------------------------------- */

static void list(const char *name, uint32_t bytes, const char *place) {
    if (view.stored_count == BOARD_MODELS)
        return;
    const uint32_t active = answering.session && !strcmp(name, answering.name);
    view.stored[view.stored_count++] = (info_stored){name, bytes, place, active};
}

/* The caller holds storing. */
static void update_view(void) {
    xSemaphoreTake(looking, portMAX_DELAY);
    memcpy(listed, stored.records, sizeof listed);
    view.stored_count = 0;
    for (int i = 0; i < SLOTS; i++)
        if (listed[i].present)
            list(listed[i].name, listed[i].bytes, "flash");
    for (uint32_t i = 0; i < card_count; i++)
        list(on_card[i].name, on_card[i].bytes, "sd");
    view.upload_bytes = slots_upload_bytes(&stored);
    view.model = answering.session ? &about : NULL;
    xSemaphoreGive(looking);
}

const models_view *models_look(void) {
    xSemaphoreTake(looking, portMAX_DELAY);
    return &view;
}

void models_look_away(void) {
    xSemaphoreGive(looking);
}

/* ---- The model that answers --------------------------------------------------------------------------------------- */

static void mark(void *spent, shrew_phase phase, uint32_t layer, uint32_t tokens) {
    times_mark(spent, clock_us(), phase, layer, tokens);
}

static shrew_session_options session_options(uint32_t context) {
    shrew_session_options options = {.context = context,
                                     .parallel_for = cores_run,
                                     .workers = BOARD_CORES,
                                     .grain = GRAIN,
                                     .mark = mark,
                                     .mark_context = &answering.spent};
#if CONFIG_IDF_TARGET_LINUX
    options.unit = SHREW_UNIT_SCALAR; /* what chips run */
#endif
    return options;
}

/* Memory for a session of the longest context that there is room for. */
static int take_session_memory(shrew_session_options *options, size_t *bytes, protocol_error *error) {
    const shrew_model *model = &answering.model;
    for (uint32_t context = model->config.context;; context /= 2) {
        *options = session_options(context);
        const int status = shrew_session_bytes(model, options, bytes);
        if (status)
            return protocol_fail(error, PROTOCOL_ENGINE, shrew_status_text(status));
        answering.session_memory = memory_take(*bytes);
        if (answering.session_memory)
            return PROTOCOL_OK;
        if (context / 2 < LEAST_CONTEXT)
            return protocol_fail(error, PROTOCOL_ENGINE, "not enough memory for a session of this model");
    }
}

/* The session's memory is taken first: it is read and written more often than weights are read. */
static int open_session(protocol_error *error) {
    shrew_session_options options;
    size_t bytes;
    const int code = take_session_memory(&options, &bytes, error);
    if (code)
        return code;
    answering.nearer = placing_take(&answering.model, !answering.image);
    const int status =
        shrew_session_open(&answering.session, &answering.model, &options, answering.session_memory, bytes);
    if (status) {
        answering.session = NULL;
        return protocol_fail(error, PROTOCOL_ENGINE, shrew_status_text(status));
    }
    info_of_model(&about, answering.name, &answering.model);
    about.context = options.context;
    about.commands = answering.model.commands != NULL;
    view.session_bytes = (uint32_t)bytes;
    view.place = answering.image ? "memory" : "flash";
    view.sram_bytes = answering.nearer.sram_bytes;
    view.psram_bytes = answering.nearer.psram_bytes;
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

static void close_session(void) {
    xSemaphoreTake(looking, portMAX_DELAY); /* nobody may look at what is going */
    view.model = NULL;
    xSemaphoreGive(looking);
    answering.session = NULL;
    memory_give(answering.session_memory);
    answering.session_memory = NULL;
    placing_give(&answering.nearer);
    slots_unload(&stored);
    memory_give(answering.image);
    answering.image = NULL;
}

static int open_image(const char *name, protocol_error *error) {
    const int slot = slots_find(&stored, name);
    if (slot != SLOTS_NONE)
        return slots_load(&stored, slot, &answering.model, error);
    uint32_t bytes;
    answering.image = sd_read(name, &bytes, error);
    if (!answering.image)
        return error->code;
    const int status = shrew_model_open(&answering.model, answering.image, bytes);
    return status ? protocol_fail(error, PROTOCOL_IMAGE, shrew_status_text(status)) : PROTOCOL_OK;
}

/* Nothing is loaded. On failure, again. */
static int load(const char *name, protocol_error *error) {
    strcpy(answering.name, name);
    int code = open_image(name, error);
    if (!code)
        code = open_session(error);
    if (code) {
        close_session();
        return code;
    }
    run_selftest();
    memset(&answering.spent, 0, sizeof answering.spent); /* what people asked for counts */
    show_times();
    ESP_LOGI(TAG, "%s: %u tokens of context, %s kernels", name, (unsigned)about.context, view.unit);
    return PROTOCOL_OK;
}

static int is_stored(const char *name) {
    for (uint32_t i = 0; i < card_count; i++)
        if (!strcmp(on_card[i].name, name))
            return 1;
    return slots_find(&stored, name) != SLOTS_NONE;
}

protocol_code models_load(const char *name, protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    card_count = sd_list(on_card, BOARD_MODELS);
    protocol_code code = PROTOCOL_OK;
    if (!is_stored(name)) {
        code = protocol_fail(error, PROTOCOL_NOT_FOUND, "no stored model of that name");
    } else {
        changing = 1;
        xSemaphoreTake(using, portMAX_DELAY);
        changing = 0;
        char before[sizeof answering.name] = "";
        if (answering.session)
            strcpy(before, answering.name);
        close_session();
        code = (protocol_code)load(name, error);
        protocol_error again;
        if (code && *before)
            load(before, &again);
        xSemaphoreGive(using);
    }
    update_view();
    xSemaphoreGive(storing);
    return code;
}

shrew_session *models_enter(void) {
    while (changing)
        vTaskDelay(1);
    xSemaphoreTake(using, portMAX_DELAY);
    shrew_session *session = answering.session;
    if (!session)
        xSemaphoreGive(using);
    return session;
}

void models_leave(void) {
    show_times();
    xSemaphoreGive(using);
}

protocol_code models_selftest(info_selftest *verdict, protocol_error *error) {
    protocol_code code = PROTOCOL_OK;
    changing = 1;
    xSemaphoreTake(using, portMAX_DELAY);
    changing = 0;
    if (answering.session)
        run_selftest();
    else
        code = protocol_fail(error, PROTOCOL_NO_MODEL, NULL);
    *verdict = about.selftest;
    xSemaphoreGive(using);
    return code;
}

void models_start(const char *name) {
    storing = xSemaphoreCreateMutex();
    using = xSemaphoreCreateMutex();
    looking = xSemaphoreCreateMutex();
    const slots_flash flash = flash_open();
    slots_open(&stored, &flash);
    sd_start();
    card_count = sd_list(on_card, BOARD_MODELS);
    protocol_error error;
    if (!*name || load(name, &error)) {
        shrew_model found;
        const int slot = slots_boot(&stored, name, &found); /* the newest that is good */
        slots_unload(&stored);
        if (slot != SLOTS_NONE)
            load(stored.records[slot].name, &error);
        else if (card_count)
            load(on_card[0].name, &error);
    }
    if (!answering.session)
        ESP_LOGW(TAG, "no model: upload one");
    update_view();
}

/* ---- Storing ------------------------------------------------------------------------------------------------------ */

static protocol_code done_storing(protocol_code code) {
    update_view();
    xSemaphoreGive(storing);
    return code;
}

protocol_code models_remove(const char *name, protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    return done_storing(slots_remove(&stored, name, error));
}

protocol_code models_upload_begin(const char *name, size_t name_bytes, uint64_t image_bytes, protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    return done_storing(slots_upload_begin(&stored, name, name_bytes, image_bytes, error));
}

protocol_code models_upload_write(const void *data, uint32_t bytes, protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    const protocol_code code = slots_upload_write(&stored, data, bytes, error);
    xSemaphoreGive(storing);
    return code;
}

protocol_code models_upload_end(protocol_error *error) {
    xSemaphoreTake(storing, portMAX_DELAY);
    return done_storing(slots_upload_end(&stored, error));
}

void models_upload_abort(void) {
    xSemaphoreTake(storing, portMAX_DELAY);
    slots_upload_abort(&stored);
    done_storing(PROTOCOL_OK);
}
