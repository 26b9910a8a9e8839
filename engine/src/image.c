/* Opening a model image: every check in docs/FORMAT.md, in its order. No byte is trusted before it is checked. */
#include "bytes.h"
#include "crc32.h"
#include "directory.h"
#include "format.h"
#include "grammar.h"
#include "metadata.h"
#include "options.h"
#include "prompt_form.h"
#include "recall.h"
#include "selftest_section.h"
#include "shape.h"

enum { MAGIC_BYTES = 4 };

typedef struct image_section {
    const uint8_t *bytes; /* NULL: absent */
    uint32_t size;
} image_section;

static int check_header(const uint8_t *image, size_t bytes) {
    static const uint8_t zero[4];
    if (bytes < MAGIC_BYTES)
        return SHREW_E_TRUNCATED;
    if (!bytes_equal(image, "SHRW", MAGIC_BYTES))
        return SHREW_E_MAGIC;
    if (bytes < IMAGE_HEADER_BYTES)
        return SHREW_E_TRUNCATED;
    if (aligned_u32(image + 4) != SHREW_FORMAT_VERSION)
        return SHREW_E_VERSION;
    const uint32_t total = aligned_u32(image + 8);
    if (total < IMAGE_HEADER_BYTES + SECTION_ENTRY_BYTES)
        return SHREW_E_SIZE;
    if (bytes < total)
        return SHREW_E_TRUNCATED;
    if (bytes > total)
        return SHREW_E_SIZE;
    uint32_t crc = shrew_crc32(0, image, CRC_OFFSET);
    crc = shrew_crc32(crc, zero, 4);
    crc = shrew_crc32(crc, image + CRC_OFFSET + 4, total - CRC_OFFSET - 4);
    if (crc != aligned_u32(image + CRC_OFFSET))
        return SHREW_E_CHECKSUM;
    return all_zero(image + 20, IMAGE_HEADER_BYTES - 20) ? SHREW_OK : SHREW_E_RESERVED;
}

static int knows_section(uint32_t kind) {
    return kind >= SHREW_SECTION_CONFIG && kind < SHREW_SECTIONS && (HAS_COMMANDS || kind != SHREW_SECTION_COMMANDS) &&
           (HAS_PROMPTS || kind != SHREW_SECTION_PROMPTS) && (HAS_MEMORY || kind != SHREW_SECTION_MEMORY);
}

/* Fills sections[kind] for the kinds that this engine knows. */
static int read_sections(const uint8_t *image, uint32_t total, image_section sections[SHREW_SECTIONS]) {
    const uint32_t count = aligned_u32(image + SECTION_COUNT_OFFSET);
    if (count < 1 || count > MAX_SECTIONS || count > (total - IMAGE_HEADER_BYTES) / SECTION_ENTRY_BYTES)
        return SHREW_E_SECTION;
    uint32_t end = IMAGE_HEADER_BYTES + count * SECTION_ENTRY_BYTES;
    int unknown = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = image + IMAGE_HEADER_BYTES + i * SECTION_ENTRY_BYTES;
        const uint32_t kind = aligned_u32(entry), flags = aligned_u32(entry + 4);
        const uint32_t offset = aligned_u32(entry + 8), size = aligned_u32(entry + 12);
        if (flags > 1)
            return SHREW_E_RESERVED;
        if (offset % SECTION_ALIGNMENT || offset < end || offset > total || size < 1 || size > total - offset)
            return SHREW_E_SECTION;
        for (uint32_t j = 0; j < i; j++)
            if (aligned_u32(image + IMAGE_HEADER_BYTES + j * SECTION_ENTRY_BYTES) == kind)
                return SHREW_E_SECTION;
        if (knows_section(kind)) {
            sections[kind].bytes = image + offset;
            sections[kind].size = size;
        } else if (flags & 1) {
            unknown = 1;
        }
        end = offset + size;
    }
    if (end != total)
        return SHREW_E_SECTION;
    end = IMAGE_HEADER_BYTES + count * SECTION_ENTRY_BYTES;
    for (uint32_t i = 0; i < count; i++) { /* check the padding before each section */
        const uint8_t *entry = image + IMAGE_HEADER_BYTES + i * SECTION_ENTRY_BYTES;
        if (!all_zero(image + end, aligned_u32(entry + 8) - end))
            return SHREW_E_RESERVED;
        end = aligned_u32(entry + 8) + aligned_u32(entry + 12);
    }
    if (unknown)
        return SHREW_E_UNKNOWN;
    for (uint32_t kind = SHREW_SECTION_CONFIG; kind <= SHREW_SECTION_WEIGHTS; kind++)
        if (!sections[kind].bytes)
            return SHREW_E_MISSING;
    return SHREW_OK;
}

/* The section begins with the fields of shrew_config, in their order. */
static int read_config(const image_section *section, shrew_config *config) {
    if (section->size != CONFIG_BYTES)
        return SHREW_E_CONFIG;
    memcpy(config, section->bytes, sizeof *config);
    if (!all_zero(section->bytes + sizeof *config, CONFIG_BYTES - sizeof *config))
        return SHREW_E_RESERVED;
    return shrew_shape_check(config);
}

int shrew_model_open(shrew_model *model, const void *image, size_t bytes) {
    image_section sections[SHREW_SECTIONS] = {{0}};
    if (!model || !image)
        return SHREW_E_ARGUMENT;
    if ((uintptr_t)image % SHREW_ALIGNMENT)
        return SHREW_E_ALIGNMENT;
    shrew_model view;
    memset(&view, 0, sizeof view);
    view.image = image;
    int status = check_header(image, bytes);
    if (status)
        return status;
    view.image_bytes = aligned_u32(view.image + 8);
    if ((status = read_sections(image, view.image_bytes, sections)))
        return status;
    if ((status = read_config(&sections[SHREW_SECTION_CONFIG], &view.config)))
        return status;
    const image_section *tokenizer = &sections[SHREW_SECTION_TOKENIZER], *unicode = &sections[SHREW_SECTION_UNICODE];
    if ((status = shrew_tokenizer_open(&view.tokenizer, tokenizer->bytes, tokenizer->size, unicode->bytes,
                                       unicode->size)))
        return status;
    if (view.tokenizer.vocab != view.config.vocab)
        return SHREW_E_TOKENIZER;
    const image_section *directory = &sections[SHREW_SECTION_DIRECTORY], *weights = &sections[SHREW_SECTION_WEIGHTS];
    if ((status = shrew_directory_open(&view, directory->bytes, directory->size, weights->bytes, weights->size)))
        return status;
    if (sections[SHREW_SECTION_METADATA].bytes) {
        const image_section *metadata = &sections[SHREW_SECTION_METADATA];
        if ((status = shrew_metadata_check(metadata->bytes, metadata->size)))
            return status;
        view.metadata = metadata->bytes;
        view.metadata_bytes = metadata->size;
    }
    if (sections[SHREW_SECTION_SELFTEST].bytes) {
        const image_section *selftest = &sections[SHREW_SECTION_SELFTEST];
        if ((status = shrew_selftest_check(&view.config, selftest->bytes, selftest->size)))
            return status;
        view.selftest = selftest->bytes;
    }
    if (HAS_COMMANDS && sections[SHREW_SECTION_COMMANDS].bytes) {
        const image_section *commands = &sections[SHREW_SECTION_COMMANDS];
        if ((status = shrew_grammar_check(commands->bytes, commands->size)))
            return status;
        view.commands = commands->bytes;
    }
    if (HAS_PROMPTS && sections[SHREW_SECTION_PROMPTS].bytes) {
        const image_section *prompts = &sections[SHREW_SECTION_PROMPTS];
        if ((status = shrew_prompt_form_check(prompts->bytes, prompts->size)))
            return status;
        view.prompts = prompts->bytes;
        view.prompts_bytes = prompts->size;
    }
    if (HAS_MEMORY && sections[SHREW_SECTION_MEMORY].bytes) {
        const image_section *memory = &sections[SHREW_SECTION_MEMORY];
        if ((status = shrew_recall_check(memory->bytes, memory->size, &view.tokenizer)))
            return status;
        view.memory = memory->bytes;
    }
    *model = view;
    return SHREW_OK;
}
