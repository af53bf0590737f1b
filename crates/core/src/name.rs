//! Decides names: which app names are allowed, and which label and host an endpoint gets.
//!
//! The grammar is Modal's: `<workspace>--<label>.<domain>`, where the label is the one that the user gave or
//! `<app>-<function>` (`<app>-<class>-<method>`), and an ephemeral app's label ends in `-dev`, before which an instance may
//! stand that tells concurrent runs apart. The first part is one DNS label, so it has at most 63 characters (RFC 1035
//! §2.3.4): a longer one is cut to 56 and gets a dash and six hex digits; what an ephemeral one ends in is never cut.

use std::fmt;

use crate::id::AppId;

/// The workspace of a server that was not given another.
pub const DEFAULT_WORKSPACE: &str = "local";

/// The longest app name, in characters.
pub const APP_NAME_MAX: usize = 64;

/// The longest DNS label, in characters (RFC 1035 §2.3.4).
pub const DNS_LABEL_MAX: usize = 63;

/// What ends the label of an ephemeral app whose user chose nothing else.
pub const DEV_SUFFIX: &str = "dev";

/// The longest end of an ephemeral app's label, and the length of the part that tells its instances apart.
const PART_MAX: usize = 8;

/// How many hex digits of the hash follow a label that was cut or would be ambiguous.
const HASH_DIGITS: usize = 6;

/// Why a name was refused. The text is meant for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An app without a name where one is needed.
    #[error("the app name is empty: give it one of letters, digits, '-', '_' and '.'")]
    AppEmpty,
    /// An app name longer than [`APP_NAME_MAX`].
    #[error("the app name {name:?} has {length} characters: at most {APP_NAME_MAX} are allowed")]
    AppTooLong {
        /// The refused name.
        name: String,
        /// Its length in characters.
        length: usize,
    },
    /// An app name with a character outside `[a-zA-Z0-9-_.]`.
    #[error("the app name {name:?} contains {found:?}: only letters, digits, '-', '_' and '.' are allowed")]
    AppCharacter {
        /// The refused name.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// A label given by the user that is not a DNS label.
    #[error("the label {label:?} cannot be part of a URL: {reason}")]
    Label {
        /// The refused label.
        label: String,
        /// What is wrong with it.
        reason: LabelFault,
    },
    /// An end of ephemeral labels that is not one short word.
    #[error("the suffix {suffix:?} cannot end a label: give 1 to {PART_MAX} of a-z and 0-9")]
    Suffix {
        /// The refused suffix.
        suffix: String,
    },
    /// A workspace name that is not a DNS label.
    #[error("the workspace {workspace:?} cannot be part of a URL: {reason}")]
    Workspace {
        /// The refused workspace.
        workspace: String,
        /// What is wrong with it.
        reason: LabelFault,
    },
}

/// What keeps a text from being a DNS label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelFault {
    /// Nothing at all.
    Empty,
    /// More than [`DNS_LABEL_MAX`] characters.
    TooLong(usize),
    /// A character outside `[a-z0-9-]`.
    Character(char),
    /// A dash at either end.
    DashAtEnd,
    /// Digits only: it would read as a part of an IPv4 address.
    AllDigits,
    /// `xn`: a host that begins with `xn--` is read as internationalised text (RFC 5890 §2.3.2.1).
    Reserved,
}

impl fmt::Display for LabelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong(length) => {
                write!(f, "it has {length} characters, and at most {DNS_LABEL_MAX} are allowed")
            }
            Self::Character(found) => {
                write!(f, "it contains {found:?}, and only a-z, 0-9 and '-' are allowed")
            }
            Self::DashAtEnd => f.write_str("it begins or ends with '-'"),
            Self::AllDigits => f.write_str("it consists of digits only"),
            Self::Reserved => f.write_str("hosts that begin with 'xn--' are reserved"),
        }
    }
}

/// Refuses an app name outside `^[a-zA-Z0-9-_.]+$` or longer than [`APP_NAME_MAX`].
pub fn check_app(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::AppEmpty);
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(found) = name.chars().find(|c| !allowed(c)) {
        return Err(Error::AppCharacter { name: name.to_owned(), found });
    }
    let length = name.chars().count();
    if length > APP_NAME_MAX {
        return Err(Error::AppTooLong { name: name.to_owned(), length });
    }
    Ok(())
}

/// The text as it appears in a URL: lower-case, every character outside `[a-z0-9-]` a dash, no dash at either end.
pub fn slug(text: &str) -> String {
    let dashed: String = text
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    dashed.trim_matches('-').to_owned()
}

/// Refuses a text that is not a DNS label of lower-case letters, digits and inner dashes.
pub fn check_dns_label(text: &str) -> Result<(), LabelFault> {
    if text.is_empty() {
        return Err(LabelFault::Empty);
    }
    if let Some(found) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(LabelFault::Character(found));
    }
    if text.len() > DNS_LABEL_MAX {
        return Err(LabelFault::TooLong(text.len()));
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(LabelFault::DashAtEnd);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(LabelFault::AllDigits);
    }
    Ok(())
}

/// What an endpoint's host is made of.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    /// The workspace, [`DEFAULT_WORKSPACE`] unless configured.
    pub workspace: &'a str,
    /// The app's name as the user wrote it.
    pub app: &'a str,
    /// The function's name; a method is `Class.method`.
    pub function: &'a str,
    /// The label that the user gave, used as it is and not combined with the app's name.
    pub label: Option<&'a str>,
    /// How the label ends if the app lives only as long as its client (`run`, `serve`).
    pub ephemeral: Option<Ephemeral<'a>>,
    /// Whether another endpoint already has the plain name (`my_f` and `my-f` have the same slug).
    pub ambiguous: bool,
}

/// The end of an ephemeral app's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ephemeral<'a> {
    /// The last part, [`DEV_SUFFIX`] unless configured.
    pub suffix: &'a str,
    /// What tells this run of the app from others that have the plain label; see [`instance`].
    pub instance: Option<&'a str>,
}

/// The part of an app's id that tells its labels from those of another run: eight characters.
pub fn instance(app: &AppId) -> &str {
    let rest = app.as_str().trim_start_matches(AppId::PREFIX);
    rest.get(..PART_MAX).unwrap_or(rest)
}

/// What was done to a label, to be said beside the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The label was too long and was cut.
    Truncated,
    /// The plain label would have been another endpoint's, or nothing at all.
    ConflictAvoidanceHash,
    /// The label was another ephemeral app's until now.
    Stolen,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "(label truncated)",
            Self::ConflictAvoidanceHash => "(label includes conflict-avoidance hash)",
            Self::Stolen => "(label stolen)",
        })
    }
}

/// The first part of an endpoint's host: `<workspace>--<label>`, always a valid DNS label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostLabel(String);

impl HostLabel {
    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole host under `domain`, for example `local--hello-f.localhost`.
    pub fn host(&self, domain: &str) -> String {
        format!("{}.{}", self.0, domain.trim_matches('.').to_ascii_lowercase())
    }
}

impl Naming<'_> {
    /// The endpoint's part of the host, and what has to be said about it.
    pub fn host_label(&self) -> Result<(HostLabel, Option<Note>), Error> {
        check_workspace(self.workspace)?;
        let tail = self.ephemeral.map(Ephemeral::tail).transpose()?.unwrap_or_default();
        let (plain, mut note) = self.plain_label()?;
        let hash = self.hash();
        let mut stem = format!("{}--{plain}", self.workspace);
        if note.is_some() {
            stem.push_str(if plain.is_empty() { "" } else { "-" });
            stem.push_str(&hash);
        }
        if stem.len() + tail.len() > DNS_LABEL_MAX {
            // Every character is ASCII here, so a cut never falls inside one.
            stem.truncate(DNS_LABEL_MAX - tail.len() - 1 - HASH_DIGITS);
            stem = format!("{stem}-{hash}");
            note = Some(Note::Truncated);
        }
        Ok((HostLabel(format!("{stem}{tail}")), note))
    }

    /// The label before the workspace and the suffix, and whether it needs the hash to be of any use.
    fn plain_label(&self) -> Result<(String, Option<Note>), Error> {
        if let Some(label) = self.label {
            check_dns_label(label).map_err(|reason| Error::Label { label: label.to_owned(), reason })?;
            return Ok((label.to_owned(), self.ambiguous.then_some(Note::ConflictAvoidanceHash)));
        }
        let (app, function) = (slug(self.app), slug(self.function));
        // A function whose name has no Latin letter or digit leaves nothing to tell it apart by.
        let needs_hash = self.ambiguous || function.is_empty();
        let parts: Vec<String> = [app, function].into_iter().filter(|part| !part.is_empty()).collect();
        Ok((parts.join("-"), needs_hash.then_some(Note::ConflictAvoidanceHash)))
    }

    /// Six hex digits that tell this endpoint from every other. They depend on its names only, so that the URL is the
    /// same after each deploy.
    fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [self.workspace, self.app, self.function, self.label.unwrap_or("")] {
            hasher.update(part.as_bytes());
            hasher.update(&[0]);
        }
        hasher.finalize().to_hex()[..HASH_DIGITS].to_owned()
    }
}

impl Ephemeral<'_> {
    /// `-dev`, or `-abcdefgh-dev`.
    fn tail(self) -> Result<String, Error> {
        let is_word = |part: &str| {
            let letters = part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            letters && (1..=PART_MAX).contains(&part.len())
        };
        for part in [Some(self.suffix), self.instance].into_iter().flatten() {
            if !is_word(part) {
                return Err(Error::Suffix { suffix: part.to_owned() });
            }
        }
        let instance = self.instance.map(|instance| format!("-{instance}")).unwrap_or_default();
        Ok(format!("{instance}-{}", self.suffix))
    }
}

fn check_workspace(workspace: &str) -> Result<(), Error> {
    let checked = check_dns_label(workspace);
    // Room must be left for `--`, a character of the label, the hash, the instance and the suffix.
    let longest = DNS_LABEL_MAX - 2 - 1 - (1 + HASH_DIGITS) - 2 * (1 + PART_MAX);
    let fault = match checked {
        // Digits alone are fine here: `7--hello-f` is not a number.
        Ok(()) | Err(LabelFault::AllDigits) if workspace == "xn" => LabelFault::Reserved,
        Ok(()) | Err(LabelFault::AllDigits) if workspace.len() > longest => {
            LabelFault::TooLong(workspace.len())
        }
        Ok(()) | Err(LabelFault::AllDigits) => return Ok(()),
        Err(fault) => fault,
    };
    Err(Error::Workspace { workspace: workspace.to_owned(), reason: fault })
}

#[cfg(test)]
mod tests;
