//! Where a configuration comes from, and hence what its relative paths mean.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file. Relative paths are relative to its folder.
    File(PathBuf),
    /// The copy in the binary, which reads as if it lay in `./config`.
    Embedded,
}

impl Origin {
    /// The path that `path` means in this configuration.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        match self {
            Self::File(file) => file.parent().unwrap_or(Path::new("")).join(path),
            Self::Embedded => folded(&Path::new("./config").join(path)),
        }
    }

    /// Where the data lies when the configuration doesn't say.
    pub(super) fn default_data_dir(&self) -> PathBuf {
        match self {
            Self::File(_) => self.resolve("data"),
            Self::Embedded => PathBuf::from("./data"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Embedded => f.write_str("(embedded configuration)"),
        }
    }
}

/// `path` without the `x/..` in it. The folder of the embedded copy need not exist, so the system can't walk up from it.
fn folded(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut folded, component| {
        match component {
            Component::ParentDir if matches!(folded.components().next_back(), Some(Component::Normal(_))) => {
                folded.pop();
            }
            component => folded.push(component),
        }
        folded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_at_the_folder_of_the_file() {
        let file = |path: &str| Origin::File(PathBuf::from(path));
        let table = [
            (file("/etc/mainstay/node.toml"), "../data", "/etc/mainstay/../data"),
            (file("/etc/mainstay/node.toml"), "/var/lib/mainstay", "/var/lib/mainstay"),
            (file("node.toml"), "a/b.lua", "a/b.lua"),
            (file("./config/mainstay.toml"), "../data", "./config/../data"),
            (Origin::Embedded, "../data", "./data"),
            (Origin::Embedded, "processes/a.lua", "./config/processes/a.lua"),
            (Origin::Embedded, "../../x", "./../x"),
            (Origin::Embedded, "/x/../y", "/y"),
            (Origin::Embedded, "/../y", "/../y"),
        ];
        for (origin, path, expected) in table {
            assert_eq!(origin.resolve(path), PathBuf::from(expected), "{path} in {origin}");
        }
    }
}
