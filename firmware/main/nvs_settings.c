#include "nvs_settings.h"

#include <string.h>

#include "esp_log.h"
#include "esp_random.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "nvs.h"
#include "nvs_flash.h"
#include "sdkconfig.h"
#if !CONFIG_IDF_TARGET_LINUX
#include "bootloader_random.h"
#endif

static const char TAG[] = "settings", NAMESPACE[] = "shrew", KEY[] = "settings";

static settings current;
static SemaphoreHandle_t lock, changing; /* take changing before lock */

/* The radio is still off, and without it the random number generator needs another entropy source. */
static void fill_random(void *bytes, size_t count) {
#if CONFIG_IDF_TARGET_LINUX
    esp_fill_random(bytes, count);
#else
    bootloader_random_enable();
    esp_fill_random(bytes, count);
    bootloader_random_disable();
#endif
}

static int read_packed(settings *found) {
    uint8_t packed[SETTINGS_PACKED_BYTES];
    size_t bytes = sizeof packed;
    nvs_handle_t store;
    if (nvs_open(NAMESPACE, NVS_READONLY, &store))
        return 0;
    const esp_err_t failed = nvs_get_blob(store, KEY, packed, &bytes);
    nvs_close(store);
    return !failed && fw_settings_unpack(found, packed, bytes);
}

static int write_packed(const settings *kept) {
    uint8_t packed[SETTINGS_PACKED_BYTES];
    fw_settings_pack(kept, packed);
    nvs_handle_t store;
    if (nvs_open(NAMESPACE, NVS_READWRITE, &store))
        return -1;
    const esp_err_t failed = nvs_set_blob(store, KEY, packed, sizeof packed) || nvs_commit(store);
    nvs_close(store);
    return failed ? -1 : 0;
}

void fw_settings_start(void) {
    lock = xSemaphoreCreateMutex();
    changing = xSemaphoreCreateMutex();
    const esp_err_t failed = nvs_flash_init();
    if (failed == ESP_ERR_NVS_NO_FREE_PAGES || failed == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        ESP_ERROR_CHECK(nvs_flash_erase());
        ESP_ERROR_CHECK(nvs_flash_init());
    } else {
        ESP_ERROR_CHECK(failed);
    }
    if (read_packed(&current))
        return;
    uint8_t random[SETTINGS_RANDOM_BYTES];
    fill_random(random, sizeof random);
    fw_settings_make(&current, random);
    if (write_packed(&current))
        ESP_LOGE(TAG, "flash failed: token and password are new at every start");
}

settings fw_settings_now(void) {
    xSemaphoreTake(lock, portMAX_DELAY);
    const settings copy = current;
    xSemaphoreGive(lock);
    return copy;
}

settings fw_settings_begin(void) {
    xSemaphoreTake(changing, portMAX_DELAY);
    return fw_settings_now();
}

void fw_settings_drop(void) {
    xSemaphoreGive(changing);
}

int fw_settings_keep(const settings *changed) {
    xSemaphoreTake(lock, portMAX_DELAY);
    current = *changed;
    xSemaphoreGive(lock);
    const int failed = write_packed(changed);
    xSemaphoreGive(changing);
    if (failed)
        ESP_LOGE(TAG, "%s", SETTINGS_NOT_KEPT);
    return failed;
}
