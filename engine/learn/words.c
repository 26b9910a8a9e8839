/* Counting the distinct pre-tokens of a corpus. */
#include <string.h>

#include "bytes.h"
#include "hash.h"
#include "pretokenize.h"
#include "shrew_learn.h"

enum { FIRST_SLOTS = 1 << 16 };

/* At most 256 words have one byte and 65,536 have two. Every other word takes at least three bytes of text. */
static uint64_t most_words(uint64_t text_bytes) {
    const uint64_t bound = text_bytes / 3 + 256 + 65536;
    return text_bytes < bound ? text_bytes : bound;
}

static uint64_t most_slots(uint64_t text_bytes) {
    const uint64_t slots = table_slots(most_words(text_bytes) + 1);
    return slots > FIRST_SLOTS ? slots : FIRST_SLOTS;
}

size_t shrew_count_words_bytes(size_t text_bytes) {
    if (text_bytes > UINT32_MAX)
        return SIZE_MAX;
    const uint64_t bytes = most_words(text_bytes) * sizeof(shrew_word) + most_slots(text_bytes) * sizeof(uint32_t);
    return bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

typedef struct counter {
    const uint8_t *text;
    shrew_word *words;
    uint32_t *table; /* indices of words; grows as they do */
    size_t slots, count;
} counter;

static uint32_t *find_slot(const counter *words, const uint8_t *bytes, size_t count) {
    size_t slot = hash_bytes(bytes, count) & (words->slots - 1);
    for (;;) {
        uint32_t *entry = words->table + slot;
        if (*entry == EMPTY_SLOT)
            return entry;
        const shrew_word *word = words->words + *entry;
        if (word->bytes == count && bytes_equal(words->text + word->start, bytes, count))
            return entry;
        slot = (slot + 1) & (words->slots - 1);
    }
}

static void set_slots(counter *words, size_t slots) {
    words->slots = slots;
    memset(words->table, 0xFF, slots * sizeof *words->table);
    for (size_t i = 0; i < words->count; i++) {
        const shrew_word *word = words->words + i;
        *find_slot(words, words->text + word->start, word->bytes) = (uint32_t)i;
    }
}

static void count_word(counter *words, uint32_t start, uint32_t bytes) {
    uint32_t *entry = find_slot(words, words->text + start, bytes);
    if (*entry != EMPTY_SLOT) {
        words->words[*entry].count++;
        return;
    }
    *entry = (uint32_t)words->count;
    words->words[words->count++] = (shrew_word){start, bytes, 1};
    if (2 * words->count > words->slots)
        set_slots(words, 2 * words->slots);
}

int shrew_count_words(const void *text, const uint32_t *ends, size_t texts, const void *unicode, size_t unicode_bytes,
                      void *memory, size_t memory_bytes, const shrew_word **words, size_t *count) {
    const uint32_t total = ends && texts ? ends[texts - 1] : 0;
    if ((!text && total) || (!ends && texts) || !memory || !words || !count)
        return SHREW_E_ARGUMENT;
    for (size_t i = 1; i < texts; i++)
        if (ends[i] < ends[i - 1])
            return SHREW_E_ARGUMENT;
    if ((uintptr_t)memory % sizeof(uint32_t))
        return SHREW_E_ALIGNMENT;
    if (memory_bytes < shrew_count_words_bytes(total))
        return SHREW_E_MEMORY;
    if (unicode && shrew_unicode_check(unicode, unicode_bytes))
        return SHREW_E_UNICODE;

    counter counting = {text, memory, NULL, 0, 0};
    counting.table = (uint32_t *)(void *)(counting.words + most_words(total));
    set_slots(&counting, FIRST_SLOTS);
    shrew_pretokenizer cut = {unicode, {0, 0, CLASS_OTHER}};
    uint32_t at = 0;
    for (size_t i = 0; i < texts; i++)
        while (at < ends[i]) {
            const uint32_t length = (uint32_t)shrew_pretoken(&cut, counting.text + at, ends[i] - at);
            count_word(&counting, at, length);
            at += length;
        }
    *words = counting.words;
    *count = counting.count;
    return SHREW_OK;
}
