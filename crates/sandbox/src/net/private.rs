//! Which private networks containers reach: a setting, since a database may be there, or a router that trusts its users.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::GROUP;

/// Addresses that are nobody's on the Internet: RFC 1918, and RFC 6598, which overlay networks use too. Link-local ones
/// are never reached, whatever the setting says.
pub(super) const RANGES: [Prefix; 4] = [
    Prefix { address: Ipv4Addr::new(10, 0, 0, 0), length: 8 },
    Prefix { address: Ipv4Addr::new(172, 16, 0, 0), length: 12 },
    Prefix { address: Ipv4Addr::new(192, 168, 0, 0), length: 16 },
    Prefix { address: Ipv4Addr::new(100, 64, 0, 0), length: 10 },
];

/// More exceptions than anybody writes.
const EXCEPTIONS_MAX: usize = 256;

/// What of the networks around the machine containers reach. As text: `allow`, `deny`, or what is reached in spite of a
/// denial, as addresses and networks with commas between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PrivateNetworks {
    /// All, as any program of the machine.
    #[default]
    Allow,
    /// None but these. Name servers that the machine has there are reached for names.
    Deny(Vec<Prefix>),
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The first of them.
    address: Ipv4Addr,
    /// How many bits they share.
    length: u8,
}

impl PrivateNetworks {
    /// The group of the links of containers for which it holds. Two settings that share one by accident take from each
    /// other what either forbids.
    pub(crate) fn group(&self) -> u32 {
        match self {
            PrivateNetworks::Allow => GROUP,
            PrivateNetworks::Deny(_) => GROUP | (self.hash() & 0xffff).max(1),
        }
    }

    /// A number of 32 bits that tells settings apart: FNV-1a of the text.
    pub(super) fn hash(&self) -> u32 {
        let text = self.to_string();
        text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

impl Prefix {
    /// The address, and the bits of it that count.
    pub(super) fn parts(self) -> ([u8; 4], [u8; 4]) {
        (self.address.octets(), self.mask().to_be_bytes())
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0)
    }
}

impl FromStr for PrivateNetworks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "allow" => return Ok(PrivateNetworks::Allow),
            "deny" => return Ok(PrivateNetworks::Deny(Vec::new())),
            _ => {}
        }
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let except = parts.map(str::parse).collect::<Result<Vec<Prefix>, String>>()?;
        if except.is_empty() || except.len() > EXCEPTIONS_MAX {
            return Err(format!("1 to {EXCEPTIONS_MAX} networks are taken"));
        }
        Ok(PrivateNetworks::Deny(except))
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = text.split_once('/').unwrap_or((text, "32"));
        let wrong = || format!("`{text}` is neither `allow` nor `deny`, nor an IPv4 address or network");
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let length = length.parse().ok().filter(|length| *length <= 32).ok_or_else(wrong)?;
        let prefix = Prefix { address, length };
        if u32::from(address) & !prefix.mask() != 0 {
            return Err(format!("`{text}` has bits beyond its length"));
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Display for PrivateNetworks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrivateNetworks::Allow => f.write_str("allow"),
            PrivateNetworks::Deny(except) if except.is_empty() => f.write_str("deny"),
            PrivateNetworks::Deny(except) => {
                let except: Vec<String> = except.iter().map(ToString::to_string).collect();
                f.write_str(&except.join(","))
            }
        }
    }
}

impl TryFrom<String> for PrivateNetworks {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PrivateNetworks> for String {
    fn from(setting: PrivateNetworks) -> String {
        setting.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_word_or_what_is_excepted() {
        for text in ["allow", "deny", "10.1.2.0/24,192.168.1.5/32", "0.0.0.0/0"] {
            assert_eq!(text.parse::<PrivateNetworks>().unwrap().to_string(), text);
        }
        let one: PrivateNetworks = " 10.1.2.3 , ".parse().unwrap();
        assert_eq!(one.to_string(), "10.1.2.3/32");
        for wrong in ["", "no", "10.1.2.3/24", "10.0.0.0/33", "fd00::/8", "10.0.0.0/8;", ","] {
            assert!(wrong.parse::<PrivateNetworks>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mask_has_as_many_bits_as_the_prefix_is_long() {
        let parts = |text: &str| text.parse::<Prefix>().unwrap().parts();
        assert_eq!(parts("172.16.0.0/12"), ([172, 16, 0, 0], [255, 240, 0, 0]));
        assert_eq!(parts("1.2.3.4"), ([1, 2, 3, 4], [255; 4]));
        assert_eq!(parts("0.0.0.0/0"), ([0; 4], [0; 4]));
    }

    #[test]
    fn what_is_denied_has_a_group_of_its_own() {
        let group = |text: &str| text.parse::<PrivateNetworks>().unwrap().group();
        assert_eq!(group("allow"), GROUP);
        assert_ne!(group("deny"), GROUP);
        assert_ne!(group("deny"), group("10.0.0.1"));
        assert_eq!(group("10.0.0.1") & super::super::GROUP_MASK, GROUP);
    }
}
