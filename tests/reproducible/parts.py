#!/usr/bin/python3
"""parts.py PROGRAM NAME...: the list that cargo-auditable has embedded in a program, section .dep-v0, has these packages."""
import json
import struct
import sys
import zlib


def section(elf, name):
    """The contents of a section, of a program for any machine."""
    order = "<" if elf[5] == 1 else ">"
    wide = elf[4] == 2
    (start,) = struct.unpack_from(order + ("Q" if wide else "I"), elf, 40 if wide else 32)
    size, count, names = struct.unpack_from(order + "HHH", elf, 58 if wide else 46)
    # What a header has of a section: the place of its name, offset and length.
    fields = order + ("I20xQQ" if wide else "I12xII")
    headers = [struct.unpack_from(fields, elf, start + i * size) for i in range(count)]
    texts = elf[headers[names][1]:]
    for text, offset, length in headers:
        if texts[text:].split(b"\0", 1)[0] == name:
            return elf[offset:offset + length]
    sys.exit(f"{sys.argv[1]}: no section {name.decode()}")


with open(sys.argv[1], "rb") as file:
    packages = json.loads(zlib.decompress(section(file.read(), b".dep-v0")))["packages"]
names = {package["name"] for package in packages}
missing = sorted(set(sys.argv[2:]) - names)
if missing:
    sys.exit(f"{sys.argv[1]}: its list of {len(names)} packages lacks {' '.join(missing)}")
print(f"{sys.argv[1].rsplit('/', 1)[1]}: names {len(names)} packages that it is made of")
