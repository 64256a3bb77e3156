//! Files as they lie on a disk.

use std::fs;

use super::super::load::load_or_shipped;
use super::super::*;

const PROCESS: &str = "[[process]]\nid = 'a'\ndevice = 'lua'\nsource = 'sub/a.lua'\n";

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    fs::write(&file, PROCESS).unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/a.lua"), b"return \xff").unwrap();
    let config = load(Some(&file), &any_code).unwrap();
    assert_eq!(config.node.data_dir, folder.path().join("data"));
    let source = Source { path: folder.path().join("sub/a.lua"), text: b"return \xff".as_slice().into() };
    assert_eq!(config.processes[0].source, source);
}

#[test]
fn a_file_that_is_there_is_preferred_to_the_embedded_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mainstay.toml");
    let shipped = load_or_shipped(&file, &any_code).unwrap();
    assert_eq!(shipped, load_or_shipped(&folder.path().join("absent/mainstay.toml"), &any_code).unwrap());
    assert_eq!(shipped.processes.len(), 3);
    fs::write(&file, "[log]\nfilter = 'debug'").unwrap();
    assert_eq!(load_or_shipped(&file, &any_code).unwrap().log.filter, "debug");
    assert_eq!(load_or_shipped(&file.join("mainstay.toml"), &any_code).unwrap(), shipped);
    fs::write(&file, "[").unwrap();
    assert!(load_or_shipped(&file, &any_code).is_err());
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    let name = file.display();
    let line = |text: &[u8]| {
        fs::write(&file, text).unwrap();
        load(Some(&file), &any_code).unwrap_err().to_string()
    };
    assert_eq!(
        load(Some(&file), &any_code).unwrap_err().to_string(),
        format!("{name}: found No such file or directory (os error 2), expected a configuration file that can be read")
    );
    assert_eq!(
        load(Some(folder.path()), &any_code).unwrap_err().to_string(),
        format!(
            "{}: found Is a directory (os error 21), expected a configuration file that can be read",
            folder.path().display()
        )
    );
    assert_eq!(line(b"\xff"), format!("{name}:1:1: found the byte 0xff, expected text in UTF-8"));
    assert_eq!(line(b"[node]\n# \xc3\xa4 \xc3"), format!("{name}:2:5: found the byte 0xc3, expected text in UTF-8"));
    assert_eq!(
        line(&vec![b'#'; (4 << 20) + 1]),
        format!("{name}: found a file longer than 4MiB, expected a configuration file that can be read")
    );
    let source = folder.path().join("sub/a.lua");
    assert_eq!(
        line(PROCESS.as_bytes()),
        format!(
            "{name}:4:10: process[0].source: found \"sub/a.lua\" ({}: No such file or directory (os error 2)), expected \
             the path of a file that can be read",
            source.display()
        )
    );
    fs::create_dir_all(&source).unwrap();
    assert!(line(PROCESS.as_bytes()).contains("Is a directory"));
    fs::remove_dir(&source).unwrap();
    fs::write(&source, vec![b' '; (16 << 20) + 1]).unwrap();
    assert!(line(PROCESS.as_bytes()).contains("a file longer than 16MiB"));
}
