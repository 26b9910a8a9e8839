"""Writes the files of a folder, compressed, as C for page.h: ``python pack_page.py WEB page_files.c``."""

import gzip
import sys
import zlib
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PLACEHOLDER = b"<!doctype html><title>Shrew</title><p>This firmware was built without its page (web/)."


def main(folder: Path, output: Path) -> None:
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.suffix in TYPES}
    files.setdefault("index.html", PLACEHOLDER)
    arrays, rows = [], []
    for i, (name, content) in enumerate(files.items()):
        packed = gzip.compress(content, 9, mtime=0)
        path = "/" if name == "index.html" else f"/{name}"
        arrays.append(f"static const uint8_t file_{i}[] = {{{','.join(map(str, packed))}}};\n")
        etag = f'\\"{zlib.crc32(content):08x}\\"'
        rows.append(f'    {{"{path}", "{TYPES[Path(name).suffix]}", "{etag}", file_{i}, sizeof file_{i}}},\n')
    table = (
        f"const page_file fw_page_files[] = {{\n{''.join(rows)}}};\nconst size_t fw_page_file_count = {len(rows)};\n"
    )
    output.write_text(f'#include "page.h"\n\n{"".join(arrays)}\n{table}')


main(Path(sys.argv[1]), Path(sys.argv[2]))
