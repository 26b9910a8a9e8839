/* Starts the firmware: settings, models, the answering task, and its interfaces. */
#include <stdio.h>
#include <stdlib.h>

#include "esp_log.h"

#include "actions.h"
#include "api.h"
#include "cores.h"
#include "generate.h"
#include "memory.h"
#include "models.h"
#include "nvs_settings.h"
#include "server.h"
#include "status.h"
#include "tasks.h"
#include "terminal.h"
#include "wifi.h"
#if CONFIG_IDF_TARGET_LINUX
#include "esp_private/partition_linux.h"
#endif

/* On Linux, flash is the file SHREW_FLASH, or a new one in /tmp. */
static void find_flash(void) {
#if CONFIG_IDF_TARGET_LINUX
    esp_partition_file_mmap_ctrl_t *flash = esp_partition_get_file_mmap_ctrl_input();
    const char *path = getenv("SHREW_FLASH");
    snprintf(flash->flash_file_name, sizeof flash->flash_file_name, "%s", path ? path : "");
#endif
}

void app_main(void) {
    fw_tasks_begin();
    fw_status_start();
    find_flash();
    fw_settings_start();
    const settings kept = fw_settings_now();
    printf("token %s\n", kept.token);
    fw_actions_start();
    fw_cores_start();
    fw_models_prepare();
    fw_generate_start();
    fw_wifi_start();
    fw_api_start();
    fw_server_start();
    fw_terminal_start();
    fw_memory_start(); /* takes what the others have left */
    fw_models_start(kept.model);
    fw_status_print();
    fw_terminal_run();
}
