//! The order of a runner's messages, apart from all input and output.

use super::{FromRunner, PROTOCOL};

/// How far a runner is. The order of declaration is the order of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Started; nothing heard yet.
    Launched,
    /// It said hello.
    Greeted,
    /// The user's module is imported.
    Imported,
    /// A zygote that can be forked from, or says why not.
    Lit,
    /// It serves.
    Ready,
    /// It finishes what it holds.
    Draining,
    /// It said that it cannot serve. Nothing may follow.
    Failed,
}

/// A message that may not come now, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfOrder {
    /// Legal elsewhere, but not in this phase.
    #[error("the runner sent {message} while {phase:?}")]
    Phase {
        /// Its type.
        message: &'static str,
        /// Where the runner was.
        phase: Phase,
    },
    /// The runner speaks another version.
    #[error("the runner speaks protocol {theirs}, not {PROTOCOL}; rebuild the image")]
    Protocol {
        /// Its version.
        theirs: u32,
    },
}

/// Follows one runner through the protocol.
#[derive(Clone, Debug)]
pub struct Sequence {
    phase: Phase,
}

impl Default for Sequence {
    fn default() -> Sequence {
        Sequence { phase: Phase::Launched }
    }
}

impl Sequence {
    /// At the beginning.
    pub fn new() -> Sequence {
        Sequence::default()
    }

    /// How far the runner is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Moves on by one message and gives the new phase. A message out of order changes nothing.
    pub fn accept(&mut self, message: &FromRunner) -> Result<Phase, OutOfOrder> {
        let out_of_order = |message| Err(OutOfOrder::Phase { message, phase: self.phase });
        self.phase = match (message, self.phase) {
            (FromRunner::Hello { protocol, .. }, Phase::Launched) => {
                if *protocol != PROTOCOL {
                    return Err(OutOfOrder::Protocol { theirs: *protocol });
                }
                Phase::Greeted
            }
            (FromRunner::Imported { .. }, Phase::Greeted) => Phase::Imported,
            (FromRunner::Lit { .. }, Phase::Greeted) => Phase::Lit,
            (FromRunner::Ready { .. }, Phase::Imported) => Phase::Ready,
            // Beside the requests, as often as there is more to tell.
            (FromRunner::Modules { .. }, phase @ (Phase::Ready | Phase::Draining)) => phase,
            // Asked to drain before it was ready, it has nothing to finish but says so.
            (FromRunner::Draining, Phase::Greeted | Phase::Imported | Phase::Ready) => Phase::Draining,
            (FromRunner::Failed { .. }, Phase::Greeted | Phase::Imported) => Phase::Failed,
            (FromRunner::Hello { .. }, _) => return out_of_order("hello"),
            (FromRunner::Imported { .. }, _) => return out_of_order("imported"),
            (FromRunner::Modules { .. }, _) => return out_of_order("modules"),
            (FromRunner::Lit { .. }, _) => return out_of_order("lit"),
            (FromRunner::Ready { .. }, _) => return out_of_order("ready"),
            (FromRunner::Draining, _) => return out_of_order("draining"),
            (FromRunner::Failed { .. }, _) => return out_of_order("failed"),
        };
        Ok(self.phase)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stage;
    use super::*;

    fn hello() -> FromRunner {
        FromRunner::Hello { protocol: PROTOCOL, python: "3.11.7".into() }
    }

    fn imported() -> FromRunner {
        FromRunner::Imported { import_ms: 1.0 }
    }

    fn ready() -> FromRunner {
        FromRunner::Ready { app_ms: 1.0 }
    }

    fn failed() -> FromRunner {
        FromRunner::Failed { stage: Stage::Import, summary: String::new(), traceback: String::new() }
    }

    /// The phase after all of these, or the refusal of the last one; the others must be accepted.
    fn after(messages: &[FromRunner]) -> Result<Phase, OutOfOrder> {
        let mut sequence = Sequence::new();
        let (last, before) = messages.split_last().unwrap();
        for message in before {
            sequence.accept(message).unwrap();
        }
        let result = sequence.accept(last);
        assert_eq!(result.unwrap_or(sequence.phase()), sequence.phase());
        result
    }

    fn refused(message: &'static str, phase: Phase) -> Result<Phase, OutOfOrder> {
        Err(OutOfOrder::Phase { message, phase })
    }

    #[test]
    fn the_whole_life_of_a_runner() {
        assert_eq!(after(&[hello(), imported(), ready(), FromRunner::Draining]), Ok(Phase::Draining));
    }

    #[test]
    fn phases_are_ordered_as_the_protocol_is() {
        assert!(
            Phase::Launched < Phase::Greeted
                && Phase::Imported < Phase::Ready
                && Phase::Ready < Phase::Draining
        );
    }

    #[test]
    fn failing_takes_the_place_of_imported_or_ready() {
        assert_eq!(after(&[hello(), failed()]), Ok(Phase::Failed));
        assert_eq!(after(&[hello(), imported(), failed()]), Ok(Phase::Failed));
    }

    #[test]
    fn draining_may_come_before_ready() {
        assert_eq!(after(&[hello(), FromRunner::Draining]), Ok(Phase::Draining));
        assert_eq!(after(&[hello(), imported(), FromRunner::Draining]), Ok(Phase::Draining));
    }

    #[test]
    fn another_protocol_is_refused() {
        let other = FromRunner::Hello { protocol: 2, python: String::new() };
        assert_eq!(after(&[other]), Err(OutOfOrder::Protocol { theirs: 2 }));
    }

    #[test]
    fn nothing_comes_before_hello() {
        assert_eq!(after(&[imported()]), refused("imported", Phase::Launched));
        assert_eq!(after(&[ready()]), refused("ready", Phase::Launched));
        assert_eq!(after(&[failed()]), refused("failed", Phase::Launched));
        assert_eq!(after(&[FromRunner::Draining]), refused("draining", Phase::Launched));
    }

    #[test]
    fn nothing_comes_twice() {
        assert_eq!(after(&[hello(), hello()]), refused("hello", Phase::Greeted));
        assert_eq!(after(&[hello(), imported(), imported()]), refused("imported", Phase::Imported));
        assert_eq!(after(&[hello(), imported(), ready(), ready()]), refused("ready", Phase::Ready));
    }

    #[test]
    fn ready_needs_an_import() {
        assert_eq!(after(&[hello(), ready()]), refused("ready", Phase::Greeted));
    }

    #[test]
    fn a_runner_that_serves_cannot_fail_any_more() {
        assert_eq!(after(&[hello(), imported(), ready(), failed()]), refused("failed", Phase::Ready));
    }

    #[test]
    fn nothing_follows_draining_or_failing() {
        assert_eq!(after(&[hello(), FromRunner::Draining, imported()]), refused("imported", Phase::Draining));
        assert_eq!(after(&[hello(), failed(), ready()]), refused("ready", Phase::Failed));
        assert_eq!(after(&[hello(), failed(), FromRunner::Draining]), refused("draining", Phase::Failed));
    }

    #[test]
    fn what_is_imported_is_told_while_it_serves() {
        let modules = || FromRunner::Modules { modules: vec!["json".into()] };
        let serving = [hello(), imported(), ready()];
        assert_eq!(after(&[&serving[..], &[modules(), modules()]].concat()), Ok(Phase::Ready));
        assert_eq!(after(&[&serving[..], &[FromRunner::Draining, modules()]].concat()), Ok(Phase::Draining));
        assert_eq!(after(&[hello(), imported(), modules()]), refused("modules", Phase::Imported));
        assert_eq!(after(&[hello(), failed(), modules()]), refused("modules", Phase::Failed));
    }
}
