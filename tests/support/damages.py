"""Random damage to bytes."""

import random


def mangled(data: bytes, chance: random.Random) -> bytes:
    """Return changed bytes: a bit flipped, or some overwritten, removed, inserted, appended or cut off."""
    at = chance.randrange(len(data))
    match chance.randrange(6):
        case 0:
            changed = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        case 1:
            length = chance.randint(1, 8)
            changed = data[:at] + chance.randbytes(length) + data[at + length :]
        case 2:
            changed = data[:at] + data[at + chance.randint(1, 8) :]
        case 3:
            changed = data[:at] + chance.randbytes(chance.randint(1, 8)) + data[at:]
        case 4:
            changed = data[:at]
        case _:
            changed = data + chance.randbytes(chance.randint(1, 100))
    return mangled(data, chance) if changed == data else changed
