//! Room on a file system, and how much of it something takes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes that this user may still write where `path` is.
pub(crate) fn free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Bytes a tree takes on disk, a file with several names counted by each of them in part.
pub(crate) fn used(path: &Path) -> u64 {
    let Ok(data) = fs::symlink_metadata(path) else {
        return 0;
    };
    let own = data.blocks() * 512;
    if !data.is_dir() {
        return own / data.nlink().max(1);
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    own + entries.map(|entry| used(&entry.path())).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 1 << 20;

    #[test]
    fn a_tree_takes_what_its_files_take_and_one_of_two_names_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let (deep, name) = (directory.path().join("a/b"), directory.path().join("name"));
        assert_eq!(used(&deep), 0, "nothing is there");
        fs::create_dir_all(&deep).expect("writable");
        fs::write(deep.join("file"), vec![0x5a; LEN as usize]).expect("writable");
        fs::hard_link(deep.join("file"), &name).expect("one file system");
        let taken = used(directory.path());
        assert!((LEN..LEN + LEN / 4).contains(&taken), "{taken}");
        assert!((LEN / 2..LEN / 2 + LEN / 4).contains(&used(&name)));
    }
}
