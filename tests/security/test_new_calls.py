"""A container makes no system call that the table of reviewed calls does not know.

The kernel of next year has calls that nobody has thought about here: they do not exist inside, in the words
that programs understand. The calls of other modes of the processor have other numbers and end the program.
Held by: the system call filter, which allows what is in its table and nothing else.
"""

from __future__ import annotations

import platform

#: Numbers that no kernel has given away yet, and some that newer ones have.
UNKNOWN = "result = [syscall(number) for number in (467, 470, 480, 512, 600, 1023, 100_000)]"

# getpid(2) as a 32-bit program makes it: number 20, by the interrupt.
OLD_MODE = """
    #include <stdlib.h>
    int main() {
        int told;
        __asm__ volatile ("int $0x80" : "=a" (told) : "a" (20) : "memory");
        return told > 0 ? 0 : 1;
    }
"""

RUN = """
    import subprocess
    result = subprocess.run([here + "/program"]).returncode
"""


def test_a_call_that_nobody_reviewed_is_not_there(inside) -> None:
    assert set(inside(UNKNOWN)) == {"ENOSYS"}


def test_a_call_that_the_kernel_knows_but_the_table_does_not_is_not_there(inside, outside) -> None:
    # kexec and the like are refused by name; this one, for files by handle in a list of mounts, is new (6.8).
    code = """
        import ctypes, struct
        request = ctypes.create_string_buffer(struct.pack("IIQQ", 24, 0, 0xFFFFFFFFFFFFFFFF, 0))
        told = syscall(458, request, (ctypes.c_uint64 * 8)(), 8, 0)
        result = told if isinstance(told, str) else "listed"
    """
    assert outside(code) in ("listed", "ENOSYS")
    assert inside(code) == "ENOSYS"


def test_the_calls_of_another_mode_end_the_program(inside, outside, compiled) -> None:
    if platform.machine() != "x86_64":
        return
    program = compiled(OLD_MODE)
    # A kernel without IA32 emulation ends it too, by another signal.
    assert outside(RUN, program=program) in (0, -11)
    assert inside(RUN, program=program) == -31


def test_the_numbers_of_the_third_mode_are_not_there(inside) -> None:
    # x32: the number of getpid(2) with its bit.
    assert inside("result = syscall(0x40000000 + 39)") == "ENOSYS"
