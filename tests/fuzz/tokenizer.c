/* A tokenizer section, a Unicode section and a text: a tokenizer that opens must encode and decode as docs/FORMAT.md
 * says. An input is the u32 sizes of the two sections, then the sections, then the text. */
#include "bytes.h"
#include "harness.h"
#include "pretokenize.h"
#include "tokenizer.h"
#include "utf8.h"

enum { PREFIX_BYTES = 8, MAX_PART = 1 << 16 };

/* ---- Mutation ------------------------------------------------------------------------------------------------- */

/* The offset of the text; 0 if the sizes do not fit. */
static size_t split(const uint8_t *data, size_t size, size_t *section, size_t *unicode) {
    if (size < PREFIX_BYTES)
        return 0;
    *section = read_u32(data);
    *unicode = read_u32(data + 4);
    const size_t left = size - PREFIX_BYTES;
    return *section <= left && *unicode <= left - *section ? PREFIX_BYTES + *section + *unicode : 0;
}

/* Changes the text, or one of the sections in place. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size_t section, unicode;
    const size_t text = split(data, size, &section, &unicode);
    if (!text || seed % 32 == 0)
        return LLVMFuzzerMutate(data, size, most);
    if (seed % 4)
        return text + LLVMFuzzerMutate(data + text, size - text, most - text);
    if (seed / 4 % 2 && section)
        LLVMFuzzerMutate(data + PREFIX_BYTES, section, section);
    else if (unicode)
        LLVMFuzzerMutate(data + PREFIX_BYTES + section, unicode, unicode);
    return size;
}

/* ---- Encoding, the slow way ----------------------------------------------------------------------------------- */

enum { FEW = 96 };

static size_t merge_naively(const shrew_tokenizer *t, uint16_t *ids, size_t count) {
    for (;;) {
        uint32_t best = UINT32_MAX, result = 0;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++)
            for (uint32_t m = 0; m < t->merge_count; m++) {
                const uint8_t *merge = t->merges + 6 * m;
                const uint32_t rank = t->ranks ? read_u16(t->ranks + 2 * m) : read_u16(merge + 4);
                if (read_u16(merge) == ids[i] && read_u16(merge + 2) == ids[i + 1] && rank < best) {
                    best = rank;
                    result = read_u16(merge + 4);
                    at = i;
                }
            }
        if (best == UINT32_MAX)
            return count;
        ids[at] = (uint16_t)result;
        count--;
        memmove(ids + at + 1, ids + at + 2, (count - at - 1) * sizeof *ids);
    }
}

static uint32_t find_character(const shrew_tokenizer *t, const uint8_t *character, size_t length) {
    for (uint32_t i = 0; i < t->sorted_count; i++) {
        const uint32_t id = read_u16(t->sorted + 2 * i);
        const shrew_byte_span piece = shrew_piece(t, id);
        if (piece.count == length && !memcmp(piece.bytes, character, length))
            return id;
    }
    return t->unk;
}

/* Encodes a text of at most FEW bytes. Returns the number of tokens; SIZE_MAX if it cannot be encoded. */
static size_t encode_naively(const shrew_tokenizer *t, const uint8_t *text, size_t bytes, uint16_t *ids) {
    shrew_pretokenizer cut = {t->unicode, {0, 0, CLASS_OTHER}};
    size_t count = 0;
    if (t->kind == SHREW_TOKENIZER_BPE) {
        for (size_t length; bytes; text += length, bytes -= length) {
            length = shrew_pretoken(&cut, text, bytes);
            MUST(length >= 1 && length <= bytes);
            for (size_t i = 0; i < length; i++)
                ids[count + i] = (uint16_t)read_u16(t->byte_ids + 2 * text[i]);
            count += merge_naively(t, ids + count, length);
        }
        return count;
    }
    uint8_t spaced[FEW + 1] = {' '};
    if (bytes && t->flags & TOKENIZER_SPACE_PREFIX) {
        memcpy(spaced + 1, text, bytes);
        text = spaced;
        bytes++;
    }
    for (size_t length; bytes; text += length, bytes -= length) {
        uint32_t code_point;
        length = shrew_read_character(text, bytes, &code_point);
        const uint32_t id = find_character(t, text, length);
        const int by_bytes = t->byte_ids && (id == t->unk || id == SHREW_NO_TOKEN);
        if (!by_bytes && id == SHREW_NO_TOKEN)
            return SIZE_MAX;
        for (size_t i = 0; i < (by_bytes ? length : 1); i++)
            ids[count++] = by_bytes ? (uint16_t)read_u16(t->byte_ids + 2 * text[i]) : (uint16_t)id;
    }
    return merge_naively(t, ids, count);
}

/* ---- Claims --------------------------------------------------------------------------------------------------- */

typedef struct encoded {
    int status;
    uint16_t *ids;
    size_t count;
} encoded;

static encoded encode(const shrew_tokenizer *t, const uint8_t *text, size_t bytes, size_t capacity, size_t scratch) {
    uint8_t *memory = scratch ? new_block(scratch, 0xA5) : NULL;
    encoded result = {0, (uint16_t *)(void *)new_block(capacity * sizeof *result.ids, 0xA5), 0};
    result.status = shrew_encode(t, text, bytes, result.ids, capacity, &result.count, memory, scratch);
    MUST(result.status || result.count <= capacity);
    free(memory);
    return result;
}

static int same(const encoded *a, const encoded *b) {
    return a->status == b->status &&
           (a->status || (a->count == b->count && !memcmp(a->ids, b->ids, a->count * sizeof *a->ids)));
}

/* The tokens' bytes are those of the text if no character is unknown. */
static void check_decoding(const shrew_tokenizer *t, const encoded *whole, const uint8_t *text, size_t bytes) {
    const int exact = t->byte_ids || t->unk == SHREW_NO_TOKEN;
    const size_t space = bytes && t->flags & TOKENIZER_SPACE_PREFIX;
    size_t at = 0;
    for (size_t i = 0; i < whole->count; i++) {
        const uint8_t *piece;
        size_t length;
        const uint16_t id = whole->ids[i];
        MUST(!shrew_token_bytes(t, id, &piece, &length)); /* so it is below vocab */
        MUST(id != t->bos && id != t->eos && id != t->pad);
        for (size_t j = 0; exact && j < length; j++, at++)
            MUST(at < bytes + space && piece[j] == (at < space ? ' ' : text[at - space]));
    }
    MUST(!exact || at == bytes + space);
}

static void check_encoding(const shrew_tokenizer *t, const uint8_t *text, size_t bytes) {
    encoded whole = encode(t, text, bytes, bytes + 1, 0);
    encoded fast = encode(t, text, bytes, bytes + 1, shrew_encode_scratch_bytes(bytes));
    encoded halfway = encode(t, text, bytes, bytes + 1, shrew_encode_scratch_bytes(bytes / 2) - 3);
    MUST(whole.status == SHREW_OK || whole.status == SHREW_E_TEXT);
    MUST(whole.status == SHREW_OK || (!t->byte_ids && t->unk == SHREW_NO_TOKEN));
    MUST(same(&whole, &fast) && same(&whole, &halfway));
    if (!whole.status) {
        check_decoding(t, &whole, text, bytes);
        const size_t capacities[] = {whole.count, whole.count ? whole.count - 1 : 0, bytes / 2};
        for (int i = 0; i < 3; i++) {
            encoded tight = encode(t, text, bytes, capacities[i], 0);
            MUST(tight.status == SHREW_E_BUFFER || (capacities[i] >= whole.count && same(&tight, &whole)));
            free(tight.ids);
        }
    }
    if (bytes <= FEW && t->merge_count <= 512) {
        uint16_t ids[FEW + 1];
        const size_t count = encode_naively(t, text, bytes, ids);
        MUST((count == SIZE_MAX) == (whole.status == SHREW_E_TEXT));
        MUST(whole.status || (count == whole.count && !memcmp(ids, whole.ids, count * sizeof *ids)));
    }
    free(whole.ids);
    free(fast.ids);
    free(halfway.ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t section_bytes, unicode_bytes;
    const size_t text_at = split(data, size, &section_bytes, &unicode_bytes);
    if (!text_at)
        return 0;
    uint8_t *section = copy_block(data + PREFIX_BYTES, section_bytes);
    uint8_t *unicode = unicode_bytes ? copy_block(data + PREFIX_BYTES + section_bytes, unicode_bytes) : NULL;
    uint8_t *text = copy_block(data + text_at, size - text_at);
    shrew_tokenizer tokenizer;
    const int status = shrew_tokenizer_open(&tokenizer, section, section_bytes, unicode, unicode_bytes);
    MUST(status == SHREW_OK || status == SHREW_E_TOKENIZER || status == SHREW_E_UNICODE || status == SHREW_E_RESERVED);
    if (!status) {
        reached();
        check_encoding(&tokenizer, text, size - text_at);
    }
    free(section);
    free(unicode);
    free(text);
    return 0;
}
