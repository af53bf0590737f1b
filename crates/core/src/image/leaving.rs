//! Decides what leaves the disk: least recently used first, until what is left is within a budget.
//!
//! Images share layers, so an image gives back what no other has. What is in use never leaves, and neither do the layers
//! of an image that stays.

use std::collections::HashMap;

/// An image and the pieces that it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// The names of its pieces.
    pub pieces: Vec<String>,
    /// When it was last used, seconds since the epoch.
    pub used_at: u64,
    /// Whether somebody uses it.
    pub in_use: bool,
}

/// Something on disk that can be made anew: a layer, the files of a version, an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its name, which no other piece has.
    pub name: String,
    /// What it takes on disk, bytes.
    pub bytes: u64,
    /// When it was last used, seconds since the epoch.
    pub used_at: u64,
    /// Whether somebody uses it.
    pub in_use: bool,
}

/// What leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Names of images.
    pub images: Vec<String>,
    /// Names of pieces, none of which an image that stays has.
    pub pieces: Vec<String>,
}

/// What an image is for the choice: its place, or that of a piece that no image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Candidate {
    Piece(usize),
    Image(usize),
}

/// What has to leave so that `pieces` take `budget` bytes at most, as far as that is possible. A budget of 0 lets go
/// everything that nobody uses. Takes O(n log n) for n pieces and names of pieces.
pub fn leaving(images: &[Made], pieces: &[Piece], budget: u64) -> Leaving {
    let place: HashMap<&str, usize> =
        pieces.iter().enumerate().map(|(at, piece)| (piece.name.as_str(), at)).collect();
    let parts: Vec<Vec<usize>> = images.iter().map(|image| parts(image, &place)).collect();
    let mut holders = vec![0_u32; pieces.len()];
    parts.iter().flatten().for_each(|&at| holders[at] += 1);
    let mut total = pieces.iter().fold(0_u64, |total, piece| total.saturating_add(piece.bytes));

    let idle = images.iter().enumerate().filter(|(_, image)| !image.in_use);
    let loose = pieces.iter().enumerate().filter(|(at, piece)| !piece.in_use && holders[*at] == 0);
    let mut candidates: Vec<(u64, Candidate)> = idle
        .map(|(at, image)| (image.used_at, Candidate::Image(at)))
        .chain(loose.map(|(at, piece)| (piece.used_at, Candidate::Piece(at))))
        .collect();
    candidates.sort_unstable();

    let mut leaving = Leaving::default();
    for (_, candidate) in candidates {
        // An image that takes nothing stays until there is no room for anything.
        if total <= budget && budget > 0 {
            break;
        }
        let mut go = |at: usize| {
            let piece = &pieces[at];
            if !piece.in_use {
                total = total.saturating_sub(piece.bytes);
                leaving.pieces.push(piece.name.clone());
            }
        };
        match candidate {
            Candidate::Piece(at) => go(at),
            Candidate::Image(at) => {
                leaving.images.push(images[at].name.clone());
                for &part in &parts[at] {
                    holders[part] -= 1;
                    if holders[part] == 0 {
                        go(part);
                    }
                }
            }
        }
    }
    leaving
}

/// What one image takes with it: the pieces that no other has and nobody uses.
pub fn alone(image: &Made, images: &[Made], pieces: &[Piece]) -> Vec<String> {
    let others = images.iter().filter(|other| other.name != image.name);
    let shared: std::collections::HashSet<&String> = others.flat_map(|other| &other.pieces).collect();
    let own = pieces.iter().filter(|piece| !piece.in_use && image.pieces.contains(&piece.name));
    own.filter(|piece| !shared.contains(&piece.name)).map(|piece| piece.name.clone()).collect()
}

/// The places of an image's pieces, each once; one that is not there counts for nothing.
fn parts(image: &Made, place: &HashMap<&str, usize>) -> Vec<usize> {
    let mut parts: Vec<usize> =
        image.pieces.iter().filter_map(|name| place.get(name.as_str()).copied()).collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image(name: &str, pieces: &[&str], used_at: u64) -> Made {
        let pieces = pieces.iter().map(|&piece| piece.to_owned()).collect();
        Made { name: name.to_owned(), pieces, used_at, in_use: false }
    }

    fn piece(name: &str, bytes: u64, used_at: u64) -> Piece {
        Piece { name: name.to_owned(), bytes, used_at, in_use: false }
    }

    #[test]
    fn the_least_recently_used_image_leaves_with_what_only_it_has() {
        let images = [image("old", &["base", "a"], 1), image("new", &["base", "b"], 2)];
        let pieces = [piece("base", 100, 2), piece("a", 10, 1), piece("b", 10, 2)];
        assert_eq!(leaving(&images, &pieces, 120), Leaving::default());
        let gone = leaving(&images, &pieces, 119);
        assert_eq!((gone.images, gone.pieces), (vec!["old".to_owned()], vec!["a".to_owned()]));
        let gone = leaving(&images, &pieces, 109);
        assert_eq!(gone.images, ["old", "new"]);
        assert_eq!(gone.pieces, ["a", "base", "b"]);
        assert_eq!(alone(&images[0], &images, &pieces), ["a"]);
    }

    #[test]
    fn what_is_in_use_stays_however_old_and_large() {
        let mut images = [image("used", &["base"], 0), image("idle", &["base", "a"], 1)];
        images[0].in_use = true;
        let mut pieces =
            [piece("base", 100, 0), piece("a", 10, 1), piece("loose", 5, 9), piece("build", 5, 0)];
        pieces[0].in_use = true;
        pieces[3].in_use = true;
        let gone = leaving(&images, &pieces, 0);
        assert_eq!(
            (gone.images, gone.pieces),
            (vec!["idle".to_owned()], vec!["a".to_owned(), "loose".to_owned()])
        );
    }

    #[test]
    fn a_piece_that_no_image_has_leaves_by_its_own_age() {
        let images = [image("i", &["a"], 5)];
        let pieces = [piece("a", 10, 5), piece("older", 10, 4), piece("newer", 10, 6)];
        assert_eq!(leaving(&images, &pieces, 20).pieces, ["older"]);
        assert_eq!(leaving(&images, &pieces, 10).pieces, ["older", "a"]);
    }

    proptest! {
        #[test]
        fn whatever_is_there_no_image_that_stays_loses_a_piece(
            images in prop::collection::vec((prop::collection::vec(0_usize..12, 0..6), 0_u64..9, any::<bool>()), 0..8),
            pieces in prop::collection::vec((0_u64..50, 0_u64..9, any::<bool>()), 0..12),
            budget in 0_u64..300,
        ) {
            let images: Vec<Made> = images.into_iter().enumerate().map(|(at, (parts, used_at, in_use))| Made {
                name: format!("i{at}"), pieces: parts.iter().map(|part| format!("p{part}")).collect(), used_at, in_use,
            }).collect();
            let pieces: Vec<Piece> = pieces.into_iter().enumerate().map(|(at, (bytes, used_at, in_use))| Piece {
                name: format!("p{at}"), bytes, used_at, in_use,
            }).collect();
            let gone = leaving(&images, &pieces, budget);
            let stays = |name: &String| !gone.pieces.contains(name);
            for image in images.iter().filter(|image| image.in_use || !gone.images.contains(&image.name)) {
                prop_assert!(!(image.in_use && gone.images.contains(&image.name)));
                prop_assert!(image.pieces.iter().all(stays));
            }
            prop_assert!(pieces.iter().all(|piece| !piece.in_use || stays(&piece.name)));
            let left: u64 = pieces.iter().filter(|piece| stays(&piece.name)).map(|piece| piece.bytes).sum();
            let held = pieces.iter().all(|piece| {
                !stays(&piece.name) || piece.in_use
                    || images.iter().any(|image| image.in_use && image.pieces.contains(&piece.name))
            });
            prop_assert!(left <= budget || held, "{left} of {budget} with something left to give");
            prop_assert_eq!(gone.pieces.len(), gone.pieces.iter().collect::<std::collections::HashSet<_>>().len());
        }
    }
}
