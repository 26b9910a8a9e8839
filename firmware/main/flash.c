#include "flash.h"

#include "esp_log.h"
#include "esp_partition.h"
#include "sdkconfig.h"
#if !CONFIG_IDF_TARGET_LINUX
#include "spi_flash_mmap.h"
#endif

enum { MODEL_SUBTYPE = 0x40, SECTOR = 4096, BLOCK = 65536 };

static const char *const labels[SLOTS] = {"model_a", "model_b"};
static const esp_partition_t *partitions[SLOTS];
static esp_partition_mmap_handle_t mappings[SLOTS];

static int erase(void *context, int slot, uint32_t offset, uint32_t bytes) {
    (void)context;
    return esp_partition_erase_range(partitions[slot], offset, bytes);
}

static int write(void *context, int slot, uint32_t offset, const void *data, uint32_t bytes) {
    (void)context;
    return esp_partition_write(partitions[slot], offset, data, bytes);
}

static int read(void *context, int slot, uint32_t offset, void *data, uint32_t bytes) {
    (void)context;
    return esp_partition_read(partitions[slot], offset, data, bytes);
}

static const void *map(void *context, int slot, uint32_t offset, uint32_t bytes) {
    (void)context;
    const void *address;
    const esp_err_t failed =
        esp_partition_mmap(partitions[slot], offset, bytes, ESP_PARTITION_MMAP_DATA, &address, &mappings[slot]);
    if (!failed)
        return address;
    ESP_LOGE("flash", "%s cannot be mapped: %s", labels[slot], esp_err_to_name(failed));
    return NULL;
}

static void unmap(void *context, int slot) {
    (void)context;
    esp_partition_munmap(mappings[slot]);
}

static uint32_t mappable(void *context) {
    (void)context;
#if CONFIG_IDF_TARGET_LINUX
    return UINT32_MAX;
#else
    return spi_flash_mmap_get_free_pages(SPI_FLASH_MMAP_DATA) * SPI_FLASH_MMU_PAGE_SIZE;
#endif
}

slots_flash fw_flash_open(void) {
    slots_flash flash = {.sector = SECTOR,
                         .block = BLOCK,
                         .erase = erase,
                         .write = write,
                         .read = read,
                         .map = map,
                         .unmap = unmap,
                         .mappable = mappable};
    for (int slot = 0; slot < SLOTS; slot++) {
        partitions[slot] =
            esp_partition_find_first(ESP_PARTITION_TYPE_DATA, (esp_partition_subtype_t)MODEL_SUBTYPE, labels[slot]);
        if (partitions[slot])
            flash.bytes[slot] = partitions[slot]->size;
        else
            ESP_LOGW("flash", "no partition %s", labels[slot]);
    }
    return flash;
}
