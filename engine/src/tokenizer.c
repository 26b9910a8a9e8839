/* Opening a tokenizer section: every check in docs/FORMAT.md. No byte is trusted before it is checked. The encoder
 * relies on these checks. */
#include "tokenizer.h"

#include <string.h>

#include "bytes.h"
#include "unicode.h"
#include "utf8.h"

enum { RESERVED_OFFSET = 32 };

shrew_byte_span shrew_piece(const shrew_tokenizer *tokenizer, uint32_t id) {
    uint32_t start = aligned_u32(tokenizer->starts + id / PIECES_PER_START * 4);
    for (uint32_t i = id - id % PIECES_PER_START; i < id; i++)
        start += tokenizer->lengths[i];
    return (shrew_byte_span){tokenizer->pieces + start, tokenizer->lengths[id]};
}

shrew_byte_span shrew_spoken_bytes(const shrew_tokenizer *tokenizer, uint32_t previous, uint32_t id) {
    shrew_byte_span piece = shrew_piece(tokenizer, id);
    if (tokenizer->kind == SHREW_TOKENIZER_SENTENCEPIECE && tokenizer->flags & TOKENIZER_SPACE_PREFIX &&
        previous == tokenizer->bos && piece.count && piece.bytes[0] == ' ') {
        piece.bytes++;
        piece.count--;
    }
    return piece;
}

int shrew_compare_spans(shrew_byte_span a, shrew_byte_span b) {
    for (size_t i = 0; i < a.count && i < b.count; i++)
        if (a.bytes[i] != b.bytes[i])
            return a.bytes[i] < b.bytes[i] ? -1 : 1;
    return (a.count > b.count) - (a.count < b.count);
}

/* ---- Layout --------------------------------------------------------------------------------------------------- */

typedef struct reader {
    const uint8_t *at;
    size_t left;
    int status;
} reader;

/* Takes the next array and skips its zero padding. After an error, further calls do not advance. */
static const uint8_t *take_array(reader *section, size_t bytes) {
    const uint8_t *array = section->at;
    const size_t padding = (0u - bytes) % TOKENIZER_ARRAY_ALIGNMENT;
    if (section->status)
        return array;
    if (bytes > section->left || padding > section->left - bytes)
        section->status = SHREW_E_TOKENIZER;
    else if (!all_zero(array + bytes, padding))
        section->status = SHREW_E_RESERVED;
    else {
        section->at += bytes + padding;
        section->left -= bytes + padding;
    }
    return array;
}

static int read_header(shrew_tokenizer *tokenizer, const uint8_t *header) {
    tokenizer->kind = (uint16_t)aligned_u16(header);
    tokenizer->flags = (uint16_t)aligned_u16(header + 2);
    tokenizer->vocab = aligned_u32(header + 4);
    tokenizer->pieces_bytes = aligned_u32(header + 8);
    tokenizer->merge_count = aligned_u32(header + 12);
    tokenizer->sorted_count = aligned_u32(header + 16);
    tokenizer->bos = (uint16_t)aligned_u16(header + 20);
    tokenizer->eos = (uint16_t)aligned_u16(header + 22);
    tokenizer->pad = (uint16_t)aligned_u16(header + 24);
    tokenizer->unk = (uint16_t)aligned_u16(header + 26);
    tokenizer->prefix_count = (uint16_t)aligned_u16(header + 28);
    tokenizer->suffix_count = (uint16_t)aligned_u16(header + 30);
    if (!all_zero(header + RESERVED_OFFSET,
                  TOKENIZER_HEADER_BYTES - RESERVED_OFFSET) || tokenizer->flags & ~TOKENIZER_FLAGS)
        return SHREW_E_RESERVED;
    if (tokenizer->vocab < 1 || tokenizer->vocab > SHREW_MAX_VOCAB || tokenizer->merge_count > TOKENIZER_MOST_MERGES ||
        tokenizer->sorted_count > tokenizer->vocab)
        return SHREW_E_TOKENIZER;
    return SHREW_OK;
}

/* Checks that flags and arrays suit the kind. */
static int check_kind(const shrew_tokenizer *tokenizer) {
    const uint32_t flags = tokenizer->flags;
    switch (tokenizer->kind) {
    case SHREW_TOKENIZER_BPE:
        return flags & TOKENIZER_BYTE_IDS && !(flags & TOKENIZER_SPACE_PREFIX) && tokenizer->sorted_count == 0;
    case SHREW_TOKENIZER_SENTENCEPIECE:
        return !(flags & TOKENIZER_UNICODE);
    case SHREW_TOKENIZER_CHARACTER:
        return flags == 0 && tokenizer->merge_count == 0;
    default:
        return 0;
    }
}

static int read_arrays(shrew_tokenizer *tokenizer, reader *section) {
    const size_t vocab = tokenizer->vocab, merges = tokenizer->merge_count;
    tokenizer->lengths = take_array(section, vocab);
    tokenizer->starts = take_array(section, (vocab + PIECES_PER_START - 1) / PIECES_PER_START * 4);
    tokenizer->pieces = take_array(section, tokenizer->pieces_bytes);
    tokenizer->merges = take_array(section, merges * MERGE_BYTES);
    tokenizer->ranks = tokenizer->flags & TOKENIZER_RANKS ? take_array(section, merges * 2) : NULL;
    tokenizer->byte_ids = tokenizer->flags & TOKENIZER_BYTE_IDS ? take_array(section, 256 * 2) : NULL;
    tokenizer->sorted = take_array(section, (size_t)tokenizer->sorted_count * 2);
    tokenizer->prefix = take_array(section, (size_t)tokenizer->prefix_count * 2);
    tokenizer->suffix = take_array(section, (size_t)tokenizer->suffix_count * 2);
    if (section->status == SHREW_OK && section->left > 0)
        return SHREW_E_TOKENIZER;
    return section->status;
}

/* ---- Contents ------------------------------------------------------------------------------------------------- */

static int check_pieces(const shrew_tokenizer *tokenizer) {
    uint32_t start = 0;
    for (uint32_t id = 0; id < tokenizer->vocab; id++) {
        if (id % PIECES_PER_START == 0 && aligned_u32(tokenizer->starts + id / PIECES_PER_START * 4) != start)
            return 0;
        start += tokenizer->lengths[id];
    }
    return start == tokenizer->pieces_bytes;
}

static int check_ids(const shrew_tokenizer *tokenizer, const uint8_t *ids, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (aligned_u16(ids + 2 * i) >= tokenizer->vocab)
            return 0;
    return 1;
}

static int check_specials(const shrew_tokenizer *tokenizer) {
    const uint16_t ids[4] = {tokenizer->pad, tokenizer->bos, tokenizer->eos, tokenizer->unk};
    for (int i = 0; i < 4; i++)
        if (ids[i] != SHREW_NO_TOKEN && (ids[i] >= tokenizer->vocab || (i > 0 && ids[i] == tokenizer->pad)))
            return 0;
    /* No text may become bos, eos or pad: they stand for no bytes, and none is the unknown token. */
    for (int i = 0; i < 3; i++)
        if (ids[i] != SHREW_NO_TOKEN && (tokenizer->lengths[ids[i]] || ids[i] == tokenizer->unk))
            return 0;
    return check_ids(tokenizer, tokenizer->prefix, tokenizer->prefix_count) &&
           check_ids(tokenizer, tokenizer->suffix, tokenizer->suffix_count);
}

static int is_concatenation(shrew_byte_span whole, shrew_byte_span left, shrew_byte_span right) {
    return left.count > 0 && right.count > 0 && whole.count == left.count + right.count &&
           bytes_equal(whole.bytes, left.bytes, left.count) &&
           bytes_equal(whole.bytes + left.count, right.bytes, right.count);
}

static int check_merges(const shrew_tokenizer *tokenizer) {
    for (uint32_t i = 0; i < tokenizer->merge_count; i++) {
        const uint8_t *merge = tokenizer->merges + MERGE_BYTES * i;
        const uint32_t left = aligned_u16(merge), right = aligned_u16(merge + 2), result = aligned_u16(merge + 4);
        if (!check_ids(tokenizer, merge, 3))
            return 0;
        if (i > 0) {
            const uint8_t *before = merge - MERGE_BYTES;
            const uint32_t left_before = aligned_u16(before), right_before = aligned_u16(before + 2);
            if (left_before > left || (left_before == left && right_before >= right))
                return 0;
        }
        if (!is_concatenation(shrew_piece(tokenizer, result), shrew_piece(tokenizer, left),
                              shrew_piece(tokenizer, right)))
            return 0;
        if (tokenizer->ranks && aligned_u16(tokenizer->ranks + 2 * i) >= tokenizer->merge_count)
            return 0;
    }
    return 1;
}

static int check_byte_ids(const shrew_tokenizer *tokenizer) {
    if (!tokenizer->byte_ids)
        return 1;
    if (!check_ids(tokenizer, tokenizer->byte_ids, 256))
        return 0;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const shrew_byte_span piece = shrew_piece(tokenizer, aligned_u16(tokenizer->byte_ids + 2 * byte));
        if (piece.count != 1 || piece.bytes[0] != byte)
            return 0;
    }
    return 1;
}

static int check_sorted(const shrew_tokenizer *tokenizer) {
    if (!check_ids(tokenizer, tokenizer->sorted, tokenizer->sorted_count))
        return 0;
    shrew_byte_span before = {tokenizer->pieces, 0};
    for (uint32_t i = 0; i < tokenizer->sorted_count; i++) {
        const shrew_byte_span piece = shrew_piece(tokenizer, aligned_u16(tokenizer->sorted + 2 * i));
        uint32_t code_point;
        if (shrew_compare_spans(before, piece) >= 0 ||
            shrew_read_character(piece.bytes, piece.count, &code_point) != piece.count)
            return 0;
        before = piece;
    }
    return 1;
}

int shrew_tokenizer_open(shrew_tokenizer *tokenizer, const void *section, size_t section_bytes, const void *unicode,
                         size_t unicode_bytes) {
    if (!tokenizer || !section || (!unicode && unicode_bytes))
        return SHREW_E_ARGUMENT;
    if ((uintptr_t)section % TOKENIZER_ARRAY_ALIGNMENT)
        return SHREW_E_ALIGNMENT;
    if (section_bytes < TOKENIZER_HEADER_BYTES)
        return SHREW_E_TOKENIZER;
    shrew_tokenizer view;
    memset(&view, 0, sizeof view);
    int status = read_header(&view, section);
    if (status)
        return status;
    if (!check_kind(&view))
        return SHREW_E_TOKENIZER;
    reader arrays = {(const uint8_t *)section + TOKENIZER_HEADER_BYTES, section_bytes - TOKENIZER_HEADER_BYTES,
                     SHREW_OK};
    if ((status = read_arrays(&view, &arrays)))
        return status;
    if (!check_pieces(&view) || !check_specials(&view) || !check_merges(&view) || !check_byte_ids(&view) ||
        !check_sorted(&view))
        return SHREW_E_TOKENIZER;
    if (view.flags & TOKENIZER_UNICODE) {
        if ((status = shrew_unicode_check(unicode, unicode_bytes)))
            return status;
        view.unicode = unicode;
        view.unicode_bytes = (uint32_t)unicode_bytes;
    } else if (unicode)
        return SHREW_E_UNICODE;
    *tokenizer = view;
    return SHREW_OK;
}

int shrew_token_bytes(const shrew_tokenizer *tokenizer, uint32_t id, const uint8_t **bytes, size_t *count) {
    if (!tokenizer || !bytes || !count || id >= tokenizer->vocab)
        return SHREW_E_ARGUMENT;
    const shrew_byte_span piece = shrew_piece(tokenizer, id);
    *bytes = piece.bytes;
    *count = piece.count;
    return SHREW_OK;
}
