/* All operators for one instruction set. The including file defines UNIT, its name; LANES, floats per vector; and TILES
 * if matrix products use tiles. */
#include <string.h>

#include "memory.h"
#include "operators.h"
#include "vector.h"

#define JOIN(operator, unit) operator##_##unit
#define NAME_OF(operator, unit) JOIN(operator, unit)
#define NAME(operator) NAME_OF(operator, UNIT)

#include "products.h"
#ifdef TILES
#include "tiles.h"
#else
#include "matrices.h"
#endif

#include "activation.h"
#include "attention.h"
#include "loss.h"
#include "optimizer.h"
#include "rows.h"

const shrew_operators NAME(shrew_operators) = {
    .remakes = REMAKES,
    .column_sums = NAME(column_sums),
    .embedding = NAME(embedding),
    .embedding_backward = NAME(embedding_backward),
    .rope = NAME(rope),
    .norm = NAME(norm),
    .norm_backward = NAME(norm_backward),
    .panels_floats = NAME(panels_floats),
    .pack = NAME(pack),
    .product_floats = NAME(product_floats),
    .product = NAME(product),
    .attention_floats = NAME(attention_floats),
    .attention = NAME(attention),
    .attention_backward = NAME(attention_backward),
    .activation = NAME(activation),
    .activation_backward = NAME(activation_backward),
    .cross_entropy = NAME(cross_entropy),
    .square_sum = NAME(square_sum),
    .scale = NAME(scale),
    .add = NAME(add),
    .adamw = NAME(adamw),
};
