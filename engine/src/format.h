/* Sizes in docs/FORMAT.md that the reader and the writer of images share. */
#ifndef SHREW_FORMAT_H
#define SHREW_FORMAT_H

enum {
    IMAGE_HEADER_BYTES = 64,
    CRC_OFFSET = 12, /* of the checksum in the header */
    SECTION_COUNT_OFFSET = 16,
    MAX_SECTIONS = 32,
    SECTION_ENTRY_BYTES = 16,
    SECTION_ALIGNMENT = 64,
    CONFIG_BYTES = 64,
    TENSOR_ENTRY_BYTES = 32,
    DATA_ALIGNMENT = 64,    /* of a tensor's data and of its scales */
    STRIDE_ALIGNMENT = 16,
    /* Four u32: number of prompt tokens, number of tokens to generate, digest of the generated tokens, 0. The prompt's
     * ids follow. */
    SELFTEST_HEADER_BYTES = 16,
    SELFTEST_DIGEST_OFFSET = 8,
    SELFTEST_ALIGNMENT = 4 /* of the section's size */
};

#endif
