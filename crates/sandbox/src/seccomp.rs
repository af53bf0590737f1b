//! The filter of system calls: made of a table of reviewed calls, which allows what is in it.
//!
//! Images run arbitrary programs, so the table has all that these need; what reaches far into the kernel and has no use
//! without capabilities is not in it, so that a bug there is out of reach too. Refusals are errors, not kills: programs
//! that probe for a feature go on without it. A call that nobody reviewed does not exist (ENOSYS), be it of next year's
//! kernel.

mod table;

use std::collections::BTreeMap;

use crate::sys::seccomp::Instruction;
use table::{ALLOWED, Case, JOINING, PARTLY, REFUSED, Test};

/// What becomes of one call.
#[derive(Clone, Copy)]
enum Verdict {
    /// The action, whatever the arguments are.
    Return(u32),
    Partly(&'static [Case]),
}

/// AUDIT_ARCH_X86_64 of `<linux/audit.h>`: the machine, 64 bit, little endian.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0x3e | 0x8000_0000 | 0x4000_0000;

/// AUDIT_ARCH_AARCH64.
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xb7 | 0x8000_0000 | 0x4000_0000;

/// Where struct seccomp_data has the call's number, the architecture and the arguments.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const IF_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

/// The filter of every container, or of a zygote.
///
/// The kernel runs it once per call number when it is installed, and lets a number that is allowed whatever its
/// arguments are pass without running it again (5.11). So its length costs ordinary calls nothing, but the start of
/// every container something: numbers are found by halves.
pub(crate) fn filter(zygote: bool) -> Vec<Instruction> {
    let mut program = vec![
        step(LOAD, 0, 0, ARCHITECTURE_AT),
        step(IF_EQUAL, 1, 0, ARCHITECTURE),
        // The 32-bit calls of this machine have other numbers: no such program runs.
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(LOAD, 0, 0, NUMBER_AT),
    ];
    program.extend(search(&ranges(&verdicts(zygote))));
    program
}

fn verdicts(zygote: bool) -> BTreeMap<u32, Verdict> {
    let joining = if zygote { Verdict::Return(ALLOW) } else { Verdict::Return(errno(JOINING.errno)) };
    let allowed = ALLOWED.iter().flat_map(|group| group.calls).map(|call| (call, Verdict::Return(ALLOW)));
    let refused = REFUSED.iter().flat_map(|refused| {
        refused.group.calls.iter().map(|call| (call, Verdict::Return(errno(refused.errno))))
    });
    let partly = PARTLY.iter().map(|partly| (&partly.call, Verdict::Partly(partly.cases)));
    let all = allowed.chain(refused).chain(partly);
    all.chain(JOINING.group.calls.iter().map(|call| (call, joining)))
        .map(|(call, verdict)| (u32::try_from(*call).expect("call numbers are small"), verdict))
        .collect()
}

/// From which number on which verdict holds. What no table has, between and behind, does not exist.
fn ranges(verdicts: &BTreeMap<u32, Verdict>) -> Vec<(u32, Verdict)> {
    let mut ranges = Vec::new();
    let mut begin = |from: u32, verdict: Verdict| match (ranges.last(), verdict) {
        (Some((_, Verdict::Return(last))), Verdict::Return(next)) if *last == next => {}
        _ => ranges.push((from, verdict)),
    };
    let mut next = 0;
    for (&number, &verdict) in verdicts {
        if number > next {
            begin(next, Verdict::Return(errno(libc::ENOSYS)));
        }
        begin(number, verdict);
        next = number + 1;
    }
    begin(next, Verdict::Return(errno(libc::ENOSYS)));
    ranges
}

/// Finds the range of the number that is loaded; every path returns.
fn search(ranges: &[(u32, Verdict)]) -> Vec<Instruction> {
    if let [(_, verdict)] = ranges {
        return match verdict {
            Verdict::Return(action) => vec![step(RETURN, 0, 0, *action)],
            Verdict::Partly(cases) => {
                cases.iter().flat_map(case).chain([step(RETURN, 0, 0, ALLOW)]).collect()
            }
        };
    }
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let (first, lower, upper) = (upper[0].0, search(lower), search(upper));
    let mut program = if let Ok(length) = u8::try_from(lower.len()) {
        vec![step(IF_AT_LEAST, length, 0, first)]
    } else {
        // Conditional jumps reach 255 steps.
        let length = u32::try_from(lower.len()).expect("filters have some hundred steps");
        vec![step(IF_AT_LEAST, 0, 1, first), step(JUMP, 0, 0, length)]
    };
    program.extend(lower);
    program.extend(upper);
    program
}

/// Returns the case's error if all of its tests hold, and goes on behind itself otherwise.
fn case(case: &Case) -> Vec<Instruction> {
    let mut program = vec![step(RETURN, 0, 0, errno(case.errno))];
    for test in case.when.iter().rev() {
        let mut tested = self::test(test, program.len());
        tested.append(&mut program);
        program = tested;
    }
    program
}

/// Goes on behind itself if the test holds, and `behind` steps further otherwise.
fn test(test: &Test, behind: usize) -> Vec<Instruction> {
    let (argument, mask, values, wanted) = match test {
        Test::Is(argument, values) => (*argument, None, *values, true),
        Test::IsNot(argument, values) => (*argument, None, *values, false),
        Test::Masked(argument, mask, values) => (*argument, Some(*mask), *values, true),
        Test::MaskedNot(argument, mask, values) => (*argument, Some(*mask), *values, false),
        Test::AnyBit(argument, bits) => {
            return vec![load(*argument), step(IF_ANY_BIT, 0, short(behind), *bits)];
        }
    };
    let mut program = vec![load(argument)];
    program.extend(mask.map(|mask| step(AND, 0, 0, mask)));
    for (place, value) in values.iter().enumerate() {
        let rest = values.len() - 1 - place;
        let (equal, other) = match (wanted, rest) {
            (true, 0) => (0, behind),
            (true, _) => (rest, 0),
            (false, _) => (rest + behind, 0),
        };
        program.push(step(IF_EQUAL, short(equal), short(other), *value));
    }
    program
}

/// Loads the low half of an argument; the machines supported are little endian.
fn load(argument: u8) -> Instruction {
    step(LOAD, 0, 0, ARGUMENTS_AT + 8 * u32::from(argument))
}

fn errno(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

fn short(steps: usize) -> u8 {
    u8::try_from(steps).expect("cases have a dozen steps")
}

fn step(code: u32, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code: u16::try_from(code).expect("operation codes have 16 bits"), jt, jf, k }
}

#[cfg(test)]
mod tests;
