/* Writing an image from its first byte to its last. */
#include "bytes.h"
#include "crc32.h"
#include "grammar.h"
#include "layout.h"
#include "numbers.h"
#include "options.h"
#include "pack.h"
#include "prompt_form.h"
#include "recall.h"

#include <string.h>

static void flush(shrew_writer *writer, uint32_t filled) {
    if (writer->status)
        return;
    writer->crc = shrew_crc32(writer->crc, writer->buffer, filled);
    writer->status = writer->emit(writer->context, writer->offset - filled, writer->buffer, filled);
}

/* Room for the next bytes, at most count of them: *count says for how many. */
static uint8_t *next_room(shrew_writer *writer, size_t *count) {
    const uint32_t used = (uint32_t)(writer->offset % SHREW_WRITE_BUFFER), left = SHREW_WRITE_BUFFER - used;
    *count = *count < left ? *count : left;
    return writer->buffer + used;
}

static void count_written(shrew_writer *writer, size_t count) {
    writer->offset += count;
    if (count && writer->offset % SHREW_WRITE_BUFFER == 0)
        flush(writer, SHREW_WRITE_BUFFER);
}

static void put(shrew_writer *writer, const void *bytes, size_t count) {
    const uint8_t *from = bytes;
    while (count) {
        size_t part = count;
        uint8_t *room = next_room(writer, &part);
        memcpy(room, from, part);
        count_written(writer, part);
        from += part;
        count -= part;
    }
}

static void put_zeros_up_to(shrew_writer *writer, uint64_t offset) {
    while (writer->offset < offset) {
        size_t part = (size_t)(offset - writer->offset);
        uint8_t *room = next_room(writer, &part);
        memset(room, 0, part);
        count_written(writer, part);
    }
}

/* Numbers are little-endian like every machine that Shrew runs on. */
static void put_u32(shrew_writer *writer, uint64_t number) {
    const uint32_t value = (uint32_t)number;
    put(writer, &value, sizeof value);
}

static void put_u16(shrew_writer *writer, uint32_t number) {
    const uint16_t value = (uint16_t)number;
    put(writer, &value, sizeof value);
}

static void put_head(shrew_writer *writer, const shrew_placed_section *sections, uint32_t present, uint32_t bytes) {
    put(writer, "SHRW", 4);
    put_u32(writer, SHREW_FORMAT_VERSION);
    put_u32(writer, bytes);
    put_u32(writer, 0); /* the checksum's place */
    put_u32(writer, present);
    put_zeros_up_to(writer, IMAGE_HEADER_BYTES);
    for (uint32_t i = 0; i < SHREW_WRITTEN_SECTIONS; i++) {
        const shrew_placed_section *section = &sections[i];
        if (!section->bytes)
            continue;
        put_u32(writer, section->kind);
        put_u32(writer, section->kind != SHREW_SECTION_METADATA && section->kind != SHREW_SECTION_SELFTEST);
        put_u32(writer, section->offset);
        put_u32(writer, section->bytes);
    }
}

static void put_directory(shrew_writer *writer) {
    const shrew_storage *storage = writer->parts->storage;
    shrew_shape_walk walk = shrew_shape_begin(&writer->parts->config);
    shrew_shape shape;
    uint64_t end = 0;
    for (writer->tensors = 0; shrew_shape_next(&walk, &shape); writer->tensors++, storage++) {
        const shrew_placed_tensor placed = shrew_place_tensor(&shape, storage, end);
        put_u16(writer, shape.role);
        put_u16(writer, shape.layer);
        put_u16(writer, storage->type);
        put_u16(writer, storage->group);
        put_u32(writer, shape.rows);
        put_u32(writer, shape.cols);
        put_u32(writer, placed.stride);
        put_u32(writer, placed.data);
        put_u32(writer, placed.scales);
        put_u32(writer, 0);
        end = placed.end;
    }
}

static void put_metadata(shrew_writer *writer) {
    put_u32(writer, writer->parts->metadata_pairs);
    for (uint32_t i = 0; i < writer->parts->metadata_pairs; i++) {
        const shrew_pair *pair = &writer->parts->metadata[i];
        put_u16(writer, (uint32_t)pair->key_bytes);
        put_u16(writer, 0);
        put_u32(writer, pair->value_bytes);
        put(writer, pair->key, pair->key_bytes);
        put(writer, pair->value, pair->value_bytes);
    }
}

static void put_selftest(shrew_writer *writer) {
    const shrew_parts *parts = writer->parts;
    put_u32(writer, parts->selftest_prompt_tokens);
    put_u32(writer, parts->selftest_tokens);
    put_u32(writer, parts->selftest_digest);
    put_u32(writer, 0);
    put(writer, parts->selftest_prompt, (size_t)parts->selftest_prompt_tokens * 2);
    put_zeros_up_to(writer, shrew_aligned(writer->offset, SELFTEST_ALIGNMENT));
}

static void put_section(shrew_writer *writer, const shrew_placed_section *section) {
    const shrew_parts *parts = writer->parts;
    put_zeros_up_to(writer, section->offset);
    switch (section->kind) {
    case SHREW_SECTION_CONFIG:
        put(writer, &parts->config, sizeof parts->config); /* its fields are the section's, in their order */
        put_zeros_up_to(writer, section->offset + CONFIG_BYTES);
        break;
    case SHREW_SECTION_TOKENIZER: put(writer, parts->tokenizer, parts->tokenizer_bytes); break;
    case SHREW_SECTION_UNICODE: put(writer, parts->unicode, parts->unicode_bytes); break;
    case SHREW_SECTION_DIRECTORY: put_directory(writer); break;
    case SHREW_SECTION_METADATA: put_metadata(writer); break;
    case SHREW_SECTION_PROMPTS: put(writer, parts->prompts, parts->prompts_bytes); break;
    case SHREW_SECTION_MEMORY: put(writer, parts->memory, parts->memory_bytes); break;
    case SHREW_SECTION_COMMANDS: put(writer, parts->commands, parts->commands_bytes); break;
    case SHREW_SECTION_SELFTEST: put_selftest(writer); break;
    default: writer->weights = section->offset; /* whose tensors come one by one */
    }
}

/* The sections that come as bytes, as a reader checks them. */
static int check_sections(const shrew_parts *parts) {
    shrew_tokenizer tokenizer;
    int status = shrew_tokenizer_open(&tokenizer, parts->tokenizer, parts->tokenizer_bytes, parts->unicode,
                                            parts->unicode ? parts->unicode_bytes : 0);
    if (status)
        return status;
    if (tokenizer.vocab != parts->config.vocab)
        return SHREW_E_TOKENIZER;
    if ((!HAS_COMMANDS && parts->commands) || (!HAS_PROMPTS && parts->prompts) || (!HAS_MEMORY && parts->memory))
        return SHREW_E_UNKNOWN;
    if ((uintptr_t)parts->commands % 4 || (uintptr_t)parts->prompts % 4 || (uintptr_t)parts->memory % 4)
        return SHREW_E_ALIGNMENT;
    if (parts->commands)
        status = shrew_grammar_check(parts->commands, (uint32_t)parts->commands_bytes);
    if (!status && parts->prompts)
        status = shrew_prompt_form_check(parts->prompts, (uint32_t)parts->prompts_bytes);
    if (!status && parts->memory)
        status = shrew_recall_check(parts->memory, (uint32_t)parts->memory_bytes, &tokenizer);
    return status;
}

int shrew_write_begin(shrew_writer *writer, const shrew_parts *parts, shrew_emit emit, void *context) {
    shrew_placed_section sections[SHREW_WRITTEN_SECTIONS];
    uint32_t present, bytes;
    if (!writer || !emit)
        return SHREW_E_ARGUMENT;
    int status = shrew_place_sections(parts, sections, &present, &bytes);
    if (!status)
        status = check_sections(parts);
    memset(writer, 0, sizeof *writer);
    writer->parts = parts;
    writer->emit = emit;
    writer->context = context;
    writer->status = status;
    if (status)
        return status;
    put_head(writer, sections, present, bytes);
    for (uint32_t i = 0; i < SHREW_WRITTEN_SECTIONS; i++)
        if (sections[i].bytes)
            put_section(writer, &sections[i]);
    return writer->status;
}

static int check_values(const shrew_shape *shape, const shrew_storage *storage, const shrew_placed_tensor *placed,
                        const shrew_values *values) {
    const size_t count = (size_t)shape->rows * shape->cols;
    if (storage->type == SHREW_F32) {
        if (!values->floats)
            return SHREW_E_ARGUMENT;
        return shrew_all_finite(values->floats, (uint32_t)count) ? SHREW_OK : SHREW_E_NUMBER;
    }
    if (!values->integers || !values->row_scales || (placed->groups && !values->multipliers))
        return SHREW_E_ARGUMENT;
    const shrew_range range = shrew_range_of(storage->type);
    const int32_t limit = (int32_t)shrew_multiplier_limit(storage->type, shape->cols);
    if (!shrew_within(values->integers, count, range.low, range.high) ||
        !shrew_within(values->multipliers, (size_t)shape->rows * placed->groups, -limit, limit))
        return SHREW_E_TENSOR;
    return shrew_all_finite(values->row_scales, shape->rows) ? SHREW_OK : SHREW_E_NUMBER;
}

static void put_integers(shrew_writer *writer, const shrew_shape *shape, uint32_t type, const int8_t *integers) {
    const uint32_t per_line = shrew_rows_per_byte(type);
    for (uint32_t row = 0; row < shape->rows; row += per_line) {
        const uint32_t rows = shape->rows - row < per_line ? shape->rows - row : per_line;
        const int8_t *line = integers + (size_t)row * shape->cols;
        for (uint32_t col = 0; col < shape->cols;) {
            size_t part = shape->cols - col;
            uint8_t *room = next_room(writer, &part);
            shrew_pack(type, line + col, rows, shape->cols, (uint32_t)part, room);
            count_written(writer, part);
            col += (uint32_t)part;
        }
        put_zeros_up_to(writer, shrew_aligned(writer->offset, STRIDE_ALIGNMENT));
    }
}

static void put_floats(shrew_writer *writer, const shrew_shape *shape, const float *floats) {
    for (uint32_t row = 0; row < shape->rows; row++) {
        put(writer, floats + (size_t)row * shape->cols, (size_t)shape->cols * 4);
        put_zeros_up_to(writer, shrew_aligned(writer->offset, STRIDE_ALIGNMENT));
    }
}

int shrew_write_tensor(shrew_writer *writer, const shrew_values *values) {
    shrew_shape shape;
    if (!writer || !values)
        return SHREW_E_ARGUMENT;
    if (writer->status)
        return writer->status;
    if (writer->tensor >= writer->tensors)
        return SHREW_E_STATE;
    const shrew_storage *storage = &writer->parts->storage[writer->tensor];
    writer->status = shrew_shape_tensor(&writer->parts->config, writer->tensor, &shape);
    if (writer->status)
        return writer->status;
    const shrew_placed_tensor placed = shrew_place_tensor(&shape, storage, writer->offset - writer->weights);
    writer->status = check_values(&shape, storage, &placed, values);
    if (writer->status)
        return writer->status;
    put_zeros_up_to(writer, writer->weights + placed.data);
    if (storage->type == SHREW_F32) {
        put_floats(writer, &shape, values->floats);
    } else {
        put_integers(writer, &shape, storage->type, values->integers);
        put_zeros_up_to(writer, writer->weights + placed.scales);
        put(writer, values->row_scales, (size_t)shape.rows * 4);
        put(writer, values->multipliers, (size_t)shape.rows * placed.groups);
    }
    writer->tensor++;
    return writer->status;
}

int shrew_write_end(shrew_writer *writer) {
    if (!writer)
        return SHREW_E_ARGUMENT;
    if (writer->status)
        return writer->status;
    if (writer->tensor != writer->tensors)
        return SHREW_E_STATE;
    if (writer->offset % SHREW_WRITE_BUFFER)
        flush(writer, (uint32_t)(writer->offset % SHREW_WRITE_BUFFER));
    if (!writer->status)
        writer->status = writer->emit(writer->context, CRC_OFFSET, &writer->crc, sizeof writer->crc);
    if (writer->status)
        return writer->status;
    writer->status = SHREW_E_STATE; /* of whatever is asked of a finished image */
    return SHREW_OK;
}
