//! Which container is which: the machine's numbers, the ids that everybody else knows, and what is known of each.

use std::collections::HashMap;

use pilotlight_core::id::ContainerId;
use pilotlight_core::pool::ContainerNumber;
use tokio::time::Instant;

use crate::launcher::{Address, StartReceipt};
use crate::lease::Receipt;

/// The containers that are not gone yet.
#[derive(Debug, Default)]
pub(crate) struct Members {
    by_number: HashMap<ContainerNumber, Member>,
    numbers: HashMap<ContainerId, ContainerNumber>,
}

/// One container.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: ContainerId,
    pub(crate) number: ContainerNumber,
    pub(crate) launched: Instant,
    pub(crate) ready: Option<Ready>,
}

/// What is known of a container once it is ready.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) address: Address,
    pub(crate) at: Instant,
    pub(crate) receipt: StartReceipt,
}

impl Members {
    /// Enters a new container.
    pub(crate) fn add(&mut self, number: ContainerNumber, id: ContainerId, launched: Instant) {
        self.numbers.insert(id.clone(), number);
        self.by_number.insert(number, Member { id, number, launched, ready: None });
    }

    /// Forgets a container; `None` if it was gone already.
    pub(crate) fn remove(&mut self, id: &ContainerId) -> Option<Member> {
        let number = self.numbers.remove(id)?;
        self.by_number.remove(&number)
    }

    pub(crate) fn find(&mut self, id: &ContainerId) -> Option<&mut Member> {
        self.by_number.get_mut(self.numbers.get(id)?)
    }

    pub(crate) fn get(&self, number: ContainerNumber) -> Option<&Member> {
        self.by_number.get(&number)
    }
}

impl Member {
    /// Where the time went of a request that arrived at `arrived` and is given to this container at `now`.
    pub(crate) fn receipt(&self, arrived: Instant, now: Instant) -> Receipt {
        let waited = now - arrived;
        match &self.ready {
            // It waited for the start, or for the part of it that was left when it arrived.
            Some(ready) if ready.at > arrived => {
                let start = ready.at - self.launched.max(arrived);
                Receipt { queue: waited.saturating_sub(start), start: ready.receipt }
            }
            // It only waited for another request to end.
            _ => Receipt { queue: waited, ..Receipt::default() },
        }
    }
}
