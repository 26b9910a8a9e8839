/* Where things lie in an image: tensors in their section, sections in the file. */
#ifndef SHREW_WRITE_LAYOUT_H
#define SHREW_WRITE_LAYOUT_H

#include "format.h"
#include "shape.h"
#include "shrew_write.h"

/* A tensor in the section of weights. */
typedef struct shrew_placed_tensor {
    uint32_t stride;      /* bytes of a line */
    uint32_t lines;
    uint32_t groups;      /* of a row; 0: no multipliers */
    uint64_t data, scales; /* offsets; scales is 0 for f32 */
    uint64_t end;
} shrew_placed_tensor;

/* A section of the file. bytes is 0 for one that is absent. */
typedef struct shrew_placed_section {
    shrew_section kind;
    uint64_t offset, bytes;
} shrew_placed_section;

enum { SHREW_WRITTEN_SECTIONS = 10 };

/* A tensor whose predecessor ends at end. */
shrew_placed_tensor shrew_place_tensor(const shrew_shape *shape, const shrew_storage *storage, uint64_t end);

/* All sections in the order of the file, and how many are present. Checks what shrew_write_bytes promises. */
int shrew_place_sections(const shrew_parts *parts, shrew_placed_section sections[SHREW_WRITTEN_SECTIONS],
                         uint32_t *present, uint32_t *bytes);

#endif
