#include "sd.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "esp_log.h"
#include "memory.h"
#include "sdkconfig.h"

#if CONFIG_SHREW_SD && !CONFIG_IDF_TARGET_LINUX
#include "esp_vfs_fat.h"
#include "sdmmc_cmd.h"
#include "soc/soc_caps.h"
#if CONFIG_SHREW_SD_SPI
#include "driver/sdspi_host.h"
#include "driver/spi_common.h"
#else
#include "driver/sdmmc_host.h"
#endif
#endif

enum { PATH_BYTES = 320 };

static const char SUFFIX[] = ".bin";
static const char *folder; /* NULL: no card */

#if CONFIG_IDF_TARGET_LINUX

void fw_sd_start(void) {
    folder = getenv("SHREW_SD");
}

#elif CONFIG_SHREW_SD

static esp_err_t mount(void) {
    const esp_vfs_fat_mount_config_t options = {.max_files = 2, .allocation_unit_size = 16 * 1024};
    sdmmc_card_t *card;
#if CONFIG_SHREW_SD_SPI
    sdmmc_host_t host = SDSPI_HOST_DEFAULT();
    const spi_bus_config_t bus = {.mosi_io_num = CONFIG_SHREW_SD_MOSI,
                                  .miso_io_num = CONFIG_SHREW_SD_MISO,
                                  .sclk_io_num = CONFIG_SHREW_SD_CLK,
                                  .quadwp_io_num = -1,
                                  .quadhd_io_num = -1,
                                  .max_transfer_sz = 4096};
    const esp_err_t failed = spi_bus_initialize((spi_host_device_t)host.slot, &bus, SDSPI_DEFAULT_DMA);
    if (failed)
        return failed;
    sdspi_device_config_t slot = SDSPI_DEVICE_CONFIG_DEFAULT();
    slot.gpio_cs = CONFIG_SHREW_SD_CS;
    slot.host_id = (spi_host_device_t)host.slot;
    return esp_vfs_fat_sdspi_mount("/sd", &host, &slot, &options, &card);
#else
    sdmmc_host_t host = SDMMC_HOST_DEFAULT();
    sdmmc_slot_config_t slot = SDMMC_SLOT_CONFIG_DEFAULT();
    slot.width = 1;
    slot.flags |= SDMMC_SLOT_FLAG_INTERNAL_PULLUP;
#if SOC_SDMMC_USE_GPIO_MATRIX
    slot.clk = CONFIG_SHREW_SD_CLK;
    slot.cmd = CONFIG_SHREW_SD_MOSI;
    slot.d0 = CONFIG_SHREW_SD_MISO;
#endif
    return esp_vfs_fat_sdmmc_mount("/sd", &host, &slot, &options, &card);
#endif
}

void fw_sd_start(void) {
    const esp_err_t failed = mount();
    if (failed)
        ESP_LOGW("sd", "no card: %s", esp_err_to_name(failed));
    else
        folder = "/sd";
}

#else

void fw_sd_start(void) {}

#endif

static int path_of(const char *name, char path[PATH_BYTES]) {
    const int bytes = snprintf(path, PATH_BYTES, "%s/%s%s", folder, name, SUFFIX);
    return bytes > 0 && bytes < PATH_BYTES;
}

uint32_t fw_sd_list(sd_model *list, uint32_t most) {
    DIR *open = folder ? opendir(folder) : NULL;
    if (!open)
        return 0;
    uint32_t count = 0;
    for (struct dirent *entry; count < most && (entry = readdir(open));) {
        const size_t all = strlen(entry->d_name), name = all - (sizeof SUFFIX - 1);
        if (all < sizeof SUFFIX || strcmp(entry->d_name + name, SUFFIX) ||
            !fw_protocol_name_is_valid(entry->d_name, name))
            continue;
        memcpy(list[count].name, entry->d_name, name);
        list[count].name[name] = 0;
        char path[PATH_BYTES];
        struct stat about;
        if (!path_of(list[count].name, path) || stat(path, &about))
            continue;
        list[count++].bytes = (uint32_t)about.st_size;
    }
    closedir(open);
    return count;
}

void *fw_sd_read(const char *name, uint32_t *bytes, protocol_error *error) {
    char path[PATH_BYTES];
    struct stat about;
    FILE *file = folder && path_of(name, path) && !stat(path, &about) ? fopen(path, "rb") : NULL;
    if (!file) {
        fw_protocol_fail(error, PROTOCOL_NOT_FOUND, "no stored model of that name");
        return NULL;
    }
    void *image = fw_memory_take_psram((size_t)about.st_size);
    if (!image)
        image = fw_memory_take_sram((size_t)about.st_size);
    *bytes = (uint32_t)about.st_size;
    if (!image) {
        fw_protocol_fail(error, PROTOCOL_IMAGE, "more bytes than there is memory: an image on a card is read into it");
    } else if (fread(image, 1, *bytes, file) != *bytes) {
        fw_protocol_fail(error, PROTOCOL_IMAGE, "the card cannot be read");
        image = NULL;
    }
    fclose(file);
    return image;
}
