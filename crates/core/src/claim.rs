//! Decides who has which host, over all apps of a server: the labels of URLs, and custom domains.
//!
//! A host is chosen and reserved while a version is made, taken when that version begins to serve, and released with
//! its last version. So a version that does not come to serve takes nothing from anybody. What a deployed app has no
//! ephemeral one ever gets; an ephemeral one gives way to a deployed one, and to another ephemeral one only if that
//! asks to take over.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::AppId;
use crate::name::{self, Ephemeral, HostLabel, Naming, Note};
use crate::route::Lifetime;

/// One app, as far as hosts are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The app.
    pub app: AppId,
    /// Its name, for the sentences of errors.
    pub name: String,
    /// Whether it outlives its client.
    pub lifetime: Lifetime,
}

/// A reservation, and afterwards the possession of what was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Why a host is not to be had. The text is meant for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another app's endpoint has the label that the user gave.
    #[error("the label `{label}` is used by the app `{app}`: choose another label, or stop that app")]
    LabelTaken {
        /// The label.
        label: String,
        /// The app that has it.
        app: String,
    },
    /// Another app's endpoint has the custom domain.
    #[error("the custom domain `{domain}` is used by the app `{app}`: choose another one, or stop that app")]
    DomainTaken {
        /// The domain.
        domain: String,
        /// The app that has it.
        app: String,
    },
    /// No label can be made of the names.
    #[error(transparent)]
    Name(#[from] name::Error),
}

/// What becomes of a custom domain that an endpoint declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// It may be reserved.
    Given,
    /// The same program has it already, deployed or in another session; this endpoint goes without.
    Withheld,
}

/// What taking a reserved host led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Nobody else had it.
    Free,
    /// This app had it until now.
    From(Holder),
    /// A deployed app was faster; the reservation is void.
    Lost,
}

/// The label that an endpoint would like to have.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Its names, of an ephemeral app without an instance.
    pub naming: Naming<'a>,
    /// The label that it has so far: a URL that was given away stays.
    pub kept: Option<&'a str>,
    /// Whether it may take what another ephemeral app has.
    pub take_over: bool,
    /// The labels of the endpoints of the same version that came before it.
    pub siblings: &'a BTreeSet<String>,
}

/// The label that an endpoint gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The label.
    pub label: HostLabel,
    /// What has to be said about the label.
    pub note: Option<Note>,
}

/// Who has which host, and who is about to.
#[derive(Debug, Default)]
pub struct Hosts {
    by_host: BTreeMap<String, Claims>,
    tickets: u64,
}

/// All that is said about one host.
#[derive(Debug, Default)]
struct Claims {
    owner: Option<(Ticket, Holder)>,
    reserved: Vec<(Ticket, Holder)>,
}

impl Hosts {
    /// Chooses the label of an endpoint of `who`.
    pub fn label(&self, who: &Holder, wish: &Wish<'_>) -> Result<Choice, Error> {
        let choices = choices(who, wish)?;
        let plain = choices[0].label.as_str();
        let taken = |label: &str| {
            let app = self.rival(plain, who).unwrap_or(who).name.clone();
            Err(Error::LabelTaken { label: label.to_owned(), app })
        };
        // A label that the user gave is not changed behind their back; an ephemeral one ends in its instance anyway.
        if let (Some(label), Lifetime::Deployed) = (wish.naming.label, who.lifetime)
            && self.is_barred(plain, who, wish)
        {
            return taken(label);
        }
        let blocked = |label: &str| wish.siblings.contains(label) || self.is_barred(label, who, wish);
        let kept = choices.iter().find(|choice| Some(choice.label.as_str()) == wish.kept);
        let found = kept.into_iter().chain(&choices).find(|choice| !blocked(choice.label.as_str()));
        let Some(choice) = found.cloned() else { return taken(plain) };
        let stolen = self.rival(choice.label.as_str(), who).map(|_| Note::Stolen);
        Ok(Choice { note: choice.note.or(stolen), ..choice })
    }

    /// Says whether `who` may have a custom domain.
    pub fn domain(&self, who: &Holder, domain: &str, take_over: bool) -> Result<Grant, Error> {
        let Some(rival) = self.rival(domain, who) else { return Ok(Grant::Given) };
        let gives_way = match (who.lifetime, rival.lifetime) {
            (Lifetime::Deployed, Lifetime::Ephemeral) => true,
            (Lifetime::Ephemeral, Lifetime::Ephemeral) => take_over,
            (_, Lifetime::Deployed) => false,
        };
        match (gives_way, who.lifetime) {
            (true, _) => Ok(Grant::Given),
            (false, Lifetime::Ephemeral) if rival.name == who.name => Ok(Grant::Withheld),
            _ => Err(Error::DomainTaken { domain: domain.to_owned(), app: rival.name.clone() }),
        }
    }

    /// Notes that `who` is about to have `host`, which was found to be free for it.
    pub fn reserve(&mut self, who: &Holder, host: &str) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.by_host.entry(host.to_owned()).or_default().reserved.push((ticket, who.clone()));
        ticket
    }

    /// Makes the reservation a possession.
    pub fn take(&mut self, host: &str, ticket: Ticket) -> Taken {
        let Some(claims) = self.by_host.get_mut(host) else { return Taken::Lost };
        if claims.owner.as_ref().is_some_and(|(owner, _)| *owner == ticket) {
            return Taken::Free;
        }
        let Some(at) = claims.reserved.iter().position(|(reserved, _)| *reserved == ticket) else {
            return Taken::Lost;
        };
        let (_, who) = claims.reserved.remove(at);
        let before = claims.owner.as_ref().map(|(_, before)| before).filter(|before| before.app != who.app);
        if before.is_some_and(is_deployed) {
            return Taken::Lost;
        }
        let taken = before.cloned().map_or(Taken::Free, Taken::From);
        claims.owner = Some((ticket, who));
        taken
    }

    /// Whether the ticket's holder has the host.
    pub fn owns(&self, host: &str, ticket: Ticket) -> bool {
        let owner = self.by_host.get(host).and_then(|claims| claims.owner.as_ref());
        owner.is_some_and(|(owner, _)| *owner == ticket)
    }

    /// Lets go of a host. What has become another's stays with that one.
    pub fn release(&mut self, host: &str, ticket: Ticket) {
        let Some(claims) = self.by_host.get_mut(host) else { return };
        claims.owner.take_if(|(owner, _)| *owner == ticket);
        claims.reserved.retain(|(reserved, _)| *reserved != ticket);
        if claims.owner.is_none() && claims.reserved.is_empty() {
            self.by_host.remove(host);
        }
    }

    /// Another app that has the host or is about to; of several a deployed one.
    fn rival(&self, host: &str, who: &Holder) -> Option<&Holder> {
        let claims = self.by_host.get(host)?;
        let all = claims.owner.iter().chain(&claims.reserved).map(|(_, holder)| holder);
        all.filter(|holder| holder.app != who.app).max_by_key(|holder| is_deployed(holder))
    }

    /// Whether the label cannot be had because of another app.
    fn is_barred(&self, label: &str, who: &Holder, wish: &Wish<'_>) -> bool {
        self.rival(label, who).is_some_and(|rival| {
            is_deployed(rival) || (who.lifetime == Lifetime::Ephemeral && !wish.take_over)
        })
    }
}

/// What the label may be, the best first; never empty.
fn choices(who: &Holder, wish: &Wish<'_>) -> Result<Vec<Choice>, name::Error> {
    let naming = |ambiguous, instance| {
        let ephemeral = wish.naming.ephemeral.map(|end| Ephemeral { instance, ..end });
        Naming { ephemeral, ambiguous, ..wish.naming }.host_label()
    };
    let instance = Some(name::instance(&who.app));
    let choice = |ambiguous, instance| {
        let (label, note) = naming(ambiguous, instance)?;
        Ok(Choice { label, note })
    };
    let plain = choice(false, None)?;
    let rest = match wish.naming.ephemeral {
        None => vec![choice(true, None)?],
        // A sibling has the same instance.
        Some(_) if wish.siblings.contains(plain.label.as_str()) => {
            vec![choice(true, None)?, choice(true, instance)?]
        }
        Some(_) => vec![choice(false, instance)?, choice(true, instance)?],
    };
    Ok([vec![plain], rest].concat())
}

fn is_deployed(holder: &Holder) -> bool {
    holder.lifetime == Lifetime::Deployed
}

#[cfg(test)]
mod tests;
