//! Which request may come when: the protocol between server and helper as a pure decision.
//!
//! The server is trusted less than the helper. What is out of order, or comes with the wrong descriptors, is refused
//! before anything is done; what no server of ours could have sent ends the connection.

use crate::Failure;
use crate::message::Request;

/// What there is of the id that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing, or the request names none.
    Nothing,
    /// A shell that is being made ahead.
    Making,
    /// A shell that was made ahead, and whether for what the request describes.
    Parked { same: bool },
    /// A container from its start on, until it is buried.
    UnderWay,
    /// What has ended and is being cleared up; `unused` was a shell.
    Leaving { unused: bool },
    /// An errand.
    Errand,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is done, as far as it can be.
    Act,
    /// It is answered so, and nothing else.
    Refuse(Failure),
    /// The connection ends, and the helper with it.
    End,
}

/// Decides about a request that came with so many descriptors. `greeted`: the hello has been heard.
pub(crate) fn judge(request: &Request, descriptors: usize, greeted: bool, standing: Standing) -> Verdict {
    use Standing::{Errand, Leaving, Making, Nothing, Parked, UnderWay};
    if let Err(verdict) = shape(request, descriptors, greeted) {
        return verdict;
    }
    let id = id(request).unwrap_or_default().to_owned();
    match (request, standing) {
        (Request::Hello(_) | Request::Erase { .. }, _)
        | (Request::Start { .. }, Nothing | Parked { same: true } | Leaving { unused: true })
        | (Request::Prepare { .. } | Request::Errand { .. }, Nothing)
        | (Request::Signal { .. } | Request::Look { .. }, Making | Parked { .. } | UnderWay)
        | (Request::Open { .. }, Parked { .. } | UnderWay)
        | (Request::Signal { .. }, Errand) => Verdict::Act,
        (Request::Start { .. }, Parked { same: false }) => {
            let what = "its shell was made for another specification".to_owned();
            Verdict::Refuse(Failure::Invalid { id, what })
        }
        (Request::Start { .. } | Request::Prepare { .. } | Request::Errand { .. }, _) => {
            Verdict::Refuse(Failure::Exists { id })
        }
        (Request::Signal { .. } | Request::Look { .. } | Request::Open { .. }, _) => {
            Verdict::Refuse(Failure::Unknown { id })
        }
    }
}

/// The part that looks at nothing but the request.
pub(crate) fn shape(request: &Request, descriptors: usize, greeted: bool) -> Result<(), Verdict> {
    // For whom it works is said first, once, and by another than the server.
    if greeted == matches!(request, Request::Hello(_)) {
        return Err(Verdict::End);
    }
    let wanted = request.descriptors();
    if descriptors != wanted {
        let what = format!("it came with {descriptors} descriptors and needs {wanted}");
        return Err(if greeted { Verdict::Refuse(Failure::Refused { what }) } else { Verdict::End });
    }
    // The helper makes that channel itself.
    if let Request::Start { given, .. } = request
        && given.orders
    {
        let what = "it brings a channel for orders along".to_owned();
        return Err(Verdict::Refuse(Failure::Refused { what }));
    }
    Ok(())
}

/// The container or errand that a request is about.
pub(crate) fn id(request: &Request) -> Option<&str> {
    match request {
        Request::Hello(_) | Request::Erase { .. } => None,
        Request::Start { spec, .. } | Request::Prepare { spec, .. } => Some(&spec.id),
        Request::Signal { id, .. }
        | Request::Errand { id, .. }
        | Request::Look { id, .. }
        | Request::Open { id, .. } => Some(id),
    }
}

#[cfg(test)]
mod tests;
