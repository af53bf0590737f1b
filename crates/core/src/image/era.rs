//! Decides which packages every image holds: what programs of an era expect to find without asking.
//!
//! Modal's images of 2022 and 2023 held the requirements of its client, and programs came to rely on them. Programs
//! of that era get the same names; `pydantic` stays below 2 for them, because under 2 a query parameter
//! `q: Optional[int]` turns from 200 into 422 and `@validator`, `BaseSettings` change. The lower bounds keep a
//! resolver that cannot find a wheel from walking back to a version that does not import.

/// Which generation of Modal's API a program was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// `modal.Stub`: 2022 and 2023.
    Stub,
    /// `modal.App`: today.
    App,
}

impl Era {
    /// The name used in keys, manifests and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stub => "stub",
            Self::App => "app",
        }
    }
}

/// Packages that are installed together, and the proof that they work together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSet {
    /// Requirements as `uv pip install` takes them.
    pub packages: Vec<String>,
    /// Modules that must import once the packages are installed.
    pub imports: Vec<String>,
}

/// The package set of each era; the default is ours, a setting may replace either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sets {
    /// For programs that use `modal.Stub`.
    pub stub: PackageSet,
    /// For programs that use `modal.App`.
    pub app: PackageSet,
}

/// The list of modal-api A5, newest versions that work with pydantic 1, without the agents that only report to
/// Modal's own services. pip, setuptools and wheel were part of the Python image of the time. Newer releases of
/// fastprogress bring a whole web server along.
const STUB: &[&str] = &[
    "aiohttp>=3.8",
    "aiostream>=0.4",
    "asgiref>=3.5",
    "certifi",
    "cloudpickle>=2.0",
    "email-validator>=1.3",
    "fastapi>=0.88,<0.126",
    "fastprogress>=1.0,<1.1",
    "grpclib>=0.4.3",
    "importlib_metadata>=4.8",
    "ipython>=8.0",
    "pip",
    "protobuf>=3.20",
    "pydantic>=1.10.13,<2",
    "python-dotenv>=0.21",
    "python-multipart>=0.0.5",
    "rich>=12.3",
    "sentry-sdk>=1.9",
    "setuptools<81",
    "synchronicity>=0.2",
    "tblib>=1.7",
    "toml>=0.10",
    "typer>=0.6",
    "wheel",
];

const STUB_IMPORTS: &[&str] = &[
    "aiohttp",
    "aiostream",
    "asgiref.sync",
    "certifi",
    "cloudpickle",
    "dotenv",
    "email_validator",
    "fastapi",
    "fastprogress",
    "google.protobuf",
    "grpclib",
    "importlib_metadata",
    "IPython",
    "pip",
    "pkg_resources",
    "pydantic",
    "python_multipart",
    "rich",
    "sentry_sdk",
    "synchronicity",
    "tblib",
    "toml",
    "typer",
];

/// Today's images hold little; what a web endpoint needs to be built is there, and `httpx` because FastAPI's own
/// test client and most examples reach for it.
const APP: &[&str] = &["fastapi>=0.115", "httpx>=0.27", "pip", "pydantic>=2.7", "python-multipart>=0.0.18"];

const APP_IMPORTS: &[&str] = &["fastapi", "httpx", "pip", "pydantic", "python_multipart"];

impl PackageSet {
    fn of(packages: &[&str], imports: &[&str]) -> Self {
        let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
        Self { packages: owned(packages), imports: owned(imports) }
    }
}

impl Default for Sets {
    fn default() -> Self {
        Self { stub: PackageSet::of(STUB, STUB_IMPORTS), app: PackageSet::of(APP, APP_IMPORTS) }
    }
}

impl Sets {
    /// The set of one era.
    pub fn of(&self, era: Era) -> &PackageSet {
        match era {
            Era::Stub => &self.stub,
            Era::App => &self.app,
        }
    }
}
