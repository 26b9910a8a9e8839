/* The firmware's start: settings, models, the task that answers, and the ways to it. */
#include <stdio.h>
#include <stdlib.h>

#include "esp_log.h"

#include "actions.h"
#include "api.h"
#include "cores.h"
#include "generate.h"
#include "models.h"
#include "nvs_settings.h"
#include "server.h"
#include "status.h"
#include "terminal.h"
#include "wifi.h"
#if CONFIG_IDF_TARGET_LINUX
#include "esp_private/partition_linux.h"
#endif

/* On Linux flash is a file, SHREW_FLASH, else a new one in /tmp. */
static void find_flash(void) {
#if CONFIG_IDF_TARGET_LINUX
    esp_partition_file_mmap_ctrl_t *flash = esp_partition_get_file_mmap_ctrl_input();
    const char *path = getenv("SHREW_FLASH");
    snprintf(flash->flash_file_name, sizeof flash->flash_file_name, "%s", path ? path : "");
#endif
}

void app_main(void) {
    status_start();
    find_flash();
    settings_start();
    const settings kept = settings_now();
    printf("token %s\n", kept.token);
    actions_start();
    cores_start();
    models_prepare();
    generate_start();
    wifi_start();
    api_start();
    server_start();
    models_start(kept.model); /* it takes what internal memory the others have left */
    status_print();
    terminal_start();
}
