//! Directories and their entries (readdir).

use super::*;

/// Opens the directory of many files as number 1.
#[track_caller]
fn open(client: &Client) {
    client.walk(ROOT, 1, &["ReadDirDir"]).expect("it is there");
    let (qid, _) = client
        .lopen(1, lopen::RDONLY | lopen::DIRECTORY)
        .expect("a directory");
    assert!(qid.is_directory());
}

/// All entries of the open directory, in replies of so many bytes.
#[track_caller]
fn read_all(client: &Client, count: u32) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let from = all.last().map_or(0, |last| last.offset);
        let some = client.readdir(1, from, count).expect("it is open");
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// [readdir] However many fit into a reply, every entry is told once, with what it is.
#[testjig::test(on = Modern<Virtio9p>, needs(running), vary(layout = LAYOUTS))]
fn every_entry_is_told_once(device: Modern<Virtio9p>, layout: Layout) {
    let client = up(&device, layout);
    open(&client);
    let whole = read_all(&client, MSIZE - 11);
    let mut names: Vec<&str> = whole.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    let mut expected: Vec<String> = (0..FILES).map(|at| format!("ReadDirFile{at}")).collect();
    expected.extend([".".to_owned(), "..".to_owned()]);
    expected.sort_unstable();
    assert_eq!(names, expected);
    for count in [60, 100, 128, 256, 512, 1000] {
        assert_eq!(read_all(&client, count), whole, "{count} bytes");
    }
}

/// [readdir] What an entry is told to be, it is found to be by its name.
#[testjig::test(on = Modern<Virtio9p>, needs(running))]
fn entries_are_what_is_found_by_their_names(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    open(&client);
    let entries = read_all(&client, 4000);
    for entry in entries.iter().filter(|entry| !entry.name.starts_with('.')) {
        let met = client.walk(ROOT, 2, &["ReadDirDir", &entry.name]);
        let met = met.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        assert_eq!(met[1].path, entry.qid.path, "{}", entry.name);
        client.clunk(2).expect("it was named");
    }
}

/// [readdir] Reading from the beginning again gives the same, and from where an entry says the next is, what is after it.
#[testjig::test(on = Modern<Virtio9p>, needs(running))]
fn reading_goes_on_where_it_is_asked_to(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    open(&client);
    let whole = read_all(&client, 4000);
    for at in [0, 1, 50, 100] {
        let rest = client
            .readdir(1, whole[at].offset, 4000)
            .expect("it is open");
        assert_eq!(rest.first(), whole.get(at + 1), "after {at}");
    }
    let again = client.readdir(1, 0, 4000).expect("it is open");
    assert_eq!(again.first(), whole.first());
    let last = &whole[whole.len() - 1];
    assert_eq!(client.readdir(1, last.offset, 4000), Ok(vec![]));
}

/// [readdir] A file is no directory, and an open directory is not read like a file.
#[testjig::test(on = Modern<Virtio9p>, needs(running))]
fn a_file_is_no_directory(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    client.walk(ROOT, 2, &["WRITE"]).expect("it is there");
    client.lopen(2, lopen::WRONLY).expect("a file");
    is_no_directory(&client.readdir(2, 0, 1000));
    open(&client);
    assert!(client.read(1, 0, 100).is_err());
    assert!(client.write(1, 0, b"no").is_err());
    works(&client);
}
