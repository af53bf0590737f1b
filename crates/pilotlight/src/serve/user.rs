//! As whom a server runs.

use pilotlight_sandbox::{IMAGE_IDS, Isolation, Owner};

use crate::config::env;
use crate::exit::UserError;

/// The account that a server takes where the machine has it.
const NAME: &str = "pilotlight";

/// The ids that belong to images and containers, but for the first of them.
const TAKEN: std::ops::RangeInclusive<u32> = IMAGE_IDS + 1..=0x7fff_ffff;

/// The user of a server that this process starts: its own, but of root's with a sandbox another, who has no rights.
pub(crate) fn of_server(isolation: Isolation) -> anyhow::Result<Owner> {
    if !rustix::process::geteuid().is_root() || isolation == Isolation::Process {
        return Ok(Owner::this_process());
    }
    let passwd = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
    let wanted = std::env::var(env::USER).ok().filter(|name| !name.is_empty());
    choose(wanted.as_deref(), &passwd).map_err(Into::into)
}

fn choose(wanted: Option<&str>, passwd: &str) -> Result<Owner, UserError> {
    let Some(wanted) = wanted else {
        return Ok(find(NAME, passwd).unwrap_or(Owner { uid: IMAGE_IDS, gid: IMAGE_IDS }));
    };
    let number = wanted.parse().ok().map(|uid| by_number(uid, passwd).unwrap_or(Owner { uid, gid: uid }));
    let found = number.or_else(|| find(wanted, passwd)).ok_or_else(|| {
        let hint = "name one of /etc/passwd, give the number of a user, or leave it out";
        UserError::new(format!("`{}` names no user: `{wanted}`", env::USER), hint)
    })?;
    if TAKEN.contains(&found.uid) {
        let hint =
            format!("ids from {} to {} are those of images and containers", TAKEN.start(), TAKEN.end());
        return Err(UserError::new(format!("`{}` cannot be {}", env::USER, found.uid), hint));
    }
    Ok(found)
}

fn find(name: &str, passwd: &str) -> Option<Owner> {
    entries(passwd).find(|(found, _)| *found == name).map(|(_, owner)| owner)
}

fn by_number(uid: u32, passwd: &str) -> Option<Owner> {
    entries(passwd).find(|(_, owner)| owner.uid == uid).map(|(_, owner)| owner)
}

/// Names and ids. passwd(5)
fn entries(passwd: &str) -> impl Iterator<Item = (&str, Owner)> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some((name, Owner { uid, gid }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nweb:x:33:34::/:/bin/false\n";

    #[test]
    fn a_user_of_the_machines_else_an_id_of_our_own() {
        let own = Owner { uid: IMAGE_IDS, gid: IMAGE_IDS };
        assert_eq!(choose(None, PASSWD).unwrap(), own);
        let with = format!("{PASSWD}pilotlight:x:998:997::/:/bin/false\n");
        assert_eq!(choose(None, &with).unwrap(), Owner { uid: 998, gid: 997 });
        assert_eq!(choose(Some("web"), PASSWD).unwrap(), Owner { uid: 33, gid: 34 });
        assert_eq!(choose(Some("33"), PASSWD).unwrap(), Owner { uid: 33, gid: 34 });
        assert_eq!(choose(Some("5000"), PASSWD).unwrap(), Owner { uid: 5000, gid: 5000 });
        assert_eq!(choose(Some("root"), PASSWD).unwrap(), Owner { uid: 0, gid: 0 });
    }

    #[test]
    fn who_is_nobody_or_a_container_is_refused() {
        for wanted in ["nobody-here", "-1", "1879048192"] {
            assert!(choose(Some(wanted), PASSWD).is_err(), "{wanted}");
        }
    }
}
