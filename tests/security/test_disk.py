"""A container that fills its disk, or makes files without end, hurts nobody but itself.

Held by: `ephemeral_disk=`, a file system of its own of that size (`crates/sandbox/src/disk.rs`).
"""

from __future__ import annotations

from conftest import ROOT_ONLY

FILL = """
    import errno
    written, refused = 0, None
    with open("/tmp/filling", "wb", 0) as file:
        try:
            while written < 256:
                written += file.write(bytes(1048576)) // 1048576
        except OSError as error:
            refused = errno.errorcode[error.errno]
    result = [written, refused]
"""

CLEAN = """
    import glob
    for path in ("/tmp/filling", *glob.glob("/tmp/many-*")):
        if os.path.exists(path):
            os.unlink(path)
    result = True
"""

MAKE = """
    import errno
    made, refused = 0, None
    try:
        while made < 20000:
            open(f"/tmp/many-{made}", "w").close()
            made += 1
    except OSError as error:
        refused = errno.errorcode[error.errno]
    result = [made, refused]
"""

SIBLING = """
    with open(here + "/file", "wb", 0) as file:
        result = sum(file.write(bytes(1048576)) for _ in range(256))
"""


@ROOT_ONLY
def test_a_full_disk_is_its_owners_alone(bounded, outside) -> None:
    assert outside(FILL) == [256, None] and outside(CLEAN)
    sibling = bounded.unharmed()
    with bounded.owner.held(FILL, own=True) as (written, refused):
        assert refused == "ENOSPC" and 32 <= written <= 64
        # Others still write what the owner could not.
        assert bounded.sibling(SIBLING) == 256 * 1048576
        assert bounded.unharmed() == sibling
    assert bounded.owner(CLEAN, own=True)


@ROOT_ONLY
def test_files_without_end_are_their_owners_alone(bounded, outside) -> None:
    assert outside(MAKE) == [20000, None] and outside(CLEAN)
    with bounded.owner.held(MAKE, own=True) as (made, refused):
        assert refused == "ENOSPC" and 1000 < made < 20000
        assert bounded.sibling(MAKE) == [20000, None] and bounded.sibling(CLEAN)
    assert bounded.owner(CLEAN, own=True)
