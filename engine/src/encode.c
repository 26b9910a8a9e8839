/* Text to tokens. A stretch of text (a pre-token, or the whole text of a SentencePiece-style tokenizer) starts as one
 * token per byte or character. Then the neighbouring pair whose merge has the lowest priority number, the leftmost
 * among equals, is merged, until no pair has a merge. Three implementations give the same ids: for short stretches, for
 * long ones with scratch memory, and for long ones without. */
#include <string.h>

#include "bytes.h"
#include "compiler.h"
#include "options.h"
#include "pretokenize.h"
#include "tokenizer.h"
#include "utf8.h"

enum { SHORT_STRETCH = 48, SCRATCH_ARRAYS = 4 };

/* ---- Merging -------------------------------------------------------------------------------------------------- */

/* The merge of a pair of tokens: priority << 16 | result. NO_MERGE is greater than any merge, as priorities and ids are
 * at most 0xFFFE. */
typedef uint32_t merge;
#define NO_MERGE 0xFFFFFFFFu

static uint32_t priority(merge candidate) {
    return candidate >> 16;
}

static uint32_t merge_pair(const uint8_t *entry) { /* one load is faster on a PC, but longer code on a chip */
    const uint32_t right_left = FOR_SIZE ? aligned_u16(entry + 2) << 16 | aligned_u16(entry) : read_u32(entry);
    return right_left << 16 | right_left >> 16;
}

/* Binary search without a branch on the comparison, which would be mispredicted half the time. */
static merge find_merge(const shrew_tokenizer *tokenizer, uint32_t left, uint32_t right) {
    const uint32_t pair = left << 16 | right;
    const uint8_t *entry = tokenizer->merges;
    uint32_t count = tokenizer->merge_count;
    if (count == 0)
        return NO_MERGE;
    while (count > 1) {
        const uint32_t half = count / 2;
        entry += merge_pair(entry + half * MERGE_BYTES) <= pair ? half * MERGE_BYTES : 0;
        count -= half;
    }
    if (merge_pair(entry) != pair)
        return NO_MERGE;
    const uint32_t result = aligned_u16(entry + 4);
    const size_t index = (size_t)(entry - tokenizer->merges) / MERGE_BYTES;
    return (tokenizer->ranks ? aligned_u16(tokenizer->ranks + 2 * index) : result) << 16 | result;
}

/* Few tokens: keeps the merge of each token with its successor, and finds the best one by linear search. */
static size_t merge_short(const shrew_tokenizer *tokenizer, uint16_t *ids, size_t count) {
    merge merges[SHORT_STRETCH];
    for (size_t i = 0; i + 1 < count; i++)
        merges[i] = find_merge(tokenizer, ids[i], ids[i + 1]);
    for (;;) {
        merge best = NO_MERGE;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++)
            if (priority(merges[i]) < priority(best)) {
                best = merges[i];
                at = i;
            }
        if (best == NO_MERGE)
            return count;
        ids[at] = (uint16_t)best;
        count--;
        for (size_t i = at + 1; i < count; i++) {
            ids[i] = ids[i + 1];
            merges[i] = merges[i + 1];
        }
        if (at > 0)
            merges[at - 1] = find_merge(tokenizer, ids[at - 1], ids[at]);
        if (at + 1 < count)
            merges[at] = find_merge(tokenizer, ids[at], ids[at + 1]);
    }
}

/* Many tokens without scratch memory: each pass finds the lowest priority and merges its pairs from left to right. A
 * pass ends early if a merge creates a pair that must be merged next. */
static size_t merge_in_place(const shrew_tokenizer *tokenizer, uint16_t *ids, size_t count) {
    for (;;) {
        uint32_t lowest = priority(NO_MERGE);
        for (size_t i = 0; i + 1 < count; i++) {
            const uint32_t found = priority(find_merge(tokenizer, ids[i], ids[i + 1]));
            lowest = found < lowest ? found : lowest;
        }
        if (lowest == priority(NO_MERGE))
            return count;
        size_t kept = 0, next = 0;
        int searching = 1;
        while (next < count) {
            const merge found =
                searching && next + 1 < count ? find_merge(tokenizer, ids[next], ids[next + 1]) : NO_MERGE;
            if (priority(found) != lowest) {
                ids[kept++] = ids[next++];
                continue;
            }
            const uint16_t result = (uint16_t)found;
            next += 2;
            searching = (kept == 0 || priority(find_merge(tokenizer, ids[kept - 1], result)) > lowest) &&
                        (next == count || priority(find_merge(tokenizer, result, ids[next])) > lowest);
            ids[kept++] = result;
        }
        count = kept;
    }
}

/* Many tokens in a linked list: token i is ids[i], and merges[i] its merge with its successor. A tournament tree finds
 * the next merge: node n has the players 2n and 2n + 1, a player from count on is token (player - count), and
 * winners[1] is the best of all. */
typedef struct tournament {
    merge *merges;
    uint32_t *previous, *next, *winners;
    uint32_t count;
} tournament;

static uint32_t winner(const tournament *list, uint32_t player) {
    return player < list->count ? list->winners[player] : player - list->count;
}

static uint32_t play(const tournament *list, uint32_t node) {
    const uint32_t a = winner(list, 2 * node), b = winner(list, 2 * node + 1);
    const uint32_t first = priority(list->merges[a]), second = priority(list->merges[b]);
    return first < second || (first == second && a < b) ? a : b;
}

/* Replays the games of a token. Stops at a node that another token won before and wins again: nothing changes above. */
static void set_merge(tournament *list, uint32_t token, merge candidate) {
    list->merges[token] = candidate;
    for (uint32_t node = (list->count + token) / 2; node >= 1; node /= 2) {
        const uint32_t best = play(list, node);
        if (best == list->winners[node] && best != token)
            break;
        list->winners[node] = best;
    }
}

static size_t merge_with_scratch(const shrew_tokenizer *tokenizer, uint16_t *ids, uint32_t count, uint32_t *scratch) {
    tournament list = {scratch, scratch + count, scratch + 2 * (size_t)count, scratch + 3 * (size_t)count, count};
    for (uint32_t i = 0; i < count; i++) {
        list.previous[i] = i - 1;
        list.next[i] = i + 1;
        list.merges[i] = i + 1 < count ? find_merge(tokenizer, ids[i], ids[i + 1]) : NO_MERGE;
    }
    for (uint32_t node = count - 1; node >= 1; node--)
        list.winners[node] = play(&list, node);
    for (;;) {
        const uint32_t token = list.winners[1];
        if (list.merges[token] == NO_MERGE)
            break;
        const uint32_t absorbed = list.next[token], next = list.next[absorbed];
        ids[token] = (uint16_t)list.merges[token];
        list.next[token] = next;
        if (next < count)
            list.previous[next] = token;
        set_merge(&list, absorbed, NO_MERGE);
        set_merge(&list, token, next < count ? find_merge(tokenizer, ids[token], ids[next]) : NO_MERGE);
        if (token > 0) {
            const uint32_t previous = list.previous[token];
            set_merge(&list, previous, find_merge(tokenizer, ids[previous], ids[token]));
        }
    }
    size_t kept = 0;
    for (uint32_t i = 0; i < count; i = list.next[i])
        ids[kept++] = ids[i];
    return kept;
}

/* ---- Stretches of text ---------------------------------------------------------------------------------------- */

typedef struct encoder {
    const shrew_tokenizer *tokenizer;
    uint16_t *ids;
    size_t capacity, count; /* ids[0 .. count) are final */
    uint32_t *scratch;
    size_t scratch_tokens; /* longest stretch for which the scratch memory suffices */
} encoder;

static void use_scratch(encoder *output, void *scratch, size_t bytes) {
    const size_t skip = (0u - (uintptr_t)scratch) % sizeof(uint32_t);
    if (!scratch || bytes < skip)
        return;
    output->scratch = (uint32_t *)(void *)((uint8_t *)scratch + skip);
    output->scratch_tokens = (bytes - skip) / (SCRATCH_ARRAYS * sizeof(uint32_t));
}

/* Merges the tokens of one stretch. Returns how many are left. */
static size_t merge_stretch(const encoder *output, uint16_t *ids, size_t count) {
    if (count <= SHORT_STRETCH)
        return FOR_SIZE ? merge_in_place(output->tokenizer, ids, count) : merge_short(output->tokenizer, ids, count);
    /* The tournament has twice as many players as tokens, and counts them in 32 bits. */
    if (count <= output->scratch_tokens && count <= INT32_MAX)
        return merge_with_scratch(output->tokenizer, ids, (uint32_t)count, output->scratch);
    return merge_in_place(output->tokenizer, ids, count);
}

static int encode_pretoken(encoder *output, const uint8_t *text, size_t bytes) {
    uint16_t few[SHORT_STRETCH];
    uint16_t *ids = output->ids + output->count;
    const size_t room = output->capacity - output->count;
    uint16_t *stretch = bytes <= SHORT_STRETCH ? few : ids;
    if (stretch == ids && bytes > room)
        return SHREW_E_BUFFER;
    for (size_t i = 0; i < bytes; i++)
        stretch[i] = (uint16_t)aligned_u16(output->tokenizer->byte_ids + 2 * text[i]);
    const size_t count = merge_stretch(output, stretch, bytes);
    if (count > room)
        return SHREW_E_BUFFER;
    if (stretch == few)
        memcpy(ids, few, count * sizeof *ids);
    output->count += count;
    return SHREW_OK;
}

static int encode_bpe(encoder *output, const uint8_t *text, size_t bytes) {
    shrew_pretokenizer cut = {output->tokenizer->unicode, {0, 0, CLASS_OTHER}};
    while (bytes > 0) {
        const size_t length = shrew_pretoken(&cut, text, bytes);
        const int status = encode_pretoken(output, text, length);
        if (status)
            return status;
        text += length;
        bytes -= length;
    }
    return SHREW_OK;
}

/* ---- Characters ----------------------------------------------------------------------------------------------- */

/* The token of a character, or SHREW_NO_TOKEN. */
static uint32_t find_character(const shrew_tokenizer *tokenizer, shrew_byte_span character) {
    uint32_t low = 0, high = tokenizer->sorted_count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2, id = aligned_u16(tokenizer->sorted + 2 * middle);
        const int order = shrew_compare_spans(shrew_piece(tokenizer, id), character);
        if (order == 0)
            return id;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SHREW_NO_TOKEN;
}

static int append(encoder *output, uint32_t id) {
    if (id == SHREW_NO_TOKEN)
        return SHREW_E_TEXT;
    if (output->count == output->capacity)
        return SHREW_E_BUFFER;
    output->ids[output->count++] = (uint16_t)id;
    return SHREW_OK;
}

/* A character without a token becomes the tokens of its bytes, or the unknown token if the tokenizer has no byte
 * ids. */
static int append_character(encoder *output, shrew_byte_span character) {
    const shrew_tokenizer *tokenizer = output->tokenizer;
    const uint32_t id = find_character(tokenizer, character);
    if (id != SHREW_NO_TOKEN || !tokenizer->byte_ids)
        return append(output, id != SHREW_NO_TOKEN ? id : tokenizer->unk);
    for (size_t i = 0; i < character.count; i++) {
        const int status = append(output, aligned_u16(tokenizer->byte_ids + 2 * character.bytes[i]));
        if (status)
            return status;
    }
    return SHREW_OK;
}

static int append_characters(encoder *output, const uint8_t *text, size_t bytes) {
    while (bytes > 0) {
        uint32_t code_point;
        const size_t length = shrew_read_character(text, bytes, &code_point);
        const int status = append_character(output, (shrew_byte_span){text, length});
        if (status)
            return status;
        text += length;
        bytes -= length;
    }
    return SHREW_OK;
}

static int encode_sentencepiece(encoder *output, const uint8_t *text, size_t bytes) {
    static const uint8_t space[1] = {' '};
    int status = SHREW_OK;
    if (bytes > 0 && output->tokenizer->flags & TOKENIZER_SPACE_PREFIX)
        status = append_characters(output, space, 1);
    if (status == SHREW_OK)
        status = append_characters(output, text, bytes);
    if (status == SHREW_OK)
        output->count = merge_stretch(output, output->ids, output->count);
    return status;
}

/* ---- Calls ---------------------------------------------------------------------------------------------------- */

size_t shrew_encode_scratch_bytes(size_t text_bytes) {
    const size_t token = SCRATCH_ARRAYS * sizeof(uint32_t), alignment = sizeof(uint32_t) - 1;
    const size_t most = (SIZE_MAX - alignment) / token - 1;
    return text_bytes <= most ? (text_bytes + 1) * token + alignment : SIZE_MAX;
}

int shrew_encode(const shrew_tokenizer *tokenizer, const void *text, size_t bytes, uint16_t *ids, size_t capacity,
                 size_t *count, void *scratch, size_t scratch_bytes) {
    if (!tokenizer || (!text && bytes) || (!ids && capacity) || !count)
        return SHREW_E_ARGUMENT;
    encoder output = {tokenizer, ids, capacity, 0, NULL, 0};
    use_scratch(&output, scratch, scratch_bytes);
    int status;
    if (tokenizer->kind == SHREW_TOKENIZER_BPE)
        status = encode_bpe(&output, text, bytes);
    else if (tokenizer->kind == SHREW_TOKENIZER_SENTENCEPIECE)
        status = encode_sentencepiece(&output, text, bytes);
    else
        status = append_characters(&output, text, bytes);
    if (status == SHREW_OK)
        *count = output.count;
    return status;
}
