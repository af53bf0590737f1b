//! No cgroups: what an ordinary user has on most machines. Limits of processes stand in, where there are such.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::{Backend, Entry};
use crate::Limits;

/// Nothing is made and nothing is limited.
#[derive(Debug)]
pub(super) struct Off;

impl Backend for Off {
    fn roots(&self) -> Vec<&Path> {
        Vec::new()
    }

    fn prepare(&self, _server: &str) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, _group: &str, _limits: &Limits) -> io::Result<()> {
        Ok(())
    }

    fn entry(&self, _group: &str) -> io::Result<Entry> {
        Ok(Entry::Tasks(Vec::new()))
    }

    fn doors(&self, _group: &str) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }

    fn controllers(&self) -> Vec<String> {
        Vec::new()
    }

    fn memory_kib(&self, _group: &str) -> Option<u64> {
        None
    }

    fn is_off(&self) -> bool {
        true
    }

    fn oom_killed(&self, _group: &str) -> bool {
        false
    }
}
