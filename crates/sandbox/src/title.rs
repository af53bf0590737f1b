//! What `ps` shows for a process: its short name and, in place, the bytes of its arguments.

use std::ffi::CString;
use std::io::{Seek, SeekFrom, Write};

use fs_err as fs;

/// Where the argument bytes of this process, and of its forks, are in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    start: u64,
    length: usize,
}

impl Area {
    /// Of the calling process. `None` where `/proc` does not say.
    pub(crate) fn find() -> Option<Area> {
        Area::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// Fields 48 and 49 of proc_pid_stat(5); the second field may contain anything up to the last parenthesis.
    fn parse(stat: &str) -> Option<Area> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let address = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let (start, end) = (address(48)?, address(49)?);
        let length = usize::try_from(end.checked_sub(start)?).ok()?;
        (start > 0).then_some(Area { start, length })
    }
}

/// Names the calling process. A convenience for whoever reads `ps`: failing to is not an error.
pub(crate) fn set(area: Option<Area>, short: &str, title: &str) {
    if let Ok(short) = CString::new(short) {
        let _ = rustix::thread::set_name(&short);
    }
    if let Some(area) = area {
        let _ = overwrite(area, title);
    }
}

fn overwrite(area: Area, title: &str) -> std::io::Result<()> {
    let mut bytes = title.as_bytes().to_vec();
    bytes.truncate(area.length.saturating_sub(1));
    bytes.resize(area.length, 0);
    let mut memory = fs::OpenOptions::new().write(true).open("/proc/self/mem")?;
    memory.seek(SeekFrom::Start(area.start))?;
    memory.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_of_this_process_is_found() {
        assert!(Area::find().unwrap().length > 0);
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let numbers = (3..=52).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(Area::parse(&format!("12 (a b) c) {numbers}")), Some(Area { start: 48, length: 1 }));
    }
}
