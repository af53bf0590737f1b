//! What names a program on the command line: a file or a module, and perhaps a variable in it.

use std::fmt;
use std::path::Path;

/// `FILE`, `FILE::NAME`, `FILE:NAME` (Modal of 2022), or a module with `-m`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Where the program is.
    pub(crate) program: Program,
    /// The variable that holds the app, or for `run` what to run; without one it is looked for.
    pub(crate) name: Option<String>,
}

/// Where a program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// A file, by its path.
    File(String),
    /// A module, by its dotted name.
    Module(String),
    /// A module that was not said to be one: discovery takes it, and tells how it is written today.
    Unmarked(String),
}

impl Reference {
    /// Reads `text`; `module` says that it names a module. A dotted name that is no file but a module below the working
    /// directory is taken as one: that is how references were written until Modal 1.4.
    pub(crate) fn parse(text: &str, module: bool) -> Self {
        let (place, name) = split(text);
        let program = if module {
            Program::Module(place.to_owned())
        } else if !Path::new(place).exists() && module_exists(place) {
            Program::Unmarked(place.to_owned())
        } else {
            Program::File(place.to_owned())
        };
        Self { program, name: name.map(str::to_owned) }
    }

    /// The arguments that tell the SDK's discovery what to import.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        let mut arguments = match &self.program {
            Program::File(place) | Program::Unmarked(place) => vec![place.as_str()],
            Program::Module(name) => vec!["-m", name.as_str()],
        };
        if let Some(name) = &self.name {
            arguments.extend(["--name", name]);
        }
        arguments
    }

    /// The path of the program's file, as far as it is known without asking Python.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.program {
            Program::File(path) => Some(Path::new(path)),
            Program::Module(_) | Program::Unmarked(_) => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            Program::File(place) | Program::Unmarked(place) => write!(f, "{place}")?,
            Program::Module(name) => write!(f, "-m {name}")?,
        }
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "::{name}"))
    }
}

/// The place and the name in it. One colon separates too, unless the whole is the name of a file.
fn split(text: &str) -> (&str, Option<&str>) {
    let named = |name: &'_ str| !name.is_empty();
    if let Some((place, name)) = text.rsplit_once("::") {
        return (place, Some(name).filter(|name| named(name)));
    }
    match text.rsplit_once(':') {
        Some((place, name)) if !Path::new(text).exists() && !name.contains('/') => {
            (place, Some(name).filter(|name| named(name)))
        }
        _ => (text, None),
    }
}

/// Whether `name` is a module's dotted name, and the module lies below the working directory.
fn module_exists(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !name.split('.').all(part) {
        return false;
    }
    let path = name.replace('.', "/");
    Path::new(&format!("{path}.py")).is_file() || Path::new(&path).join("__init__.py").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, module: bool) -> String {
        let reference = Reference::parse(text, module);
        format!("{:?} {:?}", reference.program, reference.name)
    }

    #[test]
    fn every_spelling_of_a_reference() {
        assert_eq!(shown("a/b.py", false), "File(\"a/b.py\") None");
        assert_eq!(shown("a/b.py::app", false), "File(\"a/b.py\") Some(\"app\")");
        assert_eq!(shown("a/b.py:stub", false), "File(\"a/b.py\") Some(\"stub\")");
        assert_eq!(shown("b.py::app.f", false), "File(\"b.py\") Some(\"app.f\")");
        assert_eq!(shown("b.py::", false), "File(\"b.py\") None");
        assert_eq!(shown("pkg.mod::app", true), "Module(\"pkg.mod\") Some(\"app\")");
        // No module of that name lies here.
        assert_eq!(shown("pkg.mod", false), "File(\"pkg.mod\") None");
        assert_eq!(shown("a:b/c.py", false), "File(\"a:b/c.py\") None");
    }

    #[test]
    fn as_arguments_and_for_people() {
        let reference = Reference::parse("a.py:stub", false);
        assert_eq!(reference.arguments(), ["a.py", "--name", "stub"]);
        assert_eq!(reference.to_string(), "a.py::stub");
        let reference = Reference::parse("pkg.mod", true);
        assert_eq!(reference.arguments(), ["-m", "pkg.mod"]);
        assert_eq!(reference.to_string(), "-m pkg.mod");
    }
}
