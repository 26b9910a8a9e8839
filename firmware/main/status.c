#include "status.h"

#include <inttypes.h>
#include <stdio.h>

#include "board.h"
#include "clock.h"
#include "core/times_table.h"
#include "generate.h"
#include "memory.h"
#include "models.h"
#include "nvs_settings.h"
#include "tasks.h"
#include "wifi.h"

const char FW_VERSION[] = "0.1.0", FW_DEVICE[] = CONFIG_IDF_TARGET;

static uint64_t started;

void fw_status_start(void) {
    started = clock_us();
}

static uint64_t uptime_s(void) {
    return (clock_us() - started) / 1000000;
}

char *fw_status_info(int as_message, size_t *bytes) {
    char *buffer = fw_memory_take_buffer(INFO_OUT_BYTES);
    if (!buffer)
        return NULL;
    const wifi_state wifi = fw_wifi_now();
    const settings kept = fw_settings_now();
    const uint64_t answered = fw_generate_recorded().answered;
    const models_view *view = fw_models_look();
    const info_memory memory[] = {{"session", view->session_bytes},
                                  {"weights_sram", view->sram_bytes},
                                  {"weights_psram", view->psram_bytes},
                                  {"models", fw_memory_for_models()},
                                  {"models_psram", fw_memory_psram_for_models()},
                                  {"free", fw_memory_free_internal()},
                                  {"free_psram", fw_memory_free_psram()},
                                  {"largest", fw_memory_largest()}};
    const info about = {
        .version = FW_VERSION,
        .device = FW_DEVICE,
        .model = view->model,
        .models = view->stored,
        .model_count = view->stored_count,
        .defaults = kept.defaults,
        .message_bytes = PROTOCOL_MESSAGE_BYTES,
        .prompt_bytes = (uint32_t)fw_protocol_prompt_bytes(view->model ? view->model->context : UINT32_MAX),
        .queue = fw_generate_most_waiting(),
        .per_client = BOARD_PER_CLIENT,
        .clients = BOARD_CLIENTS,
        .upload_bytes = view->upload_bytes,
        .memory = memory,
        .memory_count = sizeof memory / sizeof *memory,
        .uptime_s = uptime_s(),
        .requests = answered,
        .wifi_mode = wifi.mode,
        .wifi_ssid = wifi.ssid,
        .wifi_address = wifi.address};
    text out = fw_text_in(buffer, INFO_OUT_BYTES);
    fw_info_write(&out, &about, as_message);
    fw_models_look_away();
    if (out.full) {
        fw_memory_give_buffer(buffer);
        return NULL;
    }
    *bytes = out.used;
    return buffer;
}

void fw_status_free(char *info) {
    fw_memory_give_buffer(info);
}

static void print_times(const shrew_times *spent) {
    char buffer[TIMES_LINE_BYTES];
    text out = fw_text_in(buffer, sizeof buffer);
    for (uint32_t i = 0; fw_times_add_line(&out, spent, i); i++) {
        printf("%-9s%s\n", i ? "" : "time", buffer);
        out = fw_text_in(buffer, sizeof buffer);
    }
}

static const char *const verdicts[] = {"absent", "passed", "failed"};

void fw_status_print(void) {
    const generate_record record = fw_generate_recorded();
    const wifi_state wifi = fw_wifi_now();
    printf("shrew %s on %s, up %" PRIu64 " s, %" PRIu64 " answered\n", FW_VERSION, FW_DEVICE, uptime_s(),
           record.answered);
    const models_view *view = fw_models_look();
    if (view->model)
        printf("model    %s: %" PRIu64 " parameters, %" PRIu32
               " bytes in %s (copied: %zu to SRAM, %zu to PSRAM), %" PRIu32
               " tokens of context, self-test %s, %s kernels on %d %s\n",
               view->model->name, view->model->parameters, view->model->bytes, view->place, view->sram_bytes,
               view->psram_bytes, view->model->context,
               verdicts[view->model->selftest], view->unit, (int)BOARD_CORES, BOARD_CORES > 1 ? "cores" : "core");
    else
        printf("model    none\n");
    printf("memory   session %" PRIu32
           "; for models %zu SRAM, %zu PSRAM; free besides %zu, PSRAM %zu, largest block %zu bytes\n",
           view->session_bytes, fw_memory_for_models(), fw_memory_psram_for_models(), fw_memory_free_internal(),
           fw_memory_free_psram(), fw_memory_largest());
    fw_models_look_away();
    fw_tasks_print();
    printf("speed    prompt %.1f, answer %.1f tokens/s (last answer)\n", (double)record.prompt_tok_per_s,
           (double)record.tok_per_s);
    if (wifi.mode)
        printf("wifi     %s %s, %s\n", wifi.mode, wifi.ssid, wifi.address);
    view = fw_models_look();
    if (view->model)
        print_times(&view->spent);
    fw_models_look_away();
}
