//! A slot in a container, held for the length of one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pilotlight_core::id::ContainerId;
use pilotlight_core::pool::{ContainerNumber, Event, RequestId};

use crate::desk::Desk;
use crate::launcher::{Address, StartFailure, StartReceipt, TimeLimit};

/// A slot in a container. Dropping it tells the pool that the request has ended.
#[derive(Debug)]
pub struct Lease {
    /// Where the container listens.
    pub address: Address,
    /// Which container it is.
    pub container: ContainerId,
    /// How long the request waited, if it did.
    pub waited: Option<Receipt>,
    ticket: Ticket,
}

impl Lease {
    pub(crate) fn new(
        address: Address,
        container: ContainerId,
        waited: Option<Receipt>,
        ticket: Ticket,
    ) -> Self {
        Self { address, container, waited, ticket }
    }

    /// Says that the container must not be given another request: it refuses connections or breaks the protocol. It is
    /// killed when its last request has ended.
    pub fn broken(&self) {
        if !self.ticket.broken.swap(true, Ordering::Relaxed) {
            self.ticket.desk.happen(Event::Broken(self.ticket.number));
        }
    }

    /// [`broken`](Self::broken), because the container may be stuck in this request, which went over this limit.
    pub fn overdue(&self, limit: TimeLimit) {
        if !self.ticket.broken.load(Ordering::Relaxed) {
            self.ticket.desk.overdue(self.ticket.number, limit);
        }
        self.broken();
    }
}

/// Where the time of a request that waited went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Waiting for a slot, the start of the container not counted.
    pub queue: Duration,
    /// The start it waited for, or a part of; all zero if it waited for none.
    pub start: StartReceipt,
}

/// Why a request gets no container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Nothing was free before the deadline.
    #[error("no container was free in time")]
    Deadline,
    /// Too many requests wait already. Try again in a moment.
    #[error("too many requests are waiting")]
    Full,
    /// The machine had no room for another container before the deadline.
    #[error("the machine had no room for another container in time")]
    NoRoom,
    /// The pool was replaced or removed. Look the route up again.
    #[error("this version of the function is no longer served")]
    Retired,
    /// No container could start.
    #[error("the container could not start")]
    Start(#[source] StartFailure),
    /// One container asks for more than the machine has for all of them.
    #[error("a container asks for more than the machine has")]
    TooLarge,
}

/// Says `Finished` when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) number: ContainerNumber,
    pub(crate) request: RequestId,
    pub(crate) desk: Arc<Desk>,
    pub(crate) broken: AtomicBool,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.desk.happen(Event::Finished(self.number, self.request));
    }
}
