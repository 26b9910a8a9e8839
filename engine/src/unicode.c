#include "unicode.h"

#include "bytes.h"
#include "shrew.h"
#include "utf8.h"

#ifdef SHREW_NO_UNICODE

int shrew_unicode_check(const uint8_t *table, size_t bytes) {
    (void)table, (void)bytes;
    return SHREW_E_UNICODE;
}

#else

/* The table: u16 Unicode version, u16 number of runs; an index entry for every 32nd run; the runs. */
enum { UNICODE_HEADER_BYTES = 4, INDEX_BYTES = 6, RUNS_PER_ENTRY = 32, MAX_RUN_BYTES = 4 };

static uint32_t index_entries(const uint8_t *table) {
    return (read_u16(table + 2) + RUNS_PER_ENTRY - 1) / RUNS_PER_ENTRY;
}

/* Reads class and count of a run from bytes[0 .. limit). Returns the bytes of the run, or 0 if it is malformed. */
static size_t read_run(const uint8_t *bytes, size_t limit, shrew_class_run *run) {
    uint32_t length = 0;
    for (size_t i = 0, shift = 0; i < limit && i < MAX_RUN_BYTES; i++) {
        length |= (i ? bytes[i] & 0x7Fu : bytes[i] >> 2 & 0x1Fu) << shift;
        shift += i ? 7 : 5;
        if (!(bytes[i] & 0x80)) {
            run->class_ = bytes[0] & 3u;
            run->count = length + 1;
            return i + 1;
        }
    }
    return 0;
}

int shrew_unicode_check(const uint8_t *table, size_t bytes) {
    if (!table || bytes < UNICODE_HEADER_BYTES)
        return SHREW_E_UNICODE;
    const uint32_t runs = read_u16(table + 2);
    const size_t start = UNICODE_HEADER_BYTES + (size_t)INDEX_BYTES * index_entries(table);
    if (bytes < start)
        return SHREW_E_UNICODE;
    size_t at = start;
    shrew_class_run run = {0, 0, CLASS_OTHER};
    for (uint32_t i = 0; i < runs; i++) {
        run.first += run.count;
        if (i % RUNS_PER_ENTRY == 0) {
            const uint8_t *entry = table + UNICODE_HEADER_BYTES + INDEX_BYTES * (i / RUNS_PER_ENTRY);
            if (read_u32(entry) != run.first || read_u16(entry + 4) != at - start)
                return SHREW_E_UNICODE;
        }
        const size_t used = read_run(table + at, bytes - at, &run);
        if (used == 0 || run.count > CODE_POINTS - run.first)
            return SHREW_E_UNICODE;
        at += used;
    }
    return run.first + run.count == CODE_POINTS && at == bytes ? SHREW_OK : SHREW_E_UNICODE;
}

shrew_class_run shrew_unicode_find(const uint8_t *table, uint32_t code_point) {
    const uint8_t *index = table + UNICODE_HEADER_BYTES;
    uint32_t low = 0, high = index_entries(table);
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (read_u32(index + INDEX_BYTES * middle) <= code_point)
            low = middle;
        else
            high = middle;
    }
    const uint8_t *at = index + INDEX_BYTES * index_entries(table) + read_u16(index + INDEX_BYTES * low + 4);
    shrew_class_run run = {read_u32(index + INDEX_BYTES * low), 0, CLASS_OTHER};
    do {
        run.first += run.count;
        at += read_run(at, MAX_RUN_BYTES, &run);
    } while (code_point - run.first >= run.count);
    return run;
}

#endif
