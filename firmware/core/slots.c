/* The contents of the slots, and which one is active. */
#include "slots.h"

#include <string.h>

#include "bytes.h"
#include "slots_record.h"

static uint32_t room_of(const slots *slots, int slot) {
    return slots->flash.bytes[slot] > slots->flash.sector ? slots->flash.bytes[slot] - slots->flash.sector : 0;
}

void fw_slots_open(slots *slots, const slots_flash *flash) {
    memset(slots, 0, sizeof *slots);
    slots->flash = *flash;
    slots->active = slots->upload = SLOTS_NONE;
    for (int slot = 0; slot < SLOTS; slot++) {
        uint8_t header[SLOTS_HEADER_BYTES];
        if (room_of(slots, slot) && !flash->read(flash->context, slot, 0, header, sizeof header))
            slots->records[slot] = fw_slots_record_unpack(header, room_of(slots, slot));
    }
}

/* The largest image that fits this slot and can be mapped there to check it. */
static uint32_t upload_room(const slots *slots, int slot) {
    const uint32_t room = room_of(slots, slot), mappable = slots->flash.mappable(slots->flash.context);
    const uint32_t most = mappable > slots->flash.sector ? mappable - slots->flash.sector : 0;
    return room < most ? room : most;
}

static int is_of(const slots_record *record, const char *name) {
    return record->present && fw_text_equal(name, record->name, fw_text_length(record->name));
}

/* The newer of the matching slots, or SLOTS_NONE. */
static int newest(const slots *slots, const char *name) {
    int found = SLOTS_NONE;
    for (int slot = 0; slot < SLOTS; slot++) {
        const slots_record *record = &slots->records[slot];
        if (name ? !is_of(record, name) : !record->present)
            continue;
        if (found == SLOTS_NONE || record->sequence > slots->records[found].sequence)
            found = slot;
    }
    return found;
}

int fw_slots_find(const slots *slots, const char *name) {
    return newest(slots, name);
}

/* Maps a slot's image and validates it. Unmaps it again if it is invalid. */
static protocol_code open_image(slots *slots, int slot, const slots_record *record, shrew_model *model,
                                protocol_error *error) {
    const slots_flash *flash = &slots->flash;
    const void *image = flash->map(flash->context, slot, flash->sector, record->bytes);
    if (!image)
        return fw_protocol_fail(error, PROTOCOL_ENGINE, "the image cannot be mapped");
    const int status = shrew_model_open(model, image, record->bytes);
    if (!status)
        return PROTOCOL_OK;
    flash->unmap(flash->context, slot);
    return fw_protocol_fail(error, PROTOCOL_IMAGE, shrew_status_text(status));
}

static uint32_t checksum_of(const shrew_model *model) {
    return read_u32(model->image + 12);
}

protocol_code fw_slots_load(slots *slots, int slot, shrew_model *model, protocol_error *error) {
    slots_record *record = &slots->records[slot];
    if (slots->active != SLOTS_NONE)
        return fw_protocol_fail(error, PROTOCOL_IN_USE, "another model is loaded");
    if (!record->present)
        return fw_protocol_fail(error, PROTOCOL_NOT_FOUND, NULL);
    protocol_code code = open_image(slots, slot, record, model, error);
    if (!code && checksum_of(model) != record->crc32) {
        slots->flash.unmap(slots->flash.context, slot);
        code = fw_protocol_fail(error, PROTOCOL_IMAGE, "the slot holds another image than its header says");
    }
    if (code == PROTOCOL_IMAGE)
        record->present = 0;
    if (!code)
        slots->active = slot;
    return code;
}

void fw_slots_unload(slots *slots) {
    if (slots->active != SLOTS_NONE)
        slots->flash.unmap(slots->flash.context, slots->active);
    slots->active = SLOTS_NONE;
}

void fw_slots_order(const slots *slots, const char *name, int order[SLOTS]) {
    int count = 0;
    const int wanted = *name ? newest(slots, name) : SLOTS_NONE,
              first = wanted != SLOTS_NONE ? wanted : newest(slots, NULL);
    if (first != SLOTS_NONE)
        order[count++] = first;
    for (int slot = 0; slot < SLOTS; slot++)
        if (slot != first && slots->records[slot].present)
            order[count++] = slot;
    while (count < SLOTS)
        order[count++] = SLOTS_NONE;
}

protocol_code fw_slots_remove(slots *slots, const char *name, protocol_error *error) {
    const slots_flash *flash = &slots->flash;
    const int found = fw_slots_find(slots, name), other = SLOTS - 1 - found;
    if (found == SLOTS_NONE)
        return fw_protocol_fail(error, PROTOCOL_NOT_FOUND, "no model of this name is stored");
    const int slot = found != slots->active ? found : is_of(&slots->records[other], name) ? other : SLOTS_NONE;
    if (slot == SLOTS_NONE)
        return fw_protocol_fail(error, PROTOCOL_IN_USE, "this model answers just now: load another one first");
    slots->records[slot].present = 0;
    if (flash->erase(flash->context, slot, 0, flash->sector))
        return fw_protocol_fail(error, PROTOCOL_ENGINE, "the flash could not be erased");
    return PROTOCOL_OK;
}

/* ---- Uploading --------------------------------------------------------------------------------------------------- */

enum { MAGIC = 0x57524853 }; /* "SHRW" */
static const char FLASH_FAILED[] = "the flash could not be written", NO_UPLOAD[] = "no upload is under way";

/* The slot for an image of this name: the idle one of the same name, else an empty one, else the older idle one. */
static int slot_for(const slots *slots, const char *name) {
    int chosen = SLOTS_NONE;
    uint32_t least = 0;
    for (int slot = 0; slot < SLOTS; slot++) {
        const slots_record *record = &slots->records[slot];
        if (slot == slots->active || !room_of(slots, slot))
            continue;
        const uint32_t keep = name && is_of(record, name) ? 0 : record->present ? 2 + (slot == newest(slots, NULL)) : 1;
        if (chosen == SLOTS_NONE || keep < least) {
            chosen = slot;
            least = keep;
        }
    }
    return chosen;
}

uint32_t fw_slots_upload_bytes(const slots *slots) {
    const int slot = slot_for(slots, NULL);
    return slot == SLOTS_NONE ? 0 : upload_room(slots, slot);
}

/* Ends a failed upload. */
static protocol_code give_up(slots *slots, protocol_code code, const char *line, protocol_error *error) {
    slots->upload = SLOTS_NONE;
    return fw_protocol_fail(error, code, line);
}

protocol_code fw_slots_upload_begin(slots *slots, const char *name, size_t name_bytes, uint64_t image_bytes,
                                    protocol_error *error) {
    const slots_record *active = slots->active == SLOTS_NONE ? NULL : &slots->records[slots->active];
    if (!fw_protocol_name_is_valid(name, name_bytes))
        return fw_protocol_fail(error, PROTOCOL_NAME, NULL);
    if (slots->upload != SLOTS_NONE)
        return fw_protocol_fail(error, PROTOCOL_IN_USE, "another upload is under way");
    if (active && fw_text_equal(active->name, name, name_bytes))
        return fw_protocol_fail(error, PROTOCOL_IN_USE, "this model answers just now: give the new one another name");
    slots_record *coming = &slots->coming;
    memset(coming, 0, sizeof *coming);
    memcpy(coming->name, name, name_bytes);
    coming->bytes = (uint32_t)image_bytes;
    const int slot = slot_for(slots, coming->name);
    if (slot == SLOTS_NONE || image_bytes > upload_room(slots, slot))
        return fw_protocol_fail(error, PROTOCOL_SIZE,
                                "the image is larger than the slot that is free, or than can be mapped");
    for (int i = 0; i < SLOTS; i++)
        if (slots->records[i].present && slots->records[i].sequence >= coming->sequence)
            coming->sequence = slots->records[i].sequence + 1;
    slots->received = 0;
    slots->erased = slots->flash.sector;
    slots->upload = slot;
    return PROTOCOL_OK;
}

/* Checks the first piece. If it begins like an image, erases the old header; otherwise changes nothing. */
static protocol_code start(slots *slots, const uint8_t *data, uint32_t bytes, protocol_error *error) {
    const slots_flash *flash = &slots->flash;
    if (bytes < 4 || read_u32(data) != MAGIC)
        return give_up(slots, PROTOCOL_IMAGE, shrew_status_text(SHREW_E_MAGIC), error);
    slots->records[slots->upload].present = 0;
    if (flash->erase(flash->context, slots->upload, 0, flash->sector))
        return give_up(slots, PROTOCOL_ENGINE, FLASH_FAILED, error);
    return PROTOCOL_OK;
}

/* Erases whole blocks, at least up to an offset in the slot. */
static int erase_up_to(slots *slots, uint32_t offset) {
    const slots_flash *flash = &slots->flash;
    const uint32_t bytes = flash->bytes[slots->upload];
    while (slots->erased < offset) {
        const uint32_t block_end = (slots->erased / flash->block + 1) * flash->block;
        const uint32_t end = block_end < bytes ? block_end : bytes;
        if (flash->erase(flash->context, slots->upload, slots->erased, end - slots->erased))
            return 0;
        slots->erased = end;
    }
    return 1;
}

protocol_code fw_slots_upload_write(slots *slots, const void *data, uint32_t bytes, protocol_error *error) {
    const slots_flash *flash = &slots->flash;
    const uint32_t offset = flash->sector + slots->received;
    if (slots->upload == SLOTS_NONE)
        return fw_protocol_fail(error, PROTOCOL_IN_USE, NO_UPLOAD);
    if (bytes > slots->coming.bytes - slots->received)
        return give_up(slots, PROTOCOL_SIZE, "more bytes came than were announced", error);
    if (!slots->received && start(slots, data, bytes, error))
        return error->code;
    if (!erase_up_to(slots, offset + bytes) || flash->write(flash->context, slots->upload, offset, data, bytes))
        return give_up(slots, PROTOCOL_ENGINE, FLASH_FAILED, error);
    slots->received += bytes;
    return PROTOCOL_OK;
}

protocol_code fw_slots_upload_end(slots *slots, protocol_error *error) {
    const slots_flash *flash = &slots->flash;
    const int slot = slots->upload;
    slots_record *coming = &slots->coming;
    uint8_t header[SLOTS_HEADER_BYTES];
    shrew_model model;
    if (slot == SLOTS_NONE)
        return fw_protocol_fail(error, PROTOCOL_IN_USE, NO_UPLOAD);
    slots->upload = SLOTS_NONE;
    if (!coming->bytes || slots->received < coming->bytes)
        return fw_protocol_fail(error, PROTOCOL_IMAGE, shrew_status_text(SHREW_E_TRUNCATED));
    const protocol_code code = open_image(slots, slot, coming, &model, error);
    if (code)
        return code;
    coming->crc32 = checksum_of(&model);
    flash->unmap(flash->context, slot);
    fw_slots_record_pack(coming, header);
    if (flash->write(flash->context, slot, 0, header, sizeof header))
        return fw_protocol_fail(error, PROTOCOL_ENGINE, FLASH_FAILED);
    coming->present = 1;
    slots->records[slot] = *coming;
    return PROTOCOL_OK;
}

void fw_slots_upload_abort(slots *slots) {
    slots->upload = SLOTS_NONE;
}
