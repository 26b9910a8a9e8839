#include "shrew.h"

const char *shrew_status_text(int status) {
    switch (status) {
    case SHREW_OK: return "no error";
    case SHREW_E_ARGUMENT: return "an argument is missing or out of range";
    case SHREW_E_MEMORY: return "too little memory was given";
    case SHREW_E_ALIGNMENT: return "an address is not aligned to 16 bytes, or a tokenizer section not to 4";
    case SHREW_E_CONTEXT: return "the context has no room for these tokens";
    case SHREW_E_TEXT: return "the text has a character that this tokenizer cannot encode";
    case SHREW_E_BUFFER: return "an output buffer is too small";
    case SHREW_E_NUMBER: return "the model computed NaN or infinity";
    case SHREW_E_STATE: return "the call does not fit the session's state";
    case SHREW_E_SELFTEST: return "the self-test produced other tokens than the image promises";
    case SHREW_E_TRUNCATED: return "the image is cut short";
    case SHREW_E_MAGIC: return "not a Shrew model image (it does not begin with SHRW)";
    case SHREW_E_VERSION: return "a format version that this engine does not read";
    case SHREW_E_SIZE: return "the image's size differs from the size in its header";
    case SHREW_E_CHECKSUM: return "the checksum does not match: the image is damaged";
    case SHREW_E_RESERVED: return "a reserved field or padding is not zero";
    case SHREW_E_SECTION: return "the section table is malformed";
    case SHREW_E_UNKNOWN: return "the image needs a section that this engine does not know";
    case SHREW_E_MISSING: return "a section that every image needs is missing";
    case SHREW_E_CONFIG: return "the configuration is out of range or contradicts itself";
    case SHREW_E_TOKENIZER: return "the tokenizer section is malformed";
    case SHREW_E_UNICODE: return "the Unicode section is malformed or missing";
    case SHREW_E_TENSOR: return "the tensor directory does not match the configuration";
    case SHREW_E_TYPE: return "a weight type that this engine does not know";
    case SHREW_E_METADATA: return "the metadata section is malformed";
    case SHREW_E_SELFTEST_SECTION: return "the self-test section is malformed";
    case SHREW_E_COMMANDS: return "the commands section is malformed";
    case SHREW_E_PROMPTS: return "the prompts section is malformed";
    case SHREW_E_MEMORY_SECTION: return "the memory section is malformed";
    default: return "unknown status";
    }
}
